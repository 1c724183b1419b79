use std::sync::atomic::{AtomicUsize, Ordering};

/// How many streams a server allows on a connection, and how many calls wait for one: kept by the
/// connection's task, for others to read.
#[derive(Debug)]
pub(crate) struct StreamQuota {
    max: AtomicUsize,
    waiting: AtomicUsize,
}

impl StreamQuota {
    /// Any number, as long as the server has not said otherwise.
    pub(crate) fn new() -> Self {
        Self {
            max: AtomicUsize::new(usize::MAX),
            waiting: AtomicUsize::new(0),
        }
    }

    /// How many streams may be open at once: SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Acquire)
    }

    /// The server has said so. Whether that is more than before.
    pub(crate) fn set_max(&self, max: usize) -> bool {
        self.max.swap(max, Ordering::AcqRel) < max
    }

    /// How many calls wait for a stream.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_waiting(&self, waiting: usize) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}
