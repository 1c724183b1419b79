//! The errors of the sending functions.

use std::fmt;

/// An error of [`Connection::open`](super::Connection::open).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The connection has failed, or either end has sent GOAWAY, or this end is a server.
    GoingAway,
    /// All stream ids up to [`last_local_stream_id`](crate::Config::last_local_stream_id) are used.
    StreamIdsExhausted,
    /// The header list is larger than the peer accepts.
    HeaderListTooLarge {
        /// The size of the list in octets, including 32 for each field.
        size: usize,
        /// The peer's SETTINGS_MAX_HEADER_LIST_SIZE.
        limit: u32,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoingAway => f.write_str("the connection accepts no new streams"),
            Self::StreamIdsExhausted => f.write_str("the connection has no stream ids left"),
            Self::HeaderListTooLarge { size, limit } => too_large(*size, *limit, f),
        }
    }
}

impl std::error::Error for OpenError {}

/// An error of a function that sends on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The stream no longer exists, or has ended in this direction.
    Closed,
    /// The caller sent a head twice, or content before the head.
    OutOfOrder,
    /// The header list is larger than the peer accepts. Nothing was sent.
    HeaderListTooLarge {
        /// The size of the list in octets, including 32 for each field.
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

/// Writes the text of a header list that exceeds the peer's limit.
fn too_large(size: usize, limit: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "header list of {size} octets exceeds the peer's limit of {limit}"
    )
}
