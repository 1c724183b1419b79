use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory that may be taken before there is anything to put into it, on the word of peers: so much
/// and no more, whatever they announce.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    max: usize,
    taken: AtomicUsize,
}

/// A part of a [`MemoryBudget`], until it is dropped.
#[derive(Debug)]
pub(super) struct MemoryReservation {
    budget: &'static MemoryBudget,
    octets: usize,
}

impl MemoryBudget {
    /// This many octets.
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            taken: AtomicUsize::new(0),
        }
    }

    /// Takes a part, if there is as much left.
    pub(super) fn reserve(&'static self, octets: usize) -> Option<MemoryReservation> {
        // Nothing else is read or written on the strength of this number.
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
