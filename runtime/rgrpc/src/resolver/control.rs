//! The two ends between a resolver and its channel.
//!
//! The resolver's task has one and the channel's task the other. At most one event is under way.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{Notify, mpsc, oneshot};

use super::{ResolverError, ResolverState};
use crate::status::Status;

/// The interface of a resolver to its channel: updates and errors to the channel, and requests to
/// resolve again from it.
///
/// Source: grpc-go `resolver.ClientConn`.
pub struct ResolverControl {
    events: mpsc::Sender<ResolverEvent>,
    requests: Arc<Notify>,
}

/// A report of a resolver to its channel.
#[derive(Debug)]
pub(crate) enum ResolverEvent {
    /// An update, and the sender of the channel's verdict: an error if it cannot use the update.
    Update(ResolverState, oneshot::Sender<Result<(), Status>>),
    Error(ResolverError),
}

/// The channel's side of a [`ResolverControl`].
pub(crate) struct ResolverEvents {
    events: mpsc::Receiver<ResolverEvent>,
    requests: Arc<Notify>,
}

impl ResolverControl {
    /// Creates both sides.
    pub(crate) fn new() -> (Self, ResolverEvents) {
        // One event at a time: a resolver with many updates waits for its channel.
        let (sender, events) = mpsc::channel(1);
        let requests = Arc::new(Notify::new());
        let control = Self {
            events: sender,
            requests: Arc::clone(&requests),
        };
        (control, ResolverEvents { events, requests })
    }

    /// Sends the complete result of name resolution to the channel, and waits for the channel's
    /// verdict. Cancel-safe, but the channel may still use a cancelled update.
    ///
    /// # Errors
    /// The channel cannot use the update, because it has no endpoints or its service config is
    /// invalid. The resolver should resolve again after a backoff.
    pub async fn update(&self, state: ResolverState) -> Result<(), Status> {
        let (reply, answer) = oneshot::channel();
        let gone = || Status::cancelled("the channel was closed or went idle");
        let event = ResolverEvent::Update(state, reply);
        self.events.send(event).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Reports to the channel that name resolution has failed. The last update stays in use. If
    /// there was none, calls that do not wait for ready fail. The resolver should resolve again
    /// after a backoff.
    pub async fn error(&self, error: impl Into<ResolverError>) {
        // A closed channel needs no errors.
        let _ = self.events.send(ResolverEvent::Error(error.into())).await;
    }

    /// Waits until the channel asks to resolve again, because a connection was lost or could not be
    /// made. Several requests since the last wait count as one. Cancel-safe.
    pub async fn resolve_now_requested(&self) {
        self.requests.notified().await;
    }
}

impl ResolverEvents {
    /// The next event of the resolver. `None`: the resolver has ended.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<ResolverEvent>> {
        self.events.poll_recv(cx)
    }

    /// Asks the resolver to resolve again.
    pub(crate) fn resolve_now(&self) {
        self.requests.notify_one();
    }
}

impl fmt::Debug for ResolverControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResolverControl")
    }
}
