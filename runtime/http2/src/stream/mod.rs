//! Streams: their state, their queue of content to send, and their storage.

mod closed;
mod id_table;
mod queue;
mod state;
mod store;

use std::time::Instant;

use super::block::OwnedBlock;
use super::flow::{SendWindow, StreamWindow};

pub(super) use closed::{Closure, RecentlyClosed};
pub(super) use queue::{Ending, SendQueue};
pub(super) use state::{MessagePhase, State};
pub(super) use store::Store;

/// A key of a stream of one connection.
///
/// A key is never reused. After its stream is removed, functions treat it as an unknown stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    slot: u32,
    generation: u32,
}

/// A stream.
#[derive(Debug)]
pub(super) struct Stream<T> {
    /// The id on the wire; 0 before the stream is opened on the wire.
    pub(super) id: u32,
    /// The state.
    pub(super) state: State,
    /// The window that the peer grants us.
    pub(super) send_window: SendWindow,
    /// The window that we grant the peer.
    pub(super) receive_window: StreamWindow,
    /// The time at which the peer opened the stream; `None` if we opened it.
    pub(super) opened_at: Option<Instant>,
    /// The remaining octets of the peer's content-length, if it sent one.
    pub(super) content_left: Option<u64>,
    /// The queued content.
    pub(super) queue: SendQueue,
    /// `true` if the stream is in the scheduler.
    pub(super) scheduled: bool,
    /// The number of queued octets below which the sender gets `SendReady`.
    pub(super) wake_below: Option<usize>,
    /// The head of a stream in [`State::Queued`], which waits for the peer's limit.
    pub(super) opening: Option<Box<Opening>>,
    /// The owner's value.
    pub(super) value: Option<T>,
}

/// The head with which a waiting stream will be opened.
#[derive(Debug)]
pub(super) struct Opening {
    /// The fields.
    pub(super) block: OwnedBlock,
    /// `true` if nothing follows the head.
    pub(super) end_stream: bool,
}

impl<T> Stream<T> {
    /// Returns `true` if content or trailers may still be sent.
    #[inline]
    pub(super) fn can_send_body(&self) -> bool {
        let ends_with_its_head = |opening: &Opening| opening.end_stream;
        self.queue.is_open()
            && matches!(self.state.local(), Some(MessagePhase::Body))
            && !self.opening.as_deref().is_some_and(ends_with_its_head)
    }
}
