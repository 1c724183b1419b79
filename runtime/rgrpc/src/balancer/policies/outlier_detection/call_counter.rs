use std::sync::atomic::{AtomicU64, Ordering};

/// How the calls of an endpoint have ended since it was last asked. Pickers count, from any thread.
#[derive(Debug, Default)]
pub(super) struct CallCounter {
    successes: AtomicU64,
    failures: AtomicU64,
}

/// How the calls of an endpoint have ended in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CallCounts {
    pub(super) successes: u64,
    pub(super) failures: u64,
}

impl CallCounter {
    /// A call has ended.
    pub(super) fn count(&self, is_success: bool) {
        let counter = if is_success {
            &self.successes
        } else {
            &self.failures
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts, which begin anew.
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

    /// The share of successes, from 0 to 1, of at least one call.
    pub(super) fn success_rate(self) -> f64 {
        self.successes as f64 / self.calls() as f64
    }
}
