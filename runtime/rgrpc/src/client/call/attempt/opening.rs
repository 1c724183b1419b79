//! The end of an attempt that has no stream yet.
//!
//! Used by [`AttemptContext::begin_attempt`](super::AttemptContext::begin_attempt), on the task that
//! polls the call.

use tokio::task::yield_now;
use tokio::time::Instant;

use super::authorize::Authorized;
use super::context::AttemptContext;
use super::pick::{Picked, PickerCallback, Unpicked, wait_for_pick};
use super::recorded::RecordedAttempt;
use crate::balancer::PickInfo;
use crate::client::call::bounds::BoundedCall;
use crate::client::call::scheduler::AttemptFailure;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::stats::CallEvent;

/// A wait of an attempt that has no stream yet. Dropped with a call that its bounds have ended, it
/// ends the attempt with the call's status.
///
/// It is part of the boxed future of the wait, so that an attempt that does not wait has no space for
/// it.
pub(super) struct OpeningWait<'a> {
    pub(super) context: &'a AttemptContext<'a>,
    pub(super) recorded: Option<&'a RecordedAttempt>,
    pub(super) callback: &'a mut PickerCallback,
}

impl OpeningWait<'_> {
    /// Waits for a connection that the picker has not given at once. The first call starts the
    /// channel's task, and so does one that finds it lost.
    pub(super) async fn for_connection(
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
    pub(super) async fn for_authorization(
        self,
        peer: &Peer,
        of_pick: Metadata,
    ) -> Result<Authorized, AttemptFailure> {
        let metadata = self.context.metadata(self.recorded);
        let authorized = self.context.authorize(peer, metadata, of_pick).await;
        authorized.map_err(|failure| failed(self.recorded, self.callback, failure))
    }

    /// Lets other tasks run.
    pub(super) async fn for_other_tasks(self) {
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
pub(super) fn failed(
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
