//! The invariants of a connection, for tests and fuzzing: checked before and after every event.

use crate::stream::State;

use super::{Connection, Phase};

impl<T, H> Connection<T, H> {
    /// Panics when the connection's parts contradict each other.
    ///
    /// - While the reader of a stream waits, the peer has credit on the stream.
    /// - A stream that may send has a place in the scheduler, and one waits for the connection's
    ///   window only while that is closed.
    /// - A sender that waits until less is queued waits while that is not so.
    /// - The counts of streams and of queued octets are those of the streams.
    pub(super) fn check_invariants(&self) {
        if let Phase::Failed(_) = self.phase {
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
                "stream {} may send and waits for nothing",
                stream.id
            );
            if let Some(below) = stream.wake_below
                && stream.state != State::Closed
            {
                assert!(
                    stream.queue.octets() >= below,
                    "the sender of stream {} waits for nothing",
                    stream.id
                );
            }
        }
        assert_eq!(queued_octets, self.queued_octets);
        assert_eq!((local, remote), (self.local_streams, self.peer_streams));
        assert!(
            self.scheduler.is_fed() || self.send_window.available() == 0,
            "streams wait for the connection's window, which is open"
        );
    }
}
