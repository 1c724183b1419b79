//! The recorders of a call that goes through filters.
//!
//! The stats handlers have begun the call before its filters were known; its first run behind the
//! filters takes the recorders. Used on the caller's task.

use std::fmt;
use std::sync::Mutex;

use tokio::time::Instant;

use crate::interceptor::CallOutcome;
use crate::lock::lock;
use crate::stats::{CallEvent, CallRecorders};

/// The recorders of a call and the time of its begin, `None` if no stats handler records it.
pub(crate) type BegunRecorders = (CallRecorders, Option<Instant>);

/// The recorders of a call, until a run takes them.
pub(crate) struct HandedRecorders(Mutex<Option<BegunRecorders>>);

impl HandedRecorders {
    pub(super) fn new(recorders: BegunRecorders) -> Self {
        Self(Mutex::new(Some(recorders)))
    }

    /// Takes the recorders, if no other run has.
    pub(crate) fn take(&self) -> Option<BegunRecorders> {
        lock(&self.0).take()
    }

    /// The call has ended: without a run, if the recorders are still here.
    pub(super) fn end(&self, outcome: &CallOutcome<'_>) {
        if let Some((recorders, Some(began))) = self.take() {
            let end = outcome.status().map(|()| outcome.trailer());
            recorders.record(&CallEvent::End(CallOutcome::of_client(end, began)));
        }
    }
}

impl fmt::Debug for HandedRecorders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandedRecorders")
    }
}
