//! The number of streams that the server of a client's connection allows, and of those that wait for it.
//! The connection's task writes it; attempts and the channel's task read it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The streams that a server allows on a connection, and the number of calls that wait for one. The
/// connection's task writes both, and other tasks read them.
#[derive(Debug)]
pub(crate) struct StreamQuota {
    max: AtomicUsize,
    waiting: AtomicUsize,
}

impl StreamQuota {
    /// Creates a quota without a limit, which holds until the server sets one.
    pub(crate) fn new() -> Self {
        Self {
            max: AtomicUsize::new(usize::MAX),
            waiting: AtomicUsize::new(0),
        }
    }

    /// The maximum number of open streams: SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Acquire)
    }

    /// Sets the maximum. Returns whether it is larger than before.
    pub(crate) fn set_max(&self, max: usize) -> bool {
        self.max.swap(max, Ordering::AcqRel) < max
    }

    /// The number of calls that wait for a stream.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_waiting(&self, waiting: usize) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}
