//! The watch over the end of a call with interceptors.
//!
//! Held by the call's future, and by the receiving half of a streaming call.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::{OutgoingCall, TypedCall};
use crate::metadata::Metadata;
use crate::status::Status;

/// Tells the hooks of a call of its end; of CANCELLED if it is dropped before.
pub(super) struct EndGuard {
    typed: Arc<dyn TypedCall>,
    has_ended: bool,
}

impl EndGuard {
    #[inline]
    pub(super) fn new(call: &OutgoingCall) -> Self {
        Self {
            typed: Arc::clone(&call.typed),
            has_ended: false,
        }
    }

    /// Returns whether there are hooks, or a clone of the call that can add one.
    pub(super) fn may_have_hooks(&self) -> bool {
        if Arc::strong_count(&self.typed) > 1 {
            return true;
        }
        // Acquires the writes of the holders of dropped clones.
        fence(Ordering::Acquire);
        self.typed.end().has_hooks()
    }

    /// The call has ended: with these trailers, or with a failure. Only the first end counts.
    #[inline]
    pub(super) fn tell(&self, end: Result<&Metadata, &Status>) {
        self.typed.end().end(end);
    }

    /// As [`tell`](Self::tell), when nothing else tells of an end.
    #[inline]
    pub(super) fn finish(mut self, end: Result<&Metadata, &Status>) {
        self.has_ended = true;
        self.tell(end);
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.has_ended
            && let Some(hooks) = self.typed.end().close()
        {
            let status = Status::cancelled("the call was dropped before it had ended");
            hooks.tell(Err(&status));
        }
    }
}
