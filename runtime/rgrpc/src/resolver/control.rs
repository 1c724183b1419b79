use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{Notify, mpsc, oneshot};

use super::ResolverState;
use crate::status::Status;

/// What a resolver tells its channel, and is asked by it.
///
/// Source: grpc-go `resolver.ClientConn`.
pub struct ResolverControl {
    events: mpsc::Sender<ResolverEvent>,
    requests: Arc<Notify>,
}

/// What a resolver says.
#[derive(Debug)]
pub(crate) enum ResolverEvent {
    /// With where to say whether it could be used.
    Update(ResolverState, oneshot::Sender<Result<(), Status>>),
    Error(Status),
}

/// The channel's end of a [`ResolverControl`].
pub(crate) struct ResolverEvents {
    events: mpsc::Receiver<ResolverEvent>,
    requests: Arc<Notify>,
}

impl ResolverControl {
    /// Both ends.
    pub(crate) fn new() -> (Self, ResolverEvents) {
        // One at a time: a resolver that has much to say waits for its channel.
        let (sender, events) = mpsc::channel(1);
        let requests = Arc::new(Notify::new());
        let control = Self {
            events: sender,
            requests: Arc::clone(&requests),
        };
        (control, ResolverEvents { events, requests })
    }

    /// Gives the channel what was found, all of it, and waits until it has looked at it.
    /// Cancel-safe, though the channel may see an update that was given up.
    ///
    /// # Errors
    /// The channel cannot use it, because it has no endpoints or its service config is invalid. The
    /// resolver looks again after a while.
    pub async fn update(&self, state: ResolverState) -> Result<(), Status> {
        let (reply, answer) = oneshot::channel();
        let gone = || Status::cancelled("the channel was closed or went idle");
        let event = ResolverEvent::Update(state, reply);
        self.events.send(event).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Tells the channel that resolving has failed. What was found before holds; if nothing was,
    /// calls that do not wait for ready fail. The resolver tries again after a while.
    pub async fn error(&self, error: Status) {
        // The channel is gone.
        let _ = self.events.send(ResolverEvent::Error(error)).await;
    }

    /// Ready when the channel wants the resolver to look again, because a connection was lost or
    /// could not be made. Several requests that nobody waited for are one. Cancel-safe.
    pub async fn resolve_now_requested(&self) {
        self.requests.notified().await;
    }
}

impl ResolverEvents {
    /// What the resolver says next; `None`: it has ended.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<ResolverEvent>> {
        self.events.poll_recv(cx)
    }

    /// Asks it to look again.
    pub(crate) fn resolve_now(&self) {
        self.requests.notify_one();
    }
}

impl fmt::Debug for ResolverControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResolverControl")
    }
}
