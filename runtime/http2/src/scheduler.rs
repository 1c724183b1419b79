//! Whose turn it is to send.
//!
//! Streams that have something to send take turns, one DATA frame each (and the trailers behind the
//! last). A stream whose own window is closed has no place here until the window opens; streams
//! that only the connection's window keeps from sending wait aside, in their order.

use std::collections::VecDeque;

use super::stream::StreamKey;

/// The streams that have something to send, first come first served. A key of a stream that is gone
/// is skipped when its turn comes.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    ready: VecDeque<StreamKey>,
    starved: VecDeque<StreamKey>,
}

impl Scheduler {
    /// Whether no stream waits for a turn.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.starved.is_empty()
    }

    /// Gives a stream the place behind all others.
    pub(super) fn push(&mut self, key: StreamKey) {
        self.ready.push_back(key);
    }

    /// The next stream; it has lost its place.
    pub(super) fn pop(&mut self) -> Option<StreamKey> {
        self.ready.pop_front()
    }

    /// Sets a stream aside until the connection's window opens. Keys of streams that are gone are
    /// sorted out with `is_alive` when there may be many, since nothing else takes them away here.
    pub(super) fn starve(
        &mut self,
        key: StreamKey,
        alive: usize,
        is_alive: impl Fn(StreamKey) -> bool,
    ) {
        self.starved.push_back(key);
        if self.starved.len() > 2 * alive + 64 {
            self.starved.retain(|&key| is_alive(key));
        }
    }

    /// Returns whether no stream waits for the connection's window.
    #[cfg(any(test, feature = "invariants"))]
    pub(super) fn is_fed(&self) -> bool {
        self.starved.is_empty()
    }

    /// The connection's window has opened.
    pub(super) fn feed(&mut self) {
        self.ready.append(&mut self.starved);
    }

    /// Gives back the memory that nothing uses now.
    pub(super) fn trim(&mut self) {
        self.ready.shrink_to_fit();
        self.starved.shrink_to_fit();
    }
}

/// What keeps a stream from sending content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing: this many octets fit into a frame and into both windows.
    Send(usize),
    /// The stream's window.
    StreamWindow,
    /// The connection's window.
    ConnectionWindow,
}

/// Decides a turn of a stream that has `queued` octets.
pub(super) fn turn(queued: usize, frame: usize, stream: usize, connection: usize) -> Turn {
    if queued == 0 {
        return Turn::Send(0);
    }
    if stream == 0 {
        return Turn::StreamWindow;
    }
    if connection == 0 {
        return Turn::ConnectionWindow;
    }
    Turn::Send(queued.min(frame).min(stream).min(connection))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_bounded_by_the_frame_and_both_windows() {
        let table = [
            ((10, 100, 100, 100), Turn::Send(10)),
            ((500, 100, 200, 300), Turn::Send(100)),
            ((500, 100, 20, 300), Turn::Send(20)),
            ((500, 100, 200, 3), Turn::Send(3)),
            ((500, 100, 0, 3), Turn::StreamWindow),
            ((500, 100, 0, 0), Turn::StreamWindow),
            ((500, 100, 1, 0), Turn::ConnectionWindow),
            ((0, 100, 0, 0), Turn::Send(0)),
        ];
        for ((queued, frame, stream, connection), expected) in table {
            assert_eq!(turn(queued, frame, stream, connection), expected);
        }
    }
}
