//! Wake-ups of a policy from outside of the channel's task.
//!
//! Used by pickers, on the tasks of calls, and by a policy's own tasks; acknowledged by the
//! channel's task before it calls `wake`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Requests a call of [`Balancer::wake`](super::Balancer::wake), from anywhere: for pickers and
/// tasks of a policy.
#[derive(Clone)]
pub struct BalancerWaker(Arc<Inner>);

struct Inner {
    /// A wake was requested and not handled yet.
    is_pending: AtomicBool,
    notify: Box<dyn Fn() + Send + Sync>,
}

impl BalancerWaker {
    /// Creates a waker that calls `notify` for the first of several requests.
    pub(crate) fn new(notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            is_pending: AtomicBool::new(false),
            notify: Box::new(notify),
        }))
    }

    /// Requests a wake. Returns at once. Several requests become one wake.
    pub fn wake(&self) {
        if !self.0.is_pending.swap(true, Ordering::AcqRel) {
            (self.0.notify)();
        }
    }

    /// Acknowledges the request: a later one notifies again. Returns true if there was one.
    pub(crate) fn begin(&self) -> bool {
        self.0.is_pending.swap(false, Ordering::AcqRel)
    }
}

impl fmt::Debug for BalancerWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BalancerWaker")
    }
}
