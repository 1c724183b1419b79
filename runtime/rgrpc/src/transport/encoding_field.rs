//! The header field about encodings in a response. A server's call sets it, and the engine sends it
//! with the headers.

use bytes::Bytes;

/// The field about encodings in a response's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EncodingField {
    /// The compressor of the messages that are marked as compressed.
    Encoding(Bytes),
    /// The compressors that the server accepts. Sent when the request was compressed by another
    /// one.
    AcceptEncoding(Bytes),
}

impl EncodingField {
    /// The field's name and value.
    pub(crate) fn into_parts(self) -> (&'static str, Bytes) {
        match self {
            Self::Encoding(name) => ("grpc-encoding", name),
            Self::AcceptEncoding(names) => ("grpc-accept-encoding", names),
        }
    }

    /// The field of a response without messages, if it has one.
    pub(crate) fn without_messages(self) -> Option<Self> {
        match self {
            Self::Encoding(_) => None,
            Self::AcceptEncoding(_) => Some(self),
        }
    }
}
