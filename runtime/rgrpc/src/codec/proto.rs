//! The codec of generated code.
//!
//! Called by framing and by the receiving half of a call, on its task.

use std::io;

use bytes::Bytes;
use prost::Message;

use super::{Codec, CodecError, Compressor, MessageBuffer, MessageBytes, PreparedMessage};

/// The codec of Protocol Buffers, by prost. Generated code uses it.
#[derive(Clone, Copy, Debug, Default)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a marker that generated code names as a value"
)]
pub struct ProtoCodec;

impl<M: Message + Default> Codec<M> for ProtoCodec {
    /// Plain `application/grpc`, as grpc-go sends by default.
    const NAME: &'static str = "";

    #[inline]
    fn encoded_len(message: &M) -> usize {
        message.encoded_len()
    }

    #[inline]
    fn encode(message: &M, buffer: &mut MessageBuffer) -> Result<(), CodecError> {
        // `encode` would compute the length again, to check a capacity that this buffer does not
        // have.
        message.encode_raw(buffer);
        Ok(())
    }

    #[inline]
    fn decode(bytes: MessageBytes) -> Result<M, CodecError> {
        // `decode` would move the message once more.
        let mut message = M::default();
        message.merge(bytes).map_err(CodecError::new)?;
        Ok(message)
    }
}

impl<M: Message + Default> Codec<PreparedMessage<M>> for ProtoCodec {
    const NAME: &'static str = <Self as Codec<M>>::NAME;

    fn encoded_len(message: &PreparedMessage<M>) -> usize {
        message.encoded_len()
    }

    fn encode(message: &PreparedMessage<M>, buffer: &mut MessageBuffer) -> Result<(), CodecError> {
        message.encode::<Self>(buffer)
    }

    fn framed(message: &PreparedMessage<M>) -> Option<Bytes> {
        message.framed::<Self>()
    }

    fn framed_compressed(
        message: &PreparedMessage<M>,
        compressor: &dyn Compressor,
    ) -> Option<io::Result<Bytes>> {
        message.framed_compressed::<Self>(compressor)
    }

    fn decode(bytes: MessageBytes) -> Result<PreparedMessage<M>, CodecError> {
        PreparedMessage::decode::<Self>(bytes)
    }
}
