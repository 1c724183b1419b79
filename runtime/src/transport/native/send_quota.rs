use std::task::{Context, Poll, Waker};

use super::inbound::remember;

/// How many bytes a stream may have on their way to the socket before its sender waits: the next
/// message may exceed it once, as in grpc-go.
pub(super) const SEND_QUOTA: usize = 64 * 1024;

/// What a stream has sent that has not gone to the socket yet.
#[derive(Debug, Default)]
pub(super) struct SendQuota {
    /// In the connection's outbox.
    posted: usize,
    /// In the core, waiting for flow control or for its turn.
    queued: usize,
    waker: Option<Waker>,
}

impl SendQuota {
    /// Ready when another message may be sent.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.posted + self.queued < SEND_QUOTA {
            return Poll::Ready(());
        }
        remember(&mut self.waker, cx);
        Poll::Pending
    }

    /// A message of `len` bytes was posted.
    pub(super) fn post(&mut self, len: usize) {
        self.posted += len;
    }

    /// The connection's task has handed a message of `len` bytes to the core.
    pub(super) fn take(&mut self, len: usize) {
        self.posted = self.posted.saturating_sub(len);
    }

    /// The core holds `queued` bytes of the stream now. Returns the sender if it may go on.
    pub(super) fn set_queued(&mut self, queued: usize) -> Option<Waker> {
        self.queued = queued;
        if self.posted + self.queued < SEND_QUOTA {
            self.waker.take()
        } else {
            None
        }
    }

    /// The stream has ended: whoever waits is to look again.
    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_waits_from_64_kib_on_until_less_is_on_its_way() {
        let cx = Context::from_waker(Waker::noop());
        let mut quota = SendQuota::default();
        quota.post(SEND_QUOTA - 1);
        assert!(quota.poll(&cx).is_ready());
        quota.post(1_000_000);
        assert!(quota.poll(&cx).is_pending());
        quota.take(SEND_QUOTA - 1);
        quota.take(1_000_000);
        assert!(quota.set_queued(SEND_QUOTA).is_none());
        assert!(quota.set_queued(SEND_QUOTA - 1).is_some());
        assert!(quota.poll(&cx).is_ready());
    }
}
