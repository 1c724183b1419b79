//! The header list that the peer of a connection accepts. The connection's task sets it, and calls
//! read it before they send headers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The largest header list that the peer of a connection accepts: its SETTINGS_MAX_HEADER_LIST_SIZE,
/// which `h2` does not show.
#[derive(Debug)]
pub(super) struct HeaderListLimit(AtomicU32);

impl HeaderListLimit {
    /// Creates a limit that is infinite until the peer sets one.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(u32::MAX)))
    }

    /// Returns the limit; [`u32::MAX`] for none.
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the limit.
    pub(super) fn set(&self, max: u32) {
        self.0.store(max, Ordering::Relaxed);
    }

    /// Returns the limit, if a header list of this size is over it.
    pub(super) fn exceeded_by(&self, size: impl FnOnce() -> usize) -> Option<(usize, u32)> {
        let limit = self.get();
        if limit == u32::MAX {
            return None;
        }
        let size = size();
        (size > limit as usize).then_some((size, limit))
    }
}
