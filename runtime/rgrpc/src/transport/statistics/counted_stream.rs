//! A stream that counts itself, for an engine whose connection's task sees no streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::ConnectionStats;

/// A stream that counts itself in its connection's statistics, from its beginning until its response
/// is complete or this is dropped.
pub(crate) struct CountedStream {
    stats: Arc<ConnectionStats>,
    has_ended: AtomicBool,
}

impl CountedStream {
    /// Counts a stream that begins.
    pub(crate) fn begin(stats: &Arc<ConnectionStats>) -> Self {
        stats.begin_stream(Instant::now());
        Self {
            stats: Arc::clone(stats),
            has_ended: AtomicBool::new(false),
        }
    }

    /// The response is complete: with OK or another status. Only the first end counts.
    pub(crate) fn complete(&self, is_ok: bool) {
        self.end(Some(is_ok));
    }

    fn end(&self, complete: Option<bool>) {
        if !self.has_ended.swap(true, Ordering::AcqRel) {
            self.stats.end_stream(complete, Instant::now());
        }
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        self.end(None);
    }
}
