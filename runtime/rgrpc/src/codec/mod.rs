//! Codecs, and the framing of messages.
//!
//! A [`Codec`] encodes one message. [`frame`] adds the five-byte prefix, and [`MessageReader`]
//! finds the messages in DATA frames of any split. Both apply the call's [compression]. They run on
//! the task that sends or receives.
//!
//! The codecs are `proto` and `raw`. A codec writes to a [`MessageBuffer`] and reads from
//! [`MessageBytes`]; `prepared` has messages that are encoded once and sent many times.

mod compression;
mod framing;
mod limit;
mod message_buffer;
mod message_bytes;
mod panic;
mod prepared;
mod proto;
mod raw;
mod reader;

use std::error::Error;
use std::fmt;
use std::io;

use bytes::Bytes;

pub use compression::Compressor;
#[cfg(feature = "gzip")]
pub use compression::Gzip;
#[cfg(rgrpc_fuzzing)]
pub(crate) use compression::decompress;
pub(crate) use compression::{
    CompressorRegistry, Encoding, IDENTITY, accepted, compress_framed, frame_measured, frame_with,
    is_answered_alike,
};
pub(crate) use framing::{
    DEFAULT_MAX_RECEIVE, DEFAULT_MAX_SEND, decode, decode_whole, encode, frame, is_one_message,
};
pub(crate) use limit::MessageLimit;
pub use message_buffer::MessageBuffer;
pub use message_bytes::MessageBytes;
pub(crate) use panic::caught_on_client;
pub use prepared::PreparedMessage;
pub use proto::ProtoCodec;
pub use raw::RawCodec;
pub(crate) use reader::{MessageReader, ReadMessage};

use crate::error_text::debug_is_text;
pub(crate) use crate::prefix::{PREFIX_LEN, Prefix};

/// The encoding of messages of type `M`.
///
/// A codec is a value without state that generated code names: [`ProtoCodec`] for Protocol Buffers,
/// [`RawCodec`] for plain bytes. Its name is the content-subtype of its calls:
/// `application/grpc+NAME`. A panic fails the call with INTERNAL, on both sides.
///
/// Source: grpc-go's package `encoding`.
pub trait Codec<M>: Copy + Send + Sync + 'static {
    /// The content-subtype, in lower case. An empty string stands for plain `application/grpc`.
    const NAME: &'static str;

    /// Returns the number of bytes that [`encode`](Self::encode) will write. It sizes the buffer,
    /// so an estimate is enough.
    fn encoded_len(message: &M) -> usize;

    /// Appends the message to `buffer`.
    ///
    /// # Errors
    /// The message cannot be encoded. The call fails with INTERNAL.
    fn encode(message: &M, buffer: &mut MessageBuffer) -> Result<(), CodecError>;

    /// Returns the message with its five-byte prefix if it is already encoded, as a
    /// [`PreparedMessage`] is. These bytes are then sent, and [`encode`](Self::encode) is not
    /// called. Default: `None`.
    #[must_use]
    fn framed(_message: &M) -> Option<Bytes> {
        None
    }

    /// Returns the message compressed by `compressor`, with its prefix, if it keeps that form, as a
    /// [`PreparedMessage`] does. A call with this compressor then sends these bytes. Default:
    /// `None`; the message is framed or encoded, and then compressed.
    #[must_use]
    fn framed_compressed(_message: &M, _compressor: &dyn Compressor) -> Option<io::Result<Bytes>> {
        None
    }

    /// Decodes one message from all of `bytes`.
    ///
    /// # Errors
    /// The bytes are not a valid message. The call fails with INTERNAL.
    fn decode(bytes: MessageBytes) -> Result<M, CodecError>;
}

/// The error of a codec that cannot encode or decode a message.
pub struct CodecError(Box<dyn Error + Send + Sync>);

impl CodecError {
    /// Creates an error with this cause and the cause's text.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

debug_is_text!(CodecError);

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
