//! The picker of `round_robin`, and of a sharding.
//!
//! Created on the channel's task; calls pick with it on their own tasks, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::balancer::{PickInfo, PickResult, Picker};

/// Uses several pickers in turn.
pub struct RoundRobinPicker {
    pickers: Vec<Arc<dyn Picker>>,
    next: AtomicUsize,
}

impl RoundRobinPicker {
    /// Creates a picker of these pickers. `start`, in [0, 1), chooses the first one. Without
    /// pickers, calls wait. A single picker is returned as it is.
    #[must_use]
    pub fn of(pickers: Vec<Arc<dyn Picker>>, start: f64) -> Arc<dyn Picker> {
        if let [only] = &pickers[..] {
            return Arc::clone(only);
        }
        // The conversion rounds down.
        let next = (start * pickers.len() as f64) as usize;
        Arc::new(Self {
            pickers,
            next: AtomicUsize::new(next),
        })
    }
}

impl Picker for RoundRobinPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match turn.checked_rem(self.pickers.len()) {
            Some(index) => self.pickers[index].pick(call),
            None => PickResult::Queue,
        }
    }
}
