use bytes::Bytes;

/// What the headers of a response say about encodings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EncodingField {
    /// By what messages are compressed that say that they are.
    Encoding(Bytes),
    /// By what the messages of the request may be compressed, which were so by something else.
    AcceptEncoding(Bytes),
}

impl EncodingField {
    /// The field.
    pub(crate) fn into_parts(self) -> (&'static str, Bytes) {
        match self {
            Self::Encoding(name) => ("grpc-encoding", name),
            Self::AcceptEncoding(names) => ("grpc-accept-encoding", names),
        }
    }

    /// The field for a response without messages, if it is one.
    pub(crate) fn without_messages(self) -> Option<Self> {
        match self {
            Self::Encoding(_) => None,
            Self::AcceptEncoding(_) => Some(self),
        }
    }
}
