//! From messages to the bytes of a call and back: codecs and the framing of messages.
//!
//! [`Codec`] turns one message into bytes. [`frame`] puts the five-byte prefix before it and
//! [`MessageReader`] finds the messages again in DATA of any split; both [compress](compression)
//! what the call is to have compressed.

mod compression;
mod framing;
mod limit;
mod message_buffer;
mod message_bytes;
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
    DEFAULT_MAX_RECEIVE, DEFAULT_MAX_SEND, decode, decode_whole, frame, is_one_message,
};
pub(crate) use limit::MessageLimit;
pub use message_buffer::MessageBuffer;
pub use message_bytes::MessageBytes;
pub use prepared::PreparedMessage;
pub use proto::ProtoCodec;
pub use raw::RawCodec;
pub(crate) use reader::{MessageReader, ReadMessage};

use crate::error_text::debug_is_text;
pub(crate) use crate::prefix::{PREFIX_LEN, Prefix};

/// How messages of type `M` become bytes and bytes become messages.
///
/// A codec is a value without state, named in generated code: [`ProtoCodec`] for Protocol Buffers,
/// [`RawCodec`] for bytes as they are. Its name is the content-subtype of the calls that use it:
/// `application/grpc+NAME`.
///
/// Source: grpc-go's package `encoding`.
pub trait Codec<M>: Copy + Send + Sync + 'static {
    /// The content-subtype, in lower case. The empty string stands for plain `application/grpc`.
    const NAME: &'static str;

    /// How many bytes [`encode`](Self::encode) is going to write, to size the buffer; a guess does.
    fn encoded_len(message: &M) -> usize;

    /// Appends the message to `buffer`.
    ///
    /// # Errors
    /// The message cannot be written; the call fails with INTERNAL.
    fn encode(message: &M, buffer: &mut MessageBuffer) -> Result<(), CodecError>;

    /// The message with its five-byte prefix, if it is encoded already, as a [`PreparedMessage`]
    /// is: then these bytes are sent, and [`encode`](Self::encode) is not called. Default: `None`.
    #[must_use]
    fn framed(_message: &M) -> Option<Bytes> {
        None
    }

    /// The message compressed by `compressor`, with its prefix, if it is kept so, as a
    /// [`PreparedMessage`] keeps it: then these bytes are sent in a call that compresses by it.
    /// Default: `None`, which has it framed or encoded, and compressed then.
    #[must_use]
    fn framed_compressed(_message: &M, _compressor: &dyn Compressor) -> Option<io::Result<Bytes>> {
        None
    }

    /// Reads one message from all of `bytes`.
    ///
    /// # Errors
    /// The bytes are no such message; the call fails with INTERNAL.
    fn decode(bytes: MessageBytes) -> Result<M, CodecError>;
}

/// A message that a codec could not write or read.
pub struct CodecError(Box<dyn Error + Send + Sync>);

impl CodecError {
    /// An error with this cause, whose text it takes over.
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
