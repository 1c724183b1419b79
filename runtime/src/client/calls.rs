use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

use super::ClientConn;
use super::idleness::Activity;

/// Counts a channel's calls, for its idle mode. A call costs one atomic addition and one
/// subtraction.
///
/// Source: grpc-go `internal/idle`, `Manager.OnCallBegin` and `OnCallEnd`.
#[derive(Debug)]
pub(super) struct Calls {
    /// How many there are; and [`GOING_IDLE`].
    count: AtomicUsize,
    /// When there were none any more, in nanoseconds after `epoch`.
    last_end: AtomicU64,
    epoch: Instant,
}

/// The channel is going idle at this moment: calls that begin have to wait until it has.
const GOING_IDLE: usize = 1 << (usize::BITS - 1);

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            last_end: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    pub(super) fn activity(&self) -> Activity {
        if self.count.load(Ordering::Acquire) & !GOING_IDLE > 0 {
            return Activity::Calls;
        }
        let last_end = Duration::from_nanos(self.last_end.load(Ordering::Acquire));
        Activity::NoneSince(self.epoch + last_end)
    }

    /// Does `go_idle` unless there are calls; whether it was done. Those that begin meanwhile wait.
    pub(super) fn if_none(&self, go_idle: impl FnOnce()) -> bool {
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

    fn begin(&self) -> bool {
        self.count.fetch_add(1, Ordering::AcqRel) & GOING_IDLE == 0
    }

    fn is_going_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) & GOING_IDLE != 0
    }

    fn end(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) & !GOING_IDLE == 1 {
            // After the count, so that the clock is read for the last of several calls alone. Who
            // looks between the two finds an older time, and the channel may go idle too early,
            // which costs the next call a connection and nothing else.
            let since = Instant::now().saturating_duration_since(self.epoch);
            let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            self.last_end.fetch_max(nanos, Ordering::AcqRel);
        }
    }
}

/// A call that counts, from before it has a connection until it ends. Keeps its channel open.
pub(super) struct CountedCall {
    conn: ClientConn,
    ended: AtomicBool,
}

impl CountedCall {
    /// Begins a call. What it reads of the channel afterwards is not about to be closed for being
    /// idle.
    pub(super) fn begin(conn: ClientConn) -> Result<Self, GoingIdle> {
        let may_go_on = conn.cell().calls().begin();
        let call = Self {
            conn,
            ended: AtomicBool::new(false),
        };
        if may_go_on {
            Ok(call)
        } else {
            Err(GoingIdle(call))
        }
    }

    pub(super) fn conn(&self) -> &ClientConn {
        &self.conn
    }

    /// The call counts no more. Idempotent.
    pub(super) fn end(&self) {
        if !self.has_ended() && !self.ended.swap(true, Ordering::AcqRel) {
            self.conn.cell().calls().end();
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// A call that has begun while its channel goes idle.
pub(super) struct GoingIdle(CountedCall);

impl GoingIdle {
    /// The call, when the channel is idle. The channel's task is on another thread, between two
    /// steps that do not wait.
    pub(super) async fn wait(self) -> CountedCall {
        while self.0.conn.cell().calls().is_going_idle() {
            yield_now().await;
        }
        self.0
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_that_counts_is_when_the_last_of_the_calls_ended() {
        let second = Duration::from_secs(1);
        let calls = Calls::new();
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
        let calls = Calls::new();
        assert!(calls.begin());
        assert!(!calls.if_none(|| panic!("there is a call")));
        calls.end();
        assert!(calls.if_none(|| {}));
    }

    #[test]
    fn a_call_that_begins_while_the_channel_goes_idle_waits_until_it_has() {
        let calls = Calls::new();
        let went = calls.if_none(|| {
            assert!(!calls.begin());
            assert!(calls.is_going_idle());
        });
        assert!(went && !calls.is_going_idle());
        assert_eq!(calls.activity(), Activity::Calls, "it still counts");
        assert!(!calls.if_none(|| {}));
    }
}
