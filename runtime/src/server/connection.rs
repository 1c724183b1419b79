use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::dispatch::ConnectionCalls;
use crate::credentials::ServerCredentials;
use crate::io::{Connected, Detached};
use crate::transport::{Phase, ServerSettings};

/// How a connection that was accepted is served: first it is secured, then its calls are. All of it
/// happens on the connection's own task, so that a client that is slow in its handshake holds up no
/// other.
pub(super) struct Connection {
    pub(super) calls: Arc<ConnectionCalls>,
    pub(super) credentials: ServerCredentials,
    pub(super) settings: ServerSettings,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Connection {
    /// Serves the connection until it ends, as [`serve`](Self::serve), on the runtime of the caller.
    pub(super) async fn attach_and_serve(self, detached: Detached) {
        let remote = detached.peer().remote.clone();
        match detached.attach() {
            Ok(connected) => self.serve(connected).await,
            Err(error) => {
                tracing::warn!(peer = %remote, %error, "a connection was lost on the way to its worker");
            }
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn serve(self, connected: Connected) {
        let Self {
            calls,
            credentials,
            mut settings,
            mut phase,
        } = self;
        let accepted = Instant::now();
        let limit = settings.handshake_timeout;
        let remote = connected.peer.remote.clone();
        // Boxed, so that the connection does not keep the room for it.
        let handshake = Box::pin(timeout(limit, credentials.handshake(connected)));
        match unless_stopping(handshake, &mut phase).await {
            Some(Ok(Ok(secured))) => {
                // The transport's handshake has what this one has left of the time.
                settings.handshake_timeout = limit.saturating_sub(accepted.elapsed());
                let transport = settings.transport;
                transport.serve(secured, settings, phase, calls).await;
            }
            Some(Ok(Err(error))) => {
                tracing::debug!(peer = %remote, %error, "a connection could not be secured");
            }
            Some(Err(_)) => tracing::debug!(
                peer = %remote,
                timeout = ?limit,
                "the security handshake timed out; the option is connection_timeout"
            ),
            None => {}
        }
    }
}

/// The handshake's output, or `None` when the server begins to stop before it: a client that has not
/// come that far has no call to finish.
async fn unless_stopping<T>(
    handshake: impl Future<Output = T>,
    phase: &mut watch::Receiver<Phase>,
) -> Option<T> {
    let mut handshake = pin!(handshake);
    let mut stopping = pin!(phase.wait_for(|phase| *phase != Phase::Running));
    poll_fn(|cx| {
        if let Poll::Ready(output) = handshake.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        stopping.as_mut().poll(cx).map(|_| None)
    })
    .await
}
