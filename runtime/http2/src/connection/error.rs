//! Why something could not be sent.

use std::fmt;

/// A stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The connection has failed, or either end has sent GOAWAY.
    GoingAway,
    /// The stream ids are used up.
    StreamIdsExhausted,
    /// The header list is larger than the peer takes.
    HeaderListTooLarge {
        /// Its size in octets, with 32 for each field.
        size: usize,
        /// The peer's SETTINGS_MAX_HEADER_LIST_SIZE.
        limit: u32,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoingAway => f.write_str("the connection takes no new streams"),
            Self::StreamIdsExhausted => f.write_str("the connection has no stream ids left"),
            Self::HeaderListTooLarge { size, limit } => too_large(*size, *limit, f),
        }
    }
}

impl std::error::Error for OpenError {}

/// Something could not be sent on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The stream is gone, or has ended in this direction.
    Closed,
    /// Headers twice, or content before headers: a mistake of the caller.
    OutOfOrder,
    /// The header list is larger than the peer takes; nothing was sent.
    HeaderListTooLarge {
        /// Its size in octets, with 32 for each field.
        size: usize,
        /// The peer's SETTINGS_MAX_HEADER_LIST_SIZE.
        limit: u32,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the stream is closed"),
            Self::OutOfOrder => f.write_str("the message's parts are sent out of order"),
            Self::HeaderListTooLarge { size, limit } => too_large(*size, *limit, f),
        }
    }
}

impl std::error::Error for SendError {}

fn too_large(size: usize, limit: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "header list of {size} octets exceeds the peer's limit of {limit}"
    )
}
