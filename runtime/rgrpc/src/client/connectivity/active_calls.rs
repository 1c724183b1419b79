//! The numbers of a channel's calls: those under way decide about its idle mode, the others are read
//! by channelz.
//!
//! Written by calls, on their callers' tasks; read by the channel's task and by users.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Counts the attempts of a channel's calls. An attempt costs two atomic additions, and a third one if
/// it is not the first of its call, or fails.
///
/// The calls follow from the attempts: a call has one first attempt; each of its repetitions has
/// another attempt that failed, and of the attempts of a call that failed all did.
///
/// Source: grpc-go `internal/idle`, `Manager.OnCallBegin` and `OnCallEnd`; `internal/channelz`,
/// `ChannelMetrics`.
#[derive(Debug)]
pub(in crate::client) struct ActiveCalls {
    /// The number of attempts that have begun.
    begun: AtomicU64,
    /// The number of attempts that have ended. Read before `begun`, so that it is no larger.
    ended: AtomicU64,
    /// The number of attempts that have ended otherwise than with OK.
    failed: AtomicU64,
    /// The number of attempts that were not the first of their call.
    repeated: AtomicU64,
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

/// The numbers of a channel's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct CallNumbers {
    pub(in crate::client) started: u64,
    pub(in crate::client) succeeded: u64,
    /// A call that waits before a retry is among them until then.
    pub(in crate::client) failed: u64,
}

impl ActiveCalls {
    pub(in crate::client) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            last_end: AtomicU64::new(0),
            epoch: Instant::now(),
            waiting_for_streams: AtomicUsize::new(0),
        }
    }

    pub(in crate::client) fn activity(&self) -> Activity {
        let ended = self.ended.load(Ordering::Acquire);
        if self.begun.load(Ordering::Acquire) > ended {
            return Activity::Calls;
        }
        let last_end = Duration::from_nanos(self.last_end.load(Ordering::Acquire));
        Activity::NoneSince(self.epoch + last_end)
    }

    /// Returns whether there are no calls, in one order with their begins and for whoever has
    /// published something before: a call that this does not count sees that.
    pub(super) fn is_none_now(&self) -> bool {
        let ended = self.ended.load(Ordering::Acquire);
        // An operation that writes, because a mere load may be done before an earlier store.
        self.begun.fetch_add(0, Ordering::AcqRel) == ended
    }

    /// An attempt begins: before it looks at the picker. `is_first` says that it is the first of its
    /// call.
    pub(in crate::client) fn begin(&self, is_first: bool) {
        if !is_first {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
        self.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// An attempt has ended: with OK or otherwise.
    pub(in crate::client) fn end(&self, is_ok: bool) {
        if !is_ok {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let ended = self.ended.fetch_add(1, Ordering::AcqRel) + 1;
        if self.begun.load(Ordering::Acquire) == ended {
            // After the count, so that the clock is read for the last of several calls alone. A
            // reader between the two finds an older time, and the channel may go idle too early,
            // which costs the next call a connection and nothing else.
            let since = Instant::now().saturating_duration_since(self.epoch);
            let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            self.last_end.fetch_max(nanos, Ordering::AcqRel);
        }
    }

    /// A call has failed before its first attempt.
    pub(in crate::client) fn failed_before_attempt(&self) {
        self.begin(true);
        self.end(false);
    }

    /// The numbers of the calls.
    pub(in crate::client) fn numbers(&self) -> CallNumbers {
        // In this order, so that no number is larger than it should be, not even for a moment.
        let ended = self.ended.load(Ordering::Acquire);
        let failed = self.failed.load(Ordering::Acquire);
        let begun = self.begun.load(Ordering::Acquire);
        let repeated = self.repeated.load(Ordering::Acquire);
        CallNumbers {
            started: begun.saturating_sub(repeated),
            succeeded: ended.saturating_sub(failed),
            failed: failed.saturating_sub(repeated),
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
        calls.begin(true);
        calls.begin(true);
        advance(second).await;
        assert_eq!(calls.activity(), Activity::Calls);
        calls.end(true);
        advance(second).await;
        assert_eq!(calls.activity(), Activity::Calls);
        calls.end(false);
        advance(second).await;
        assert_eq!(calls.activity(), Activity::NoneSince(made + 2 * second));
    }

    #[test]
    fn a_call_counts_until_it_ends() {
        let calls = ActiveCalls::new();
        assert!(calls.is_none_now());
        calls.begin(true);
        assert!(!calls.is_none_now());
        calls.end(true);
        assert!(calls.is_none_now());
    }

    #[test]
    fn the_numbers_are_those_of_calls_whatever_the_number_of_their_attempts() {
        let calls = ActiveCalls::new();
        let attempt = |is_first, is_ok| {
            calls.begin(is_first);
            calls.end(is_ok);
        };
        let seen = || {
            let numbers = calls.numbers();
            [numbers.started, numbers.succeeded, numbers.failed]
        };
        attempt(true, true);
        assert_eq!(seen(), [1, 1, 0]);
        attempt(true, false);
        assert_eq!(seen(), [2, 1, 1]);
        // One that succeeds with its third attempt.
        for (is_first, is_ok) in [(true, false), (false, false), (false, true)] {
            attempt(is_first, is_ok);
        }
        assert_eq!(seen(), [3, 2, 1]);
        // One whose three attempts, made at once, all fail.
        for is_first in [true, false, false] {
            calls.begin(is_first);
        }
        for _ in 0..3 {
            calls.end(false);
        }
        assert_eq!(seen(), [4, 2, 2]);
        calls.failed_before_attempt();
        assert_eq!(seen(), [5, 2, 3]);
        calls.begin(true);
        assert_eq!(seen(), [6, 2, 3], "it is under way");
    }
}
