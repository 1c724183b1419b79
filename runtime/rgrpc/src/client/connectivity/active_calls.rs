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
    /// The number of calls, and [`GOING_IDLE`].
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

/// The channel is going idle at this moment: calls that begin have to wait until it has.
const GOING_IDLE: usize = 1 << (usize::BITS - 1);

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
        if self.count.load(Ordering::Acquire) & !GOING_IDLE > 0 {
            return Activity::Calls;
        }
        let last_end = Duration::from_nanos(self.last_end.load(Ordering::Acquire));
        Activity::NoneSince(self.epoch + last_end)
    }

    /// Does `go_idle` unless there are calls; returns whether it was done. Calls that begin
    /// meanwhile wait.
    pub(in crate::client) fn if_none(&self, go_idle: impl FnOnce()) -> bool {
        let none = self
            .count
            .compare_exchange(0, GOING_IDLE, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if none {
            go_idle();
            self.count.fetch_and(!GOING_IDLE, Ordering::AcqRel);
        }
        none
    }

    /// A call begins; returns false if it has to wait while the channel is going idle.
    pub(in crate::client) fn begin(&self) -> bool {
        self.count.fetch_add(1, Ordering::AcqRel) & GOING_IDLE == 0
    }

    pub(in crate::client) fn is_going_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) & GOING_IDLE != 0
    }

    /// A call has ended.
    pub(in crate::client) fn end(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) & !GOING_IDLE == 1 {
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
        assert!(calls.begin() && calls.begin());
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
    fn a_channel_with_calls_does_not_go_idle() {
        let calls = ActiveCalls::new();
        assert!(calls.begin());
        assert!(!calls.if_none(|| panic!("there is a call")));
        calls.end();
        assert!(calls.if_none(|| {}));
    }

    #[test]
    fn a_call_that_begins_while_the_channel_goes_idle_waits_until_it_has() {
        let calls = ActiveCalls::new();
        let went = calls.if_none(|| {
            assert!(!calls.begin());
            assert!(calls.is_going_idle());
        });
        assert!(went && !calls.is_going_idle());
        assert_eq!(calls.activity(), Activity::Calls, "it still counts");
        assert!(!calls.if_none(|| {}));
    }
}
