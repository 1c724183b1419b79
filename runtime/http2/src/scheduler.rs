//! The order in which streams send.
//!
//! Streams with queued data take turns (round robin). A turn is one DATA frame; the trailers follow
//! the last DATA frame. A stream whose own window is closed is not in the scheduler until the
//! window opens. Streams that are blocked only by the connection's window wait in a second queue.

use std::collections::VecDeque;

use super::stream::StreamKey;

/// The queue of the streams that have something to send.
///
/// It may contain keys of streams that no longer exist; the caller skips them.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    ready: VecDeque<StreamKey>,
    /// Streams that are blocked by the connection's window.
    blocked: VecDeque<StreamKey>,
}

impl Scheduler {
    /// Returns `true` if no stream waits for a turn.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.blocked.is_empty()
    }

    /// Adds a stream at the end of the queue.
    #[inline]
    pub(super) fn push(&mut self, key: StreamKey) {
        self.ready.push_back(key);
    }

    /// Removes and returns the next stream.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<StreamKey> {
        self.ready.pop_front()
    }

    /// Adds a stream to those that wait for the connection's window.
    ///
    /// When the queue is much longer than `alive`, the number of existing streams, the keys that
    /// fail `is_alive` are removed. This bounds the queue while the window stays closed.
    pub(super) fn block(
        &mut self,
        key: StreamKey,
        alive: usize,
        is_alive: impl Fn(StreamKey) -> bool,
    ) {
        self.blocked.push_back(key);
        if self.blocked.len() > 2 * alive + 64 {
            self.blocked.retain(|&key| is_alive(key));
        }
    }

    /// Returns `true` if no stream waits for the connection's window.
    #[cfg(any(test, feature = "invariants"))]
    pub(super) fn has_none_blocked(&self) -> bool {
        self.blocked.is_empty()
    }

    /// Makes the blocked streams ready, because the connection's window has opened.
    pub(super) fn unblock(&mut self) {
        self.ready.append(&mut self.blocked);
    }

    /// Frees unused memory.
    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.blocked.shrink_to_fit();
    }
}

/// The decision about a stream's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The stream sends this many octets.
    Send(usize),
    /// The stream's window is closed.
    StreamWindow,
    /// The connection's window is closed.
    ConnectionWindow,
}

/// Decides the turn of a stream with `queued` octets.
///
/// `frame` is the maximum payload of a frame; `stream` and `connection` are the windows, in octets.
#[inline]
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
