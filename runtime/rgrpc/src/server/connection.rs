//! The connection of a client, from accept to its end.
//!
//! Run on the connection's own task, which the accept loop spawns on its runtime or on a worker's.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::NewConnection;
use super::dispatch::{ConnectionCalls, Dispatcher};
use super::hooks::ConnectionRefusal;
use crate::credentials::{ConnectionDispatched, ServerCredentials};
use crate::io::{Connected, Detached};
use crate::side::Side;
use crate::stats::ConnectionBegin;
use crate::task::caught;
use crate::transport::{ConnectionHandle, ConnectionPhase, ServerPhase, ServerSettings, Serving};

/// Serves an accepted connection: its security handshake, then its calls. Both run on the
/// connection's own task, so that a client with a slow handshake delays no other.
pub(super) struct Connection {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) credentials: ServerCredentials,
    pub(super) settings: ServerSettings,
    pub(super) phase: watch::Receiver<ServerPhase>,
}

impl Connection {
    /// Serves the connection until it ends, as [`serve`](Self::serve), on the runtime that polls
    /// the future.
    pub(super) fn attach_and_serve(
        self,
        detached: Detached,
    ) -> impl Future<Output = ()> + Send + 'static {
        serve_secured(async move {
            let remote = detached.peer().remote.clone();
            match detached.attach() {
                Ok(connected) => self.secure(connected).await,
                Err(error) => {
                    tracing::warn!(peer = %remote, %error, "a connection was lost on the way to its worker");
                    None
                }
            }
        })
    }

    /// Serves the connection until it ends.
    pub(super) fn serve(self, connected: Connected) -> impl Future<Output = ()> + Send + 'static {
        serve_secured(self.secure(connected))
    }

    /// Secures the connection; the result serves it.
    async fn secure(self, connected: Connected) -> Option<Serving> {
        let Self {
            dispatcher,
            credentials,
            mut settings,
            mut phase,
        } = self;
        let accepted = Instant::now();
        let limit = settings.handshake_timeout;
        let remote = connected.peer.remote.clone();
        let handshake = credentials.secure(connected, accepted.checked_add(limit));
        let handshake = timeout(limit, handshake);
        match unless_stopping(handshake, &mut phase).await? {
            Ok(Ok(secured)) => {
                // The transport's handshake gets the rest of the time.
                settings.handshake_timeout = limit.saturating_sub(accepted.elapsed());
                let begun = begin(dispatcher, secured, phase);
                let (secured, phase, calls) = match begun {
                    Ok(begun) => begun,
                    Err(refusal) => {
                        settings.refusals.refused(&remote, &refusal);
                        return None;
                    }
                };
                return Some(settings.transport.serve(secured, settings, phase, calls));
            }
            // Port scanners and the probes of load balancers do this.
            Ok(Err(error)) if has_hung_up(&error) || is_dispatched(&error) => {
                tracing::debug!(peer = %remote, %error, "a connection was not secured");
            }
            Ok(Err(error)) => settings.refusals.refused(&remote, &error),
            Err(_) => settings
                .refusals
                .refused(&remote, &credentials.timed_out(limit)),
        }
        None
    }
}

/// Begins a secured connection: the connection hook accepts or refuses it, then the stats handlers
/// record it.
fn begin(
    dispatcher: Arc<Dispatcher>,
    mut secured: Connected,
    phase: watch::Receiver<ServerPhase>,
) -> Result<(Connected, ConnectionPhase, Arc<ConnectionCalls>), ConnectionRefusal> {
    let mut extensions = std::mem::take(&mut secured.extensions);
    let options = dispatcher.options();
    if let Some(hook) = &options.connection_hook {
        let mut connection = NewConnection {
            peer: &secured.peer,
            extensions: &mut extensions,
        };
        caught("the connection hook", || hook.call(&mut connection))
            .unwrap_or_else(|panicked| Err(panicked.to_string().into()))?;
    }
    let recorders = options.stats.begin_connection(&mut ConnectionBegin {
        side: Side::Server,
        peer: &secured.peer,
        extensions: &mut extensions,
    });
    let resources = Arc::clone(&options.resources);
    let handle = ConnectionHandle::new(secured.peer.clone(), extensions, resources);
    let calls = Arc::new(ConnectionCalls::new(dispatcher, recorders, phase.clone()));
    Ok((secured, ConnectionPhase::new(phase, handle), calls))
}

/// Returns whether a client has closed its connection without a protocol error.
fn has_hung_up(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
            );
        }
        next = error.source();
    }
    false
}

/// Returns whether a handshake has given the connection to other code.
fn is_dispatched(error: &(dyn Error + 'static)) -> bool {
    let source = error.source();
    source.is_some_and(<dyn Error>::is::<ConnectionDispatched>)
}

/// Serves a connection once it is secured. The handshake and the serving are boxed separately, so
/// that a connection does not keep the memory of its handshake.
fn serve_secured(
    secured: impl Future<Output = Option<Serving>> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let secured = Box::pin(secured);
    async move {
        if let Some(serving) = secured.await {
            serving.await;
        }
    }
}

/// The handshake's output, or `None` if the server begins to stop first: a client in its handshake
/// has no call to finish.
async fn unless_stopping<T>(
    handshake: impl Future<Output = T>,
    phase: &mut watch::Receiver<ServerPhase>,
) -> Option<T> {
    let mut handshake = pin!(handshake);
    let mut stopping = pin!(phase.wait_for(|phase| *phase != ServerPhase::Running));
    poll_fn(|cx| {
        if let Poll::Ready(output) = handshake.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        stopping.as_mut().poll(cx).map(|_| None)
    })
    .await
}
