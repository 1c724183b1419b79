use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Has [`Balancer::wake`](super::Balancer::wake) called, from anywhere: for pickers and for tasks
/// of a policy that have something for it.
#[derive(Clone)]
pub struct BalancerWaker(Arc<Inner>);

struct Inner {
    /// It has been asked for, and has not been done yet.
    is_pending: AtomicBool,
    notify: Box<dyn Fn() + Send + Sync>,
}

impl BalancerWaker {
    /// A waker that calls `notify` when the first of any number of wakes is asked for.
    pub(crate) fn new(notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            is_pending: AtomicBool::new(false),
            notify: Box::new(notify),
        }))
    }

    /// Asks for a wake, soon. Does not wait for it; several that were asked for become one.
    pub fn wake(&self) {
        if !self.0.is_pending.swap(true, Ordering::AcqRel) {
            (self.0.notify)();
        }
    }

    /// What was asked for is about to be done; what is asked for from now on is another time.
    /// Whether it was asked for.
    pub(crate) fn begin(&self) -> bool {
        self.0.is_pending.swap(false, Ordering::AcqRel)
    }
}

impl fmt::Debug for BalancerWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BalancerWaker")
    }
}
