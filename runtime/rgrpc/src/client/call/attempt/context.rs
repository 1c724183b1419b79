//! The inputs of every attempt at a call.
//!
//! Used by unary and streaming calls, on the task that polls the call.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::recorded::{self, RecordedAttempt};
use crate::call::{CallObserver, MethodName};
use crate::client::ClientConn;
use crate::client::call::resolved_call::ResolvedCall;
use crate::client::call::scheduler::AttemptFailure;
use crate::client::call::wait_reason::deadline_exceeded;
use crate::client::call::wait_recorder::WaitRecorder;
use crate::metadata::Metadata;
use crate::stats::CallEvent;
use crate::transport::CommonHeaders;

/// The inputs of every attempt at a call.
#[derive(Clone, Copy)]
pub(in crate::client::call) struct AttemptContext<'a> {
    pub(in crate::client::call) conn: &'a ClientConn,
    pub(in crate::client::call) method: &'a MethodName,
    pub(in crate::client::call) content_subtype: &'static str,
    pub(in crate::client::call) call: &'a ResolvedCall,
    /// The reason of the wait in which an attempt was abandoned.
    pub(in crate::client::call) recorder: &'a WaitRecorder,
    /// The observers of the call, if it has any.
    pub(in crate::client::call) observer: Option<&'a Arc<CallObserver>>,
}

impl AttemptContext<'_> {
    /// The headers that the call's requests have in common.
    pub(super) fn headers(&self) -> &Arc<CommonHeaders> {
        let of_channel = &self.conn.settings().headers;
        self.call.headers().unwrap_or(of_channel)
    }

    /// The metadata of an attempt: the call's, unless a stats handler has changed it.
    pub(super) fn metadata<'m>(&'m self, recorded: Option<&'m RecordedAttempt>) -> &'m Metadata {
        let of_attempt = recorded.and_then(RecordedAttempt::metadata);
        of_attempt.unwrap_or(self.call.metadata())
    }

    /// Records an event of an attempt, if the call has observers.
    pub(super) fn record<'e>(
        &self,
        attempt: Option<&RecordedAttempt>,
        event: impl FnOnce() -> CallEvent<'e>,
    ) {
        if let Some(observer) = self.observer {
            recorded::record(observer, attempt, &event());
        }
    }

    /// The time until the deadline, if the call has one: else the clock is not read.
    #[inline]
    pub(super) fn timeout(&self) -> Result<Option<Duration>, AttemptFailure> {
        let Some(deadline) = self.call.deadline() else {
            return Ok(None);
        };
        let left = time_left(deadline, Instant::now());
        let passed = || AttemptFailure::final_here(deadline_exceeded(self.conn.target(), None));
        left.map(Some).ok_or_else(passed)
    }
}

/// The time from `now` to the deadline; `None` when that has passed.
fn time_left(deadline: Instant, now: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(now);
    (!left.is_zero()).then_some(left)
}

/// This metadata and that of the pick, if the pick has any.
pub(super) fn with_pick(metadata: &Metadata, of_pick: Metadata) -> Option<Metadata> {
    (!of_pick.is_empty()).then(|| {
        let mut metadata = metadata.clone();
        metadata.merge(of_pick);
        metadata
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_passed_from_its_own_moment_on() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for (now, left) in [(0, Some(10)), (9, Some(1)), (10, None), (11, None)] {
            let left = left.map(Duration::from_millis);
            assert_eq!(time_left(at(10), at(now)), left, "at {now}");
        }
    }
}
