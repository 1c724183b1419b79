use std::task::{Context, Poll};

use tokio::task::AbortHandle;

use crate::resolver::{Resolver, ResolverControl, ResolverEvent, ResolverEvents};

/// A channel's resolver at work, as a task of its own, which ends when this is dropped.
pub(super) struct Resolution {
    events: ResolverEvents,
    task: AbortHandle,
    has_spoken: bool,
    has_ended: bool,
}

impl Resolution {
    pub(super) fn start(resolver: Box<dyn Resolver>) -> Self {
        let (control, events) = ResolverControl::new();
        let task = tokio::spawn(resolver.run(control));
        Self {
            events,
            task: task.abort_handle(),
            has_spoken: false,
            has_ended: false,
        }
    }

    /// What the resolver says next; `None`, once: it has ended.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<ResolverEvent>> {
        if self.has_ended {
            return Poll::Pending;
        }
        let event = self.events.poll_next(cx);
        self.has_spoken |= matches!(event, Poll::Ready(Some(_)));
        self.has_ended = matches!(event, Poll::Ready(None));
        event
    }

    /// Whether it has ever found something, or said that it could not.
    pub(super) fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    /// Asks it to look again.
    pub(super) fn resolve_now(&self) {
        self.events.resolve_now();
    }
}

impl Drop for Resolution {
    fn drop(&mut self) {
        self.task.abort();
    }
}
