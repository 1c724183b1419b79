//! The inputs of every attempt at a call, and the beginning of an attempt.
//!
//! Used by unary and streaming calls, on the task that polls the call.
//!
//! Source: grpc-go `clientStream.newAttemptLocked`, `csAttempt.getTransport`,
//! `csAttempt.newStream`.

use std::sync::Arc;
use std::time::Duration;

use rgrpc_http2::BytesQueue;
use tokio::time::Instant;

use super::authorize::Authorized;
use super::call_attempt::CallAttempt;
use super::counted_call::CountedCall;
use super::pick::{Picked, pick, pick_ready};
use super::recorded::{self, RecordedAttempt};
use crate::balancer::PickInfo;
use crate::call::{CallObserver, MethodName};
use crate::client::ClientConn;
use crate::client::call::resolved_call::ResolvedCall;
use crate::client::call::scheduler::{AttemptFailure, AttemptNumber};
use crate::client::call::wait_reason::{WaitRecorder, deadline_exceeded};
use crate::metadata::Metadata;
use crate::stats::CallEvent;
use crate::status::Status;
use crate::transport::{CommonHeaders, OpenError, OpenRequest};

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
    /// Begins an attempt: picks a connection, authorizes the attempt there, opens a stream, and
    /// takes the call's only message if there is one. Every attempt begins here; it ends in
    /// [`CallAttempt::finish`], or here if it fails before it has a stream.
    ///
    /// Waits are boxed: calls that find a connection at once, as most do, need no space for them.
    ///
    /// Cancel-safe.
    pub(in crate::client::call) async fn begin_attempt(
        &self,
        number: AttemptNumber,
        only_message: &mut Option<BytesQueue>,
    ) -> Result<Arc<CallAttempt>, AttemptFailure> {
        let Self {
            conn, method, call, ..
        } = *self;
        if !method.starts_with('/') {
            return Err(malformed(method));
        }
        let recorded = match self.observer {
            Some(observer) => RecordedAttempt::begin(observer, number, call.metadata()),
            None => None,
        };
        let counted = match CountedCall::begin(conn.clone()) {
            Ok(counted) => counted,
            Err(going_idle) => Box::pin(going_idle.wait()).await,
        };
        loop {
            let info = PickInfo::new(method, call.metadata()).with_extensions(call.extensions());
            let Picked {
                permit,
                callback,
                metadata: of_pick,
            } = match pick_ready(conn.shared(), &info) {
                Some(picked) => picked,
                None => {
                    let picked = Box::pin(self.wait_for_pick(&info, recorded.as_deref())).await;
                    picked.map_err(|failure| ended(recorded.as_deref(), failure))?
                }
            };
            self.record(recorded.as_deref(), || {
                CallEvent::Picked(permit.transport.peer())
            });
            // In a block of its own: what differs from the call needs no space in the future afterwards.
            let opened = {
                let own = if self.needs_authorization(&of_pick) {
                    let metadata = self.metadata(recorded.as_deref());
                    let peer = permit.transport.peer();
                    let authorized = Box::pin(self.authorize(peer, metadata, of_pick)).await;
                    authorized.map_err(|failure| ended(recorded.as_deref(), failure))?
                } else {
                    Authorized {
                        metadata: with_pick(self.metadata(recorded.as_deref()), of_pick),
                        headers: None,
                    }
                };
                let timeout = self.timeout();
                let metadata = own.metadata.as_ref();
                let metadata = metadata.unwrap_or_else(|| self.metadata(recorded.as_deref()));
                let opened = permit.transport.open(OpenRequest {
                    path: method,
                    headers: own.headers.as_ref().unwrap_or_else(|| self.headers()),
                    content_subtype: self.content_subtype,
                    previous_attempts: number.previous,
                    timeout: timeout.map_err(|failure| ended(recorded.as_deref(), failure))?,
                    metadata,
                    only_message: only_message.take(),
                });
                if opened.is_ok() {
                    self.record(recorded.as_deref(), || CallEvent::OutHeader(metadata));
                }
                opened
            };
            match opened {
                Ok(stream) => {
                    let observer = self.observer.cloned();
                    let attempt = CallAttempt::new(
                        stream, counted, permit, callback, call, observer, recorded,
                    );
                    return Ok(Arc::new(attempt));
                }
                Err(OpenError::Invalid(status)) => {
                    let failure = AttemptFailure::final_here(status);
                    return Err(ended(recorded.as_deref(), failure));
                }
                // Nothing was sent. The channel hears of the connection's end in a moment; let it,
                // and pick again.
                Err(OpenError::Gone(message)) => {
                    *only_message = message;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// The headers that the call's requests have in common.
    pub(super) fn headers(&self) -> &Arc<CommonHeaders> {
        let of_channel = &self.conn.settings().headers;
        self.call.headers().unwrap_or(of_channel)
    }

    /// The metadata of an attempt: the call's, unless a stats handler has changed it.
    fn metadata<'m>(&'m self, recorded: Option<&'m RecordedAttempt>) -> &'m Metadata {
        let of_attempt = recorded.and_then(RecordedAttempt::metadata);
        of_attempt.unwrap_or(self.call.metadata())
    }

    /// Waits for a connection. The first call starts the channel's task, and so does one that finds
    /// it lost.
    async fn wait_for_pick(
        &self,
        info: &PickInfo<'_>,
        recorded: Option<&RecordedAttempt>,
    ) -> Result<Picked, AttemptFailure> {
        let began = self.observer.map(|_| Instant::now());
        let wait_for_ready = self.call.wait_for_ready();
        let start = || self.conn.start();
        pick(
            self.conn.shared(),
            info,
            wait_for_ready,
            self.recorder,
            start,
        )
        .await
        .inspect(|_| {
            if let Some(began) = began {
                self.record(recorded, || CallEvent::PickDelayed(began.elapsed()));
            }
        })
    }

    /// Records an event of an attempt, if the call has observers.
    fn record<'e>(&self, attempt: Option<&RecordedAttempt>, event: impl FnOnce() -> CallEvent<'e>) {
        if let Some(observer) = self.observer {
            recorded::record(observer, attempt, &event());
        }
    }

    /// The time until the deadline, if the call has one: else the clock is not read.
    #[inline]
    fn timeout(&self) -> Result<Option<Duration>, AttemptFailure> {
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

/// Records the end of an attempt that has failed before it had a stream.
fn ended(recorded: Option<&RecordedAttempt>, failure: AttemptFailure) -> AttemptFailure {
    if let Some(attempt) = recorded {
        attempt.end(Err(&failure.status));
    }
    failure
}

fn malformed(method: &str) -> AttemptFailure {
    AttemptFailure::final_here(Status::internal(format!(
        "malformed method name {method:?}: /service/method is expected"
    )))
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
