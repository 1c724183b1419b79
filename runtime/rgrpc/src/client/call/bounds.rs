//! The bounds of a call from outside: its deadline, its cancel handle and its parent.
//!
//! Polled by the future of a unary call and of a call that begins, on the caller's task, and by the
//! task that watches over a streaming call.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::resolved_call::ResolvedCall;
use super::wait_reason::{WaitReason, deadline_exceeded};
use crate::call::{CallContext, CallOptions, CancelHandle};
use crate::status::Status;
use crate::task::outside_of_a_runtime;

/// The deadline, the cancel handle and the parent of a call.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    deadline: Option<Instant>,
    cancel: Option<CancelHandle>,
    parent: Option<CallContext>,
}

impl Bounds {
    pub(super) fn of_call(call: &ResolvedCall) -> Self {
        Self {
            deadline: call.deadline(),
            cancel: call.cancel_handle().cloned(),
            parent: call.parent().cloned(),
        }
    }

    /// The bounds of a call whose method's config is not known yet.
    pub(super) fn of_options(options: &CallOptions) -> Self {
        Self {
            deadline: options.deadline(),
            cancel: options.cancel_handle().cloned(),
            parent: options.parent().cloned(),
        }
    }

    /// Returns whether the call has no bounds.
    pub(super) fn is_unbounded(&self) -> bool {
        self.deadline.is_none() && self.cancel.is_none() && self.parent.is_none()
    }

    /// Waits until a bound is exceeded.
    pub(super) async fn exceeded(self) -> Exceeded {
        if Handle::try_current().is_err() {
            return Exceeded::OutsideRuntime;
        }
        let mut deadline = pin!(self.deadline.map(sleep_until));
        let mut cancel = pin!(self.cancel.as_ref().map(CancelHandle::cancelled));
        let mut parent = pin!(self.parent.as_ref().map(CallContext::done));
        poll_fn(|cx| {
            if poll_some(cancel.as_mut(), cx).is_ready() {
                return Poll::Ready(Exceeded::Cancelled);
            }
            if poll_some(deadline.as_mut(), cx).is_ready() {
                return Poll::Ready(Exceeded::Deadline);
            }
            poll_some(parent.as_mut(), cx).map(|()| Exceeded::Parent)
        })
        .await
    }

    /// Runs a call to `target` within the bounds. When one is exceeded, the call is dropped, which
    /// cancels it; when that is the deadline, `waited_for` is asked then, after the drop. The call
    /// stays where it is pinned: a future that was given here would be kept twice, here and where
    /// it came from.
    #[inline]
    pub(super) fn run<'a, T>(
        self,
        mut call: Pin<&'a mut Option<impl Future<Output = Result<T, Status>>>>,
        target: &'a str,
        waited_for: impl Fn() -> Option<WaitReason>,
    ) -> impl Future<Output = Result<T, Status>> {
        // Boxed, so that calls without bounds need no space for it.
        let mut exceeded = (!self.is_unbounded()).then(|| Box::pin(self.exceeded()));
        poll_fn(move |cx| {
            // First, so that a deadline that has passed already sends nothing.
            if let Some(exceeded) = &mut exceeded
                && let Poll::Ready(exceeded) = exceeded.as_mut().poll(cx)
            {
                call.set(None);
                return Poll::Ready(Err(exceeded.status(target, &waited_for)));
            }
            poll_some(call.as_mut(), cx)
        })
    }
}

/// Polls a future that is there.
fn poll_some<F: Future>(future: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<F::Output> {
    match future.as_pin_mut() {
        Some(future) => future.poll(cx),
        None => Poll::Pending,
    }
}

/// The bound that a call has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    Deadline,
    /// Its cancel handle was used.
    Cancelled,
    /// The call on whose behalf it was made has ended.
    Parent,
    /// Nobody can watch over them outside of a tokio runtime.
    OutsideRuntime,
}

impl Exceeded {
    /// The status of the call to `target`.
    pub(super) fn status(
        self,
        target: &str,
        waited_for: impl FnOnce() -> Option<WaitReason>,
    ) -> Status {
        match self {
            Self::Deadline => deadline_exceeded(target, waited_for().as_ref()),
            Self::Cancelled => Status::cancelled("the call was cancelled by its cancel handle"),
            Self::Parent => {
                Status::cancelled("the call on whose behalf this one was made has ended")
            }
            Self::OutsideRuntime => Status::internal(outside_of_a_runtime("a call was made")),
        }
    }
}
