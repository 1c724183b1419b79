//! Limits on the memory that is allocated for messages before they arrive.
//!
//! The native engine reserves memory from them, on the tasks of connections.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// The size of the shared budget, in bytes.
const SHARED: usize = 64 * 1024 * 1024;

static SHARED_BUDGET: LazyLock<MemoryBudget> = LazyLock::new(|| MemoryBudget::new(SHARED));

/// A limit on the memory that is allocated for messages before they arrive.
///
/// A message from 64 KiB to 16 MiB that a call waits for gets its whole buffer when its first part
/// has come, so that the rest is read straight into it. The peer announces the length, so the limit
/// bounds the memory that all peers together can cause before they send. A message that exceeds it
/// arrives in pieces: flow control bounds those, and they cost a copy.
///
/// The clones of a handle are one budget, which any number of channels and servers can share
/// ([`ClientConnBuilder::memory_budget`](crate::ClientConnBuilder::memory_budget),
/// [`Server::memory_budget`](crate::Server::memory_budget)). Default: [`shared`](Self::shared).
/// With [`Transport::H2`](crate::Transport) all messages arrive in pieces, and nothing is reserved.
#[derive(Clone)]
pub struct MemoryBudget(Arc<Budget>);

struct Budget {
    max: usize,
    reserved: AtomicUsize,
}

/// A reserved part of a [`MemoryBudget`], which is released when it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryReservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl MemoryBudget {
    /// Creates a budget of `max_bytes` bytes. With 0 all messages arrive in pieces.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Budget {
            max: max_bytes,
            reserved: AtomicUsize::new(0),
        }))
    }

    /// Returns the process-wide budget of 64 MiB. It is the default of all channels and servers.
    #[must_use]
    pub fn shared() -> Self {
        SHARED_BUDGET.clone()
    }

    /// Returns the size of the budget, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.0.max
    }

    /// Returns the part that messages reserve at present, in bytes.
    #[must_use]
    pub fn reserved_bytes(&self) -> usize {
        self.0.reserved.load(Ordering::Relaxed)
    }

    /// Reserves memory. Returns `None` if less is left.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<MemoryReservation> {
        // No other memory access depends on this number.
        let order = Ordering::Relaxed;
        let Budget { max, reserved } = &*self.0;
        let more = |reserved: usize| reserved.checked_add(bytes).filter(|sum| sum <= max);
        reserved.fetch_update(order, order, more).ok()?;
        Some(MemoryReservation {
            budget: self.clone(),
            bytes,
        })
    }
}

impl Default for MemoryBudget {
    /// The [shared](Self::shared) budget.
    fn default() -> Self {
        Self::shared()
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget")
            .field("max_bytes", &self.max_bytes())
            .field("reserved_bytes", &self.reserved_bytes())
            .finish()
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        let Budget { reserved, .. } = &*self.budget.0;
        reserved.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_what_it_has_and_gets_it_back() {
        let budget = MemoryBudget::new(100);
        let first = budget.reserve(60).expect("all is left");
        assert!(budget.reserve(41).is_none());
        assert!(budget.reserve(usize::MAX).is_none());
        let second = budget.clone().reserve(40).expect("as much is left");
        assert_eq!(budget.reserved_bytes(), 100);
        drop(first);
        assert!(budget.reserve(61).is_none());
        drop(second);
        assert!(budget.reserve(100).is_some());
        assert_eq!(budget.reserved_bytes(), 0);
        assert!(MemoryBudget::new(0).reserve(1).is_none());
        assert_eq!(MemoryBudget::default().max_bytes(), 64 * 1024 * 1024);
    }
}
