//! Streams: their state, what they send and receive, and where they are kept.

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

/// Names a stream of one connection. A key never comes to mean another stream: when its stream is
/// gone, it means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    slot: u32,
    generation: u32,
}

/// A stream.
#[derive(Debug)]
pub(super) struct Stream<T> {
    /// The id on the wire; 0 while the stream has none.
    pub(super) id: u32,
    /// How far it has got.
    pub(super) state: State,
    /// The window that the peer grants us on it.
    pub(super) send_window: SendWindow,
    /// The window that we grant the peer on it.
    pub(super) receive_window: StreamWindow,
    /// The time at which the peer opened it; `None` if it is ours.
    pub(super) opened_at: Option<Instant>,
    /// How much content the peer has announced and not sent yet.
    pub(super) content_left: Option<u64>,
    /// What is to be sent.
    pub(super) queue: SendQueue,
    /// Whether it has a place in the scheduler.
    pub(super) scheduled: bool,
    /// The sender is to be told when fewer octets than this wait.
    pub(super) wake_below: Option<usize>,
    /// The head of a stream in [`State::Queued`], to be sent when the peer's limit allows.
    pub(super) opening: Option<Box<Opening>>,
    /// What the owner of the connection keeps with the stream.
    pub(super) value: Option<T>,
}

/// The HEADERS that a stream will be opened with.
#[derive(Debug)]
pub(super) struct Opening {
    /// The fields.
    pub(super) block: OwnedBlock,
    /// Nothing follows them.
    pub(super) end_stream: bool,
}

impl<T> Stream<T> {
    /// Whether the caller may still send content or trailers.
    #[inline]
    pub(super) fn can_send_body(&self) -> bool {
        let ends_with_its_head = |opening: &Opening| opening.end_stream;
        self.queue.is_open()
            && matches!(self.state.local(), Some(MessagePhase::Body))
            && !self.opening.as_deref().is_some_and(ends_with_its_head)
    }
}
