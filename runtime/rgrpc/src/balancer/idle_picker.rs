//! The picker of an IDLE policy.
//!
//! Created by `pick_first` and `Lazy`, on the channel's task; calls pick with it on their own
//! tasks.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{BalancerWaker, PickInfo, PickResult, Picker};

/// A picker of an IDLE policy: calls wait, and the first one wakes the policy to connect.
///
/// The policy keeps the picker, and checks in its [`wake`](super::Balancer::wake) if it [was
/// picked](Self::was_picked).
#[derive(Debug)]
pub struct IdlePicker {
    waker: BalancerWaker,
    was_picked: AtomicBool,
}

impl IdlePicker {
    /// Creates a picker that wakes the policy at its first pick.
    #[must_use]
    pub const fn new(waker: BalancerWaker) -> Self {
        Self {
            waker,
            was_picked: AtomicBool::new(false),
        }
    }

    /// Returns true if a call waits for the policy to connect.
    #[must_use]
    pub fn was_picked(&self) -> bool {
        self.was_picked.load(Ordering::Acquire)
    }
}

impl Picker for IdlePicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        if !self.was_picked.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
        PickResult::Queue
    }
}
