//! The time at which a client's connection was last heard of. The connection's task writes it, and calls
//! read it for their error texts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The time at which something was last received on a connection. Calls that have waited for an
/// answer in vain name it in their texts: an interrupted connection is silent, that of a slow
/// server is not.
///
/// The connection's task writes it once for each turn that has read something, at the cost of a
/// store.
#[derive(Debug)]
pub(crate) struct LastReceived {
    epoch: Instant,
    /// The time in nanoseconds after `epoch`.
    at: AtomicU64,
}

impl LastReceived {
    /// Creates one for a connection that is made now.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            at: AtomicU64::new(0),
        }
    }

    /// The time at which the connection was made.
    pub(crate) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// The time at which something was last received, or the connection was made.
    pub(crate) fn at(&self) -> Instant {
        self.epoch + Duration::from_nanos(self.at.load(Ordering::Relaxed))
    }

    /// Records that something was received at `now`.
    #[inline]
    pub(crate) fn set(&self, now: Instant) {
        let since = now.saturating_duration_since(self.epoch).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.at.store(since, Ordering::Relaxed);
    }

    /// The duration without anything received, at `now`.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        let at = Duration::from_nanos(self.at.load(Ordering::Relaxed));
        now.saturating_duration_since(self.epoch).saturating_sub(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_begins_with_the_connection_and_with_whatever_is_received() {
        let last = LastReceived::new();
        let at = |seconds| last.epoch + Duration::from_secs(seconds);
        assert_eq!(last.silence(at(3)), Duration::from_secs(3));
        last.set(at(4));
        assert_eq!(last.silence(at(4)), Duration::ZERO);
        assert_eq!(last.silence(at(9)), Duration::from_secs(5));
        // A clock that was read before the other.
        assert_eq!(last.silence(at(2)), Duration::ZERO);
    }
}
