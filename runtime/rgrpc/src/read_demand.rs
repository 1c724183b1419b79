//! The demand of a message reader for DATA.
//!
//! Computed by `codec/reader.rs`; passed by the stream halves to the engines, on the task that
//! polls the call.

/// The DATA that a waiting call can use.
///
/// An engine that knows it assembles a message as its DATA arrives, grants the peer window for all
/// of it, and wakes the call once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadDemand {
    /// A message from its prefix on, of at most `max` bytes.
    Message { max: usize },
    /// The remaining number of bytes of a message that has begun.
    Rest(usize),
}
