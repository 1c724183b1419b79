use std::sync::atomic::{AtomicBool, Ordering};

use super::{BalancerWaker, PickInfo, PickResult, Picker};

/// Lets calls wait, and notes down for its policy that there are some: for a policy that connects
/// when it is needed.
///
/// The policy keeps it, and finds out in its [`wake`](super::Balancer::wake) whether it
/// [was picked](Self::was_picked).
#[derive(Debug)]
pub struct IdlePicker {
    waker: BalancerWaker,
    was_picked: AtomicBool,
}

impl IdlePicker {
    /// A picker that wakes the policy at its first pick.
    #[must_use]
    pub const fn new(waker: BalancerWaker) -> Self {
        Self {
            waker,
            was_picked: AtomicBool::new(false),
        }
    }

    /// Whether a call waits for the policy to leave idle.
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
