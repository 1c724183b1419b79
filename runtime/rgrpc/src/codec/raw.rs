//! The codec of messages that are not decoded.
//!
//! Called by framing and by the receiving half of a call, on its task.

use std::io;

use bytes::{Buf, Bytes};

use super::{Codec, CodecError, Compressor, MessageBuffer, MessageBytes, PreparedMessage};

/// The codec of plain bytes: for proxies, and for handlers of unknown services.
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

    fn encode(message: &Bytes, buffer: &mut MessageBuffer) -> Result<(), CodecError> {
        buffer.put_shared(message.clone());
        Ok(())
    }

    fn decode(mut bytes: MessageBytes) -> Result<Bytes, CodecError> {
        Ok(bytes.copy_to_bytes(bytes.remaining()))
    }
}

impl Codec<PreparedMessage<Bytes>> for RawCodec {
    const NAME: &'static str = <Self as Codec<Bytes>>::NAME;

    fn encoded_len(message: &PreparedMessage<Bytes>) -> usize {
        message.encoded_len()
    }

    fn encode(
        message: &PreparedMessage<Bytes>,
        buffer: &mut MessageBuffer,
    ) -> Result<(), CodecError> {
        message.encode::<Self>(buffer)
    }

    fn framed(message: &PreparedMessage<Bytes>) -> Option<Bytes> {
        message.framed::<Self>()
    }

    fn framed_compressed(
        message: &PreparedMessage<Bytes>,
        compressor: &dyn Compressor,
    ) -> Option<io::Result<Bytes>> {
        message.framed_compressed::<Self>(compressor)
    }

    fn decode(bytes: MessageBytes) -> Result<PreparedMessage<Bytes>, CodecError> {
        PreparedMessage::decode::<Self>(bytes)
    }
}
