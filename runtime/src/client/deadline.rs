use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};

use crate::call::{CallContext, CallOptions};
use crate::status::Status;

/// What bounds a call from outside: its deadline, and the call on whose behalf it is made.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) deadline: Option<Instant>,
    parent: Option<CallContext>,
}

impl Bounds {
    pub(super) fn new(options: &CallOptions) -> Self {
        Self {
            deadline: options.deadline(),
            parent: options.parent().cloned(),
        }
    }

    /// Whether nothing bounds the call.
    pub(super) fn is_unbounded(&self) -> bool {
        self.deadline.is_none() && self.parent.is_none()
    }

    /// Whether the deadline has passed at `now`.
    pub(super) fn has_passed(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Ready when the call is over, with the status it ends with.
    pub(super) async fn exceeded(&self) -> Status {
        let deadline = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        let parent = async {
            match &self.parent {
                Some(parent) => parent.done().await,
                None => pending().await,
            }
        };
        let mut deadline = pin!(deadline);
        let mut parent = pin!(parent);
        poll_fn(|cx| {
            if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(deadline_exceeded());
            }
            parent
                .as_mut()
                .poll(cx)
                .map(|()| Status::cancelled("the call on whose behalf this one was made has ended"))
        })
        .await
    }

    /// Runs `call` within the bounds; it is dropped, which cancels it, when one is exceeded.
    pub(super) async fn run<T>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        if self.is_unbounded() {
            return call.await;
        }
        let mut call = pin!(call);
        let mut exceeded = pin!(self.exceeded());
        poll_fn(|cx| {
            // First, so that a deadline that has passed already sends nothing.
            if let Poll::Ready(status) = exceeded.as_mut().poll(cx) {
                return Poll::Ready(Err(status));
            }
            call.as_mut().poll(cx)
        })
        .await
    }
}

/// The status of a call whose deadline has passed on this side.
pub(super) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the call's deadline passed before it ended")
}
