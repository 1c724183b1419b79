//! The counters of an endpoint's successful and failed calls.
//!
//! Counted by the ends of attempts, on the tasks of their calls; taken by the policy at the end of
//! each interval, on the channel's task.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the outcomes of an endpoint's calls in the present interval. Pickers count from any
/// thread.
#[derive(Debug, Default)]
pub(super) struct CallCounter {
    successes: AtomicU64,
    failures: AtomicU64,
}

/// The outcomes of an endpoint's calls in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CallCounts {
    pub(super) successes: u64,
    pub(super) failures: u64,
}

impl CallCounter {
    /// Counts a call.
    pub(super) fn count(&self, is_success: bool) {
        let counter = if is_success {
            &self.successes
        } else {
            &self.failures
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts and resets them.
    pub(super) fn take(&self) -> CallCounts {
        CallCounts {
            successes: self.successes.swap(0, Ordering::Relaxed),
            failures: self.failures.swap(0, Ordering::Relaxed),
        }
    }
}

impl CallCounts {
    pub(super) fn calls(self) -> u64 {
        self.successes + self.failures
    }

    /// The share of successful calls, from 0 to 1. There must be at least one call.
    pub(super) fn success_rate(self) -> f64 {
        self.successes as f64 / self.calls() as f64
    }
}
