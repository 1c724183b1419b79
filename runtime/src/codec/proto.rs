use bytes::BytesMut;
use prost::Message;

use super::{Codec, CodecError, MessageBytes};

/// Protocol Buffers by prost: what generated code uses.
#[derive(Clone, Copy, Debug, Default)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a marker that generated code names as a value"
)]
pub struct ProtoCodec;

impl<M: Message + Default> Codec<M> for ProtoCodec {
    /// Plain `application/grpc`, as grpc-go sends by default.
    const NAME: &'static str = "";

    fn encoded_len(message: &M) -> usize {
        message.encoded_len()
    }

    fn encode(message: &M, buffer: &mut BytesMut) -> Result<(), CodecError> {
        // Not `encode`, which would measure the message once more, to find that the buffer grows.
        message.encode_raw(buffer);
        Ok(())
    }

    fn decode(bytes: MessageBytes) -> Result<M, CodecError> {
        M::decode(bytes).map_err(CodecError::new)
    }
}
