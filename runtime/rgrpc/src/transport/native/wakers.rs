//! The wakers of the tasks that wait for a stream. They are kept and taken under the stream's lock,
//! by any task, and woken without it, by the one that took them.

use std::task::{Context, Waker};

/// Stores the waker of the current task.
pub(super) fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// The wakers that an event of a stream has taken. Whoever holds them wakes them once the stream's
/// lock is released.
#[must_use]
#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) receiver: Option<Waker>,
    pub(super) sender: Option<Waker>,
}

impl Wakers {
    /// Wakes the tasks. The caller does not hold the stream's lock.
    pub(super) fn wake(self) {
        let Self { receiver, sender } = self;
        wake(receiver);
        wake(sender);
    }
}

impl From<Option<Waker>> for Wakers {
    /// The waker of the receiver.
    fn from(receiver: Option<Waker>) -> Self {
        Self {
            receiver,
            sender: None,
        }
    }
}

/// Wakes a task. The caller does not hold the stream's lock.
pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
