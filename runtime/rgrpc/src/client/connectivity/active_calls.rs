//! The number of a channel's calls, which decides about its idle mode.
//!
//! Written by calls, on their callers' tasks; read by the channel's task.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Counts a channel's calls. A call costs one atomic addition and one subtraction.
///
/// Source: grpc-go `internal/idle`, `Manager.OnCallBegin` and `OnCallEnd`.
#[derive(Debug)]
pub(in crate::client) struct ActiveCalls {
    count: AtomicUsize,
    /// The time at which the last call ended, in nanoseconds after `epoch`.
    last_end: AtomicU64,
    epoch: Instant,
    /// The number of calls that wait for a stream of a subchannel.
    waiting_for_streams: AtomicUsize,
}

/// The activity of a channel's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Activity {
    /// There are calls.
    Calls,
    /// There are none, and the last ended then.
    NoneSince(Instant),
}

impl ActiveCalls {
    pub(in crate::client) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            last_end: AtomicU64::new(0),
            epoch: Instant::now(),
            waiting_for_streams: AtomicUsize::new(0),
        }
    }

    pub(in crate::client) fn activity(&self) -> Activity {
        if self.count.load(Ordering::Acquire) > 0 {
            return Activity::Calls;
        }
        let last_end = Duration::from_nanos(self.last_end.load(Ordering::Acquire));
        Activity::NoneSince(self.epoch + last_end)
    }

    /// Returns whether there are no calls, in one order with their begins and for whoever has
    /// published something before: a call that this does not count sees that.
    pub(super) fn is_none_now(&self) -> bool {
        // An operation that writes, because a mere load may be done before an earlier store.
        self.count.fetch_add(0, Ordering::AcqRel) == 0
    }

    /// A call begins: before it looks at the picker.
    pub(in crate::client) fn begin(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// A call has ended.
    pub(in crate::client) fn end(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            // After the count, so that the clock is read for the last of several calls alone. A
            // reader between the two finds an older time, and the channel may go idle too early,
            // which costs the next call a connection and nothing else.
            let since = Instant::now().saturating_duration_since(self.epoch);
            let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            self.last_end.fetch_max(nanos, Ordering::AcqRel);
        }
    }

    /// Counts a call that waits for a stream, until the guard is dropped.
    pub(in crate::client) fn wait_for_stream(&self) -> WaitingForStream<'_> {
        self.waiting_for_streams.fetch_add(1, Ordering::AcqRel);
        WaitingForStream(&self.waiting_for_streams)
    }

    pub(super) fn waiting_for_streams(&self) -> usize {
        self.waiting_for_streams.load(Ordering::Acquire)
    }
}

/// A call that waits for a stream.
pub(in crate::client) struct WaitingForStream<'a>(&'a AtomicUsize);

impl Drop for WaitingForStream<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_that_counts_is_when_the_last_of_the_calls_ended() {
        let second = Duration::from_secs(1);
        let calls = ActiveCalls::new();
        let made = Instant::now();
        assert_eq!(calls.activity(), Activity::NoneSince(made));
        calls.begin();
        calls.begin();
        advance(second).await;
        assert_eq!(calls.activity(), Activity::Calls);
        calls.end();
        advance(second).await;
        assert_eq!(calls.activity(), Activity::Calls);
        calls.end();
        advance(second).await;
        assert_eq!(calls.activity(), Activity::NoneSince(made + 2 * second));
    }

    #[test]
    fn a_call_counts_until_it_ends() {
        let calls = ActiveCalls::new();
        assert!(calls.is_none_now());
        calls.begin();
        assert!(!calls.is_none_now());
        calls.end();
        assert!(calls.is_none_now());
    }
}
