use bytes::{Buf, Bytes, BytesMut};

use super::{Codec, CodecError, MessageBytes};

/// Messages as the bytes they are: for proxies, and for handlers of unknown services.
#[derive(Clone, Copy, Debug, Default)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a marker that callers name as a value"
)]
pub struct RawCodec;

impl Codec<Bytes> for RawCodec {
    const NAME: &'static str = "";

    fn encoded_len(message: &Bytes) -> usize {
        message.len()
    }

    fn encode(message: &Bytes, buffer: &mut BytesMut) -> Result<(), CodecError> {
        buffer.extend_from_slice(message);
        Ok(())
    }

    fn decode(mut bytes: MessageBytes) -> Result<Bytes, CodecError> {
        Ok(bytes.copy_to_bytes(bytes.remaining()))
    }
}
