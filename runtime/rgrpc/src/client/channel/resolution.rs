//! The resolver of a channel, as a task of its own.
//!
//! Started and polled by the channel's task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use crate::resolver::{Resolver, ResolverControl, ResolverEvent, ResolverEvents};
use crate::task::{Panicked, caught_in};

/// A channel's resolver at work, as a task of its own, which ends when this is dropped.
pub(super) struct Resolution {
    events: ResolverEvents,
    task: JoinHandle<Result<(), Panicked>>,
    has_spoken: bool,
    /// Its control is gone.
    is_silent: bool,
    has_ended: bool,
}

/// The next event of a resolver.
#[derive(Debug)]
pub(super) enum Resolved {
    Event(ResolverEvent),
    /// It says nothing more.
    Silent,
    Panicked,
}

impl Resolution {
    pub(super) fn start(resolver: Box<dyn Resolver>) -> Self {
        let (control, events) = ResolverControl::new();
        let run = caught_in("the resolver", move || resolver.run(control));
        Self {
            events,
            task: tokio::spawn(run),
            has_spoken: false,
            is_silent: false,
            has_ended: false,
        }
    }

    /// Polls for the resolver's next event. After [`Resolved::Silent`] it can still panic, after
    /// [`Resolved::Panicked`] nothing follows.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Resolved> {
        if !self.is_silent {
            match self.events.poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(event)) => {
                    self.has_spoken = true;
                    return Poll::Ready(Resolved::Event(event));
                }
                Poll::Ready(None) => self.is_silent = true,
            }
            // A panic drops the control a moment before the task ends.
            return Poll::Ready(match self.poll_panicked(cx) {
                Poll::Ready(_) => Resolved::Panicked,
                Poll::Pending => Resolved::Silent,
            });
        }
        self.poll_panicked(cx).map(|_| Resolved::Panicked)
    }

    fn poll_panicked(&mut self, cx: &mut Context<'_>) -> Poll<Panicked> {
        if self.has_ended {
            return Poll::Pending;
        }
        match Pin::new(&mut self.task).poll(cx) {
            Poll::Ready(ended) => {
                self.has_ended = true;
                match ended {
                    Ok(Err(panicked)) => Poll::Ready(panicked),
                    // The channel's task ends with the runtime too.
                    Ok(Ok(())) | Err(_) => Poll::Pending,
                }
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Returns whether it has ever answered.
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
