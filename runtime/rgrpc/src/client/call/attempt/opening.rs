//! The beginning of an attempt, until it has a stream.
//!
//! Used by unary and streaming calls, on the task that polls the call.
//!
//! Source: grpc-go `clientStream.newAttemptLocked`, `csAttempt.getTransport`,
//! `csAttempt.newStream`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rgrpc_http2::BytesQueue;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::authorized::Authorized;
use super::call_attempt::CallAttempt;
use super::context::{AttemptContext, with_pick};
use super::counted_attempt::CountedAttempt;
use super::pick::{Picked, PickerCallback, Unpicked, pick, wait_for_pick};
use super::recorded::RecordedAttempt;
use crate::balancer::PickInfo;
use crate::client::call::bounds::BoundedCall;
use crate::client::call::scheduler::{AttemptFailure, AttemptNumber};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::stats::{CallEvent, PickedConnection};
use crate::status::Status;
use crate::transport::{OpenError, OpenRequest};

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
            conn.shared().calls.failed_before_attempt();
            return Err(malformed(method));
        }
        let recorded = match self.observer {
            Some(observer) => RecordedAttempt::begin(observer, number, call.metadata()),
            None => None,
        };
        let counted = CountedAttempt::begin(conn.clone(), number.is_first());
        let mut callback = PickerCallback::default();
        loop {
            let info = PickInfo::new(method, call.metadata()).with_extensions(call.extensions());
            let Picked {
                permit,
                metadata: of_pick,
            } = match self.pick(&info, recorded.as_deref(), &mut callback) {
                Ok(picked) => picked,
                Err(waiting) => waiting.await?,
            };
            let recording = recorded.as_deref();
            self.record(recording, || {
                let transport = &permit.transport;
                let picked = PickedConnection::new(transport.peer(), transport.extensions());
                CallEvent::Picked(picked)
            });
            // In a block of its own: what differs from the call needs no space in the future afterwards.
            let opened = {
                let own = if self.needs_authorization(&of_pick) {
                    let peer = permit.transport.peer();
                    let wait = self.wait(recording, &mut callback);
                    Box::pin(wait.for_authorization(peer, of_pick)).await?
                } else {
                    Authorized {
                        metadata: with_pick(self.metadata(recording), of_pick),
                        headers: None,
                    }
                };
                let timeout = self.timeout();
                let timeout =
                    timeout.map_err(|failure| failed(recording, &mut callback, failure))?;
                let metadata = own.metadata.as_ref();
                let metadata = metadata.unwrap_or_else(|| self.metadata(recording));
                let opened = permit.transport.open(OpenRequest {
                    path: method,
                    headers: own.headers.as_ref().unwrap_or_else(|| self.headers()),
                    content_subtype: self.content_subtype,
                    previous_attempts: number.previous,
                    timeout,
                    metadata,
                    only_message: only_message.take(),
                });
                if opened.is_ok() {
                    self.record(recording, || CallEvent::OutHeader(metadata));
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
                    return Err(failed(recording, &mut callback, failure));
                }
                // Nothing was sent. The channel hears of the connection's end in a moment; let it,
                // and pick again.
                Err(OpenError::Gone(message)) => {
                    *only_message = message;
                    callback.give_up();
                    let wait = self.wait(recording, &mut callback);
                    Box::pin(wait.for_other_tasks()).await;
                }
            }
        }
    }

    /// Picks a connection at once, or returns the wait for it: boxed here, so that a call that does
    /// not wait has no space for the answer of the picker.
    #[inline]
    fn pick<'p>(
        &'p self,
        info: &'p PickInfo<'p>,
        recording: Option<&'p RecordedAttempt>,
        callback: &'p mut PickerCallback,
    ) -> Result<Picked, Pin<Box<impl Future<Output = Result<Picked, AttemptFailure>>>>> {
        pick(self.conn.shared(), info, callback).map_err(|unpicked| {
            let wait = self.wait(recording, callback);
            Box::pin(wait.for_connection(info, unpicked))
        })
    }

    fn wait<'w>(
        &'w self,
        recorded: Option<&'w RecordedAttempt>,
        callback: &'w mut PickerCallback,
    ) -> OpeningWait<'w> {
        OpeningWait {
            context: self,
            recorded,
            callback,
        }
    }
}

/// A wait of an attempt that has no stream yet. Dropped with a call that its bounds have ended, it
/// ends the attempt with the call's status.
///
/// It is part of the boxed future of the wait, so that an attempt that does not wait has no space for
/// it.
struct OpeningWait<'a> {
    context: &'a AttemptContext<'a>,
    recorded: Option<&'a RecordedAttempt>,
    callback: &'a mut PickerCallback,
}

impl OpeningWait<'_> {
    /// Waits for a connection that the picker has not given at once. The first call starts the
    /// channel's task, and so does one that finds it lost.
    async fn for_connection(
        self,
        info: &PickInfo<'_>,
        first: Unpicked,
    ) -> Result<Picked, AttemptFailure> {
        let context = self.context;
        let began = context.observer.map(|_| Instant::now());
        let picked = wait_for_pick(
            context.conn.shared(),
            info,
            self.callback,
            first,
            context.call.wait_for_ready(),
            context.recorder,
            || context.conn.start(),
        )
        .await
        .map_err(|failure| failed(self.recorded, self.callback, failure))?;
        if let Some(began) = began {
            context.record(self.recorded, || CallEvent::PickDelayed(began.elapsed()));
        }
        Ok(picked)
    }

    /// Authorizes the attempt; see [`AttemptContext::authorize`].
    async fn for_authorization(
        self,
        peer: &Peer,
        of_pick: Metadata,
    ) -> Result<Authorized, AttemptFailure> {
        let metadata = self.context.metadata(self.recorded);
        let authorized = self.context.authorize(peer, metadata, of_pick).await;
        authorized.map_err(|failure| failed(self.recorded, self.callback, failure))
    }

    /// Lets other tasks run.
    async fn for_other_tasks(self) {
        yield_now().await;
    }
}

impl Drop for OpeningWait<'_> {
    fn drop(&mut self) {
        let AttemptContext { conn, recorder, .. } = *self.context;
        if let Some(status) = recorder.status(conn.target()) {
            let failure = AttemptFailure::final_here(status);
            failed(self.recorded, self.callback, failure);
        }
    }
}

/// Ends an attempt that has failed before it had a stream: its recording, and the callback of its
/// pick.
fn failed(
    recorded: Option<&RecordedAttempt>,
    callback: &mut PickerCallback,
    failure: AttemptFailure,
) -> AttemptFailure {
    callback.not_sent(&failure.status);
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
