//! The invariants of a connection, checked before and after every event in tests and fuzzing.

use crate::stream::State;

use super::{Connection, ConnectionPhase};

impl<T, H> Connection<T, H> {
    /// Panics if an invariant is broken.
    ///
    /// - While the reader of a stream waits, the peer has credit on the stream.
    /// - A stream that may send is in the scheduler.
    /// - A stream waits for the connection's window only while that window is closed.
    /// - A sender waits for less queued content only while the queue is at or above its limit.
    /// - The counters of streams and of queued octets match the streams.
    pub(super) fn check_invariants(&self) {
        if let ConnectionPhase::Failed(_) = self.phase {
            return;
        }
        let (mut queued_octets, mut local, mut remote) = (0, 0, 0);
        for stream in self.streams.iter() {
            queued_octets += stream.queue.octets();
            let on_wire = !matches!(stream.state, State::Queued | State::Closed);
            if on_wire && self.role.opens(stream.id) {
                local += 1;
            } else if on_wire {
                remote += 1;
            }
            if stream.state.remote().is_some() {
                stream.receive_window.check();
            }
            let may_send = stream.queue.octets() == 0 || stream.send_window.available() > 0;
            assert!(
                stream.scheduled || !on_wire || stream.queue.is_empty() || !may_send,
                "stream {} may send and is not scheduled",
                stream.id
            );
            if let Some(below) = stream.wake_below
                && stream.state != State::Closed
            {
                assert!(
                    stream.queue.octets() >= below,
                    "the sender of stream {} waits although its queue is short",
                    stream.id
                );
            }
        }
        assert_eq!(queued_octets, self.queued_octets);
        assert_eq!((local, remote), (self.local_streams, self.peer_streams));
        assert!(
            self.scheduler.has_none_blocked() || self.send_window.available() == 0,
            "streams wait for the connection's open window"
        );
    }
}
