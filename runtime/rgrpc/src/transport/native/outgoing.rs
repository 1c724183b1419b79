use std::task::{Context, Poll, Waker};

use rgrpc_http2::BytesQueue;

use super::inbound::remember;

/// How many bytes a stream may have on their way to the socket before its sender waits: the next
/// message may exceed it once, as in grpc-go.
pub(super) const SEND_QUOTA: usize = 64 * 1024;

/// What a stream has sent that has not gone to the socket yet.
///
/// The messages that the connection's task has not seen go to it together: small ones share a DATA
/// frame, which costs both sides less than one for each.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Framed, for the connection's task to take.
    messages: BytesQueue,
    /// The number of these messages.
    count: u64,
    /// None follows them, which the core is not told yet.
    ends: bool,
    /// How many bytes are in the core, waiting for flow control or for their turn.
    queued: usize,
    waker: Option<Waker>,
}

impl Outgoing {
    /// Ready when another message may be sent.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        remember(&mut self.waker, cx);
        Poll::Pending
    }

    /// Adds a framed message. Whether the connection's task is to be told: if there were others, it
    /// knows of them.
    #[must_use]
    pub(super) fn push(&mut self, message: BytesQueue) -> bool {
        let is_first = self.messages.is_empty();
        self.count += u64::from(!message.is_empty());
        self.messages.append(message);
        is_first
    }

    /// As [`push`](Self::push) of the last message, or of none, after which none follows.
    #[must_use]
    pub(super) fn push_last(&mut self, message: BytesQueue) -> bool {
        self.ends = true;
        self.push(message)
    }

    /// The messages, for the core, and whether none follows them.
    pub(super) fn take(&mut self) -> (BytesQueue, bool) {
        let messages = std::mem::take(&mut self.messages);
        (messages, std::mem::take(&mut self.ends))
    }

    /// The number of messages that were pushed since this was last called.
    pub(super) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.count)
    }

    /// The core holds `queued` bytes of the stream now. Returns the sender if it may go on.
    pub(super) fn set_queued(&mut self, queued: usize) -> Option<Waker> {
        self.queued = queued;
        if self.has_room() {
            self.waker.take()
        } else {
            None
        }
    }

    /// The stream has ended: whoever waits is to look again.
    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    fn has_room(&self) -> bool {
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
