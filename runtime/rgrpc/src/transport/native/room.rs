use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory that may be taken before there is anything to put into it, on the word of peers: so much
/// and no more, whatever they announce.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    taken: AtomicUsize,
}

/// A part of a [`Budget`], until it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    budget: &'static Budget,
    octets: usize,
}

impl Budget {
    /// This many octets.
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            taken: AtomicUsize::new(0),
        }
    }

    /// Takes a part, if there is as much left.
    pub(super) fn take(&'static self, octets: usize) -> Option<Room> {
        // Nothing else is read or written on the strength of this number.
        let order = Ordering::Relaxed;
        let more = |taken: usize| taken.checked_add(octets).filter(|&sum| sum <= self.max);
        self.taken.fetch_update(order, order, more).ok()?;
        Some(Room {
            budget: self,
            octets,
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_what_it_has_and_gets_it_back() {
        static BUDGET: Budget = Budget::new(100);
        let first = BUDGET.take(60).expect("all is left");
        assert!(BUDGET.take(41).is_none());
        assert!(BUDGET.take(usize::MAX).is_none());
        let second = BUDGET.take(40).expect("as much is left");
        drop(first);
        assert!(BUDGET.take(61).is_none());
        drop(second);
        assert!(BUDGET.take(100).is_some());
    }
}
