//! The sending side of a stream, alike on clients and servers. The call and the connection's task
//! use it, under the stream's lock.

use std::task::{Context, Poll, Waker};

use rgrpc_http2::BytesQueue;

use super::wakers::remember;

/// The number of bytes of a stream on their way to the socket from which on its sender waits. One
/// message may exceed it, as in grpc-go.
pub(super) const SEND_QUOTA: usize = 64 * 1024;

/// The messages of a stream that have not been written to the socket.
///
/// Messages that the connection's task has not seen go to it together. Small ones share a DATA
/// frame, which costs both sides less than one frame each.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Framed messages that the connection's task takes.
    messages: BytesQueue,
    /// The number of these messages.
    count: u64,
    /// True if no message follows, and the core does not know it.
    ends: bool,
    /// The number of bytes in the core that wait for flow control or for their turn.
    queued: usize,
    waker: Option<Waker>,
}

impl Outgoing {
    /// Ready when another message may be sent.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.has_quota() {
            return Poll::Ready(());
        }
        remember(&mut self.waker, cx);
        Poll::Pending
    }

    /// Adds a framed message. Returns whether the connection's task must be told: it knows of
    /// earlier messages.
    #[must_use]
    pub(super) fn push(&mut self, message: BytesQueue) -> bool {
        let is_first = self.messages.is_empty();
        self.count += u64::from(!message.is_empty());
        self.messages.append(message);
        is_first
    }

    /// Adds the last message, or none, and ends sending. Returns the same as [`push`](Self::push).
    #[must_use]
    pub(super) fn push_last(&mut self, message: BytesQueue) -> bool {
        self.ends = true;
        self.push(message)
    }

    /// Takes the messages, and whether the end follows them.
    pub(super) fn take(&mut self) -> (BytesQueue, bool) {
        let messages = std::mem::take(&mut self.messages);
        (messages, std::mem::take(&mut self.ends))
    }

    /// Takes the number of messages that were pushed since the last call of this method.
    pub(super) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.count)
    }

    /// Records that the core holds `queued` bytes of the stream. Returns the waker of the sender if
    /// it may go on.
    pub(super) fn set_queued(&mut self, queued: usize) -> Option<Waker> {
        self.queued = queued;
        if self.has_quota() {
            self.waker.take()
        } else {
            None
        }
    }

    /// Takes the sender's waker when the stream has ended.
    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    fn has_quota(&self) -> bool {
        self.messages.len() + self.queued < SEND_QUOTA
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(len: usize) -> BytesQueue {
        Bytes::from(vec![7; len]).into()
    }

    #[test]
    fn a_sender_waits_from_64_kib_on_until_less_is_on_its_way() {
        let cx = Context::from_waker(Waker::noop());
        let mut outgoing = Outgoing::default();
        let _ = outgoing.push(message(SEND_QUOTA - 1));
        assert!(outgoing.poll(&cx).is_ready());
        let _ = outgoing.push(message(1_000_000));
        assert_eq!(outgoing.take_count(), 2);
        assert_eq!(outgoing.take_count(), 0);
        assert!(outgoing.poll(&cx).is_pending());
        assert_eq!(outgoing.take().0.len(), SEND_QUOTA - 1 + 1_000_000);
        assert!(outgoing.set_queued(SEND_QUOTA).is_none());
        assert!(outgoing.set_queued(SEND_QUOTA - 1).is_some());
        assert!(outgoing.poll(&cx).is_ready());
    }

    #[test]
    fn the_connection_is_told_of_the_first_of_the_messages_that_it_takes_together() {
        let mut outgoing = Outgoing::default();
        assert!(outgoing.push(message(6)));
        assert!(!outgoing.push(message(7)));
        let (messages, ends) = outgoing.take();
        assert_eq!((messages.len(), ends), (13, false));
        assert!(outgoing.push(message(8)));
    }

    #[test]
    fn the_end_goes_with_the_messages_before_it_or_alone() {
        for before in [0, 6] {
            let mut outgoing = Outgoing::default();
            if before > 0 {
                assert!(outgoing.push(message(before)));
            }
            assert_eq!(outgoing.push_last(BytesQueue::default()), before == 0);
            let (messages, ends) = outgoing.take();
            assert_eq!((messages.len(), ends), (before, true));
            assert_eq!(outgoing.take_count(), u64::from(before > 0));
            assert!(!outgoing.take().1, "once");
        }
    }
}
