//! The recording of an attempt: its events, for the stats handlers that tell attempts apart.
//!
//! Made when an attempt begins, on the task that polls the call; records on the tasks of its halves.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use crate::call::CallObserver;
use crate::client::call::scheduler::AttemptNumber;
use crate::interceptor::CallOutcome;
use crate::metadata::Metadata;
use crate::stats::{AttemptBegin, AttemptRecorders, CallEvent};
use crate::status::Status;

/// The part of an attempt that its stats handlers have made. Dropping it records the end of an
/// attempt that has not ended.
pub(in crate::client::call) struct RecordedAttempt {
    recorders: AttemptRecorders,
    /// The request's metadata, if a handler has changed it.
    metadata: Option<Metadata>,
    began: Instant,
    has_ended: AtomicBool,
}

impl RecordedAttempt {
    /// Begins an attempt with the stats handlers: that of a request with this metadata. `None` if it
    /// has nothing of its own.
    pub(super) fn begin(
        observer: &CallObserver,
        number: AttemptNumber,
        metadata: &Metadata,
    ) -> Option<Box<Self>> {
        let (recorders, _) = observer.recorders()?;
        let mut begin = AttemptBegin {
            previous_attempts: number.previous,
            is_transparent_retry: number.is_transparent_retry,
            is_hedged: number.is_hedged,
            metadata: Cow::Borrowed(metadata),
        };
        let recorders = recorders.begin_attempt(&mut begin);
        if recorders.is_none() && matches!(begin.metadata, Cow::Borrowed(_)) {
            return None;
        }
        let metadata = match begin.metadata {
            Cow::Borrowed(_) => None,
            Cow::Owned(metadata) => Some(metadata),
        };
        Some(Box::new(Self {
            recorders: recorders.unwrap_or_default(),
            metadata,
            began: Instant::now(),
            has_ended: AtomicBool::new(false),
        }))
    }

    pub(super) fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Records an event: with the attempt's recorders, or with the call's where it has none.
    fn record(&self, observer: &CallObserver, event: &CallEvent<'_>) {
        if let Some((of_call, _)) = observer.recorders() {
            of_call.record_of_attempt(&self.recorders, event);
        }
    }

    /// Records an event that the call's recorders have for themselves.
    pub(super) fn record_own(&self, event: &CallEvent<'_>) {
        self.recorders.record(event);
    }

    /// The attempt has ended: with these trailers, or with a failure. Only the first end counts.
    pub(super) fn end(&self, end: Result<&Metadata, &Status>) {
        if !self.has_ended.swap(true, Ordering::AcqRel) {
            let outcome = CallOutcome::of_client(end, self.began);
            self.recorders.record(&CallEvent::End(outcome));
        }
    }
}

impl Drop for RecordedAttempt {
    fn drop(&mut self) {
        if !self.has_ended.load(Ordering::Acquire) {
            let status = Status::cancelled("the attempt was dropped before it had ended");
            self.end(Err(&status));
        }
    }
}

/// Records an event of an attempt: with its own recorders, or with the call's where it has none.
#[inline]
pub(super) fn record(
    observer: &CallObserver,
    attempt: Option<&RecordedAttempt>,
    event: &CallEvent<'_>,
) {
    match attempt {
        None => observer.record(event),
        Some(attempt) => attempt.record(observer, event),
    }
}
