//! The limit on the memory of all large messages in the process. The tasks of all connections share
//! it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A limit on the memory that is allocated before its content arrives. Peers announce the amount,
/// so the limit holds whatever they announce.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    max: usize,
    taken: AtomicUsize,
}

/// A reserved part of a [`MemoryBudget`], which is released when it is dropped.
#[derive(Debug)]
pub(super) struct MemoryReservation {
    budget: &'static MemoryBudget,
    octets: usize,
}

impl MemoryBudget {
    /// Creates a budget of `max` octets.
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            taken: AtomicUsize::new(0),
        }
    }

    /// Reserves memory. Returns `None` if less is left.
    pub(super) fn reserve(&'static self, octets: usize) -> Option<MemoryReservation> {
        // No other memory access depends on this number.
        let order = Ordering::Relaxed;
        let more = |taken: usize| taken.checked_add(octets).filter(|&sum| sum <= self.max);
        self.taken.fetch_update(order, order, more).ok()?;
        Some(MemoryReservation {
            budget: self,
            octets,
        })
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_what_it_has_and_gets_it_back() {
        static BUDGET: MemoryBudget = MemoryBudget::new(100);
        let first = BUDGET.reserve(60).expect("all is left");
        assert!(BUDGET.reserve(41).is_none());
        assert!(BUDGET.reserve(usize::MAX).is_none());
        let second = BUDGET.reserve(40).expect("as much is left");
        drop(first);
        assert!(BUDGET.reserve(61).is_none());
        drop(second);
        assert!(BUDGET.reserve(100).is_some());
    }
}
