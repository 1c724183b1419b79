//! The server's side of a connection over `h2`: the handshake, and the connection's task, which accepts
//! requests and polls new calls. The server runs it, on a task of its own or on that of a worker.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use h2::server::{self, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::time::{Instant, Sleep, sleep};

use super::disconnect::disconnect_reason;
use super::fields;
use super::header_list_limit::HeaderListLimit;
use super::piece::Piece;
use super::server_stream::H2ServerStream;
use super::server_tap::ServerTap;
use super::{
    CONNECTION_WINDOW, MAX_HEADER_LIST, MAX_PENDING_RESETS, MAX_REMEMBERED_RESETS,
    MAX_STREAM_ERRORS, RESET_MEMORY, SMALL_FRAMES_BUDGET, STREAM_WINDOW,
};
use crate::io::{BoxedIo, Connected, Peer};
use crate::select_biased::{Either, select_biased};
use crate::side::Side;
use crate::transport::statistics::{ConnectionStats, CountedStream};
use crate::transport::{
    Call, ConnectionPhase, DisconnectReason, Dispatch, HeadWithTimeout, ReceivedCall, Rejection,
    ServerPhase, ServerSettings, ServerTransport, ServerTransportStream, run_call,
};

/// The maximum time in which a draining connection acknowledges the GOAWAY. A connection without
/// calls is closed then, as in grpc-go.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that a server accepted.
pub(crate) struct ServerConnection {
    pub(crate) io: BoxedIo,
    pub(crate) peer: Arc<Peer>,
    pub(crate) settings: ServerSettings,
    pub(crate) phase: ConnectionPhase,
}

impl ServerConnection {
    pub(crate) fn new(
        connected: Connected,
        settings: ServerSettings,
        phase: ConnectionPhase,
    ) -> Self {
        Self {
            io: connected.io,
            peer: Arc::clone(phase.connection().shared_peer()),
            settings,
            phase,
        }
    }

    async fn handshake(self, stats: Arc<ConnectionStats>) -> Result<Open, DisconnectReason> {
        let mut builder = server::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_concurrent_reset_streams(MAX_REMEMBERED_RESETS)
            .reset_stream_duration(RESET_MEMORY)
            .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS))
            .data_frame_budget(SMALL_FRAMES_BUDGET);
        if let Some(max) = self.settings.max_concurrent_streams {
            builder.max_concurrent_streams(max);
        }
        let mut phase = self.phase;
        let header_list = HeaderListLimit::new();
        let io = ServerTap::new(self.io, Arc::clone(&header_list), Arc::clone(&stats));
        let handshake =
            tokio::time::timeout(self.settings.handshake_timeout, builder.handshake(io));
        // A graceful stop waits for nothing on a connection without its handshake.
        let Either::First(handshake) = select_biased(handshake, phase.stopping()).await else {
            return Err(DisconnectReason::ClosedLocally);
        };
        let connection = match handshake {
            Ok(Ok(connection)) => connection,
            // Port scanners and the probes of load balancers cause this.
            Ok(Err(error)) if error.is_io() => {
                tracing::debug!(peer = %self.peer.remote, %error, "HTTP/2 handshake failed");
                return Err(disconnect_reason(&error));
            }
            Ok(Err(error)) => {
                let reason = format!("HTTP/2 handshake failed: {error}");
                self.settings.refusals.refused(&self.peer.remote, &reason);
                return Err(disconnect_reason(&error));
            }
            Err(_) => {
                let reason = DisconnectReason::PrefaceTimedOut;
                self.settings.refusals.refused(&self.peer.remote, &reason);
                return Err(reason);
            }
        };
        Ok(Open {
            connection,
            spawn_handlers: self.settings.spawn_handlers,
            peer: self.peer,
            header_list,
            phase,
            stopped: Arc::default(),
            drain: None,
            stats,
        })
    }
}

impl ServerTransport for ServerConnection {
    async fn serve<D: Dispatch>(self, dispatch: Arc<D>) {
        let connections = &self.settings.connections;
        let registered = connections.register(Side::Server, Arc::clone(&self.peer));
        let reason = match self.handshake(Arc::clone(registered.stats())).await {
            Ok(open) => open.serve(&dispatch).await,
            Err(reason) => reason,
        };
        dispatch.ended(reason);
    }
}

/// A connection after its handshake.
struct Open {
    connection: Connection<ServerTap<BoxedIo>, Piece>,
    peer: Arc<Peer>,
    header_list: Arc<HeaderListLimit>,
    /// New calls are spawned without being polled here.
    spawn_handlers: bool,
    phase: ConnectionPhase,
    /// Set before the connection is ended because the server has stopped.
    stopped: Arc<AtomicBool>,
    /// Set while the connection drains.
    drain: Option<Pin<Box<Sleep>>>,
    stats: Arc<ConnectionStats>,
}

/// An event of the connection's task.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives between a poll and the match that follows"
)]
enum Event {
    Request(Accepted),
    Phase(ServerPhase),
    /// The time in which a draining connection acknowledges has passed.
    DrainTimeout,
    Ended(DisconnectReason),
}

impl Open {
    /// Serves the connection. Returns the reason of its end.
    async fn serve<D: Dispatch>(mut self, dispatch: &Arc<D>) -> DisconnectReason {
        loop {
            match self.next().await {
                Event::Request(accepted) => {
                    if let Some(call) = accepted.dispatch(dispatch, &self) {
                        start(call, dispatch, self.spawn_handlers).await;
                    }
                }
                Event::Phase(ServerPhase::Running) => {}
                Event::Phase(ServerPhase::Draining) => {
                    if self.drain.is_none() {
                        self.drain = Some(Box::pin(sleep(DRAIN_TIMEOUT)));
                        self.connection.graceful_shutdown();
                        self.stats.set_draining();
                    }
                }
                Event::DrainTimeout if self.connection.has_streams() => {
                    self.drain = Some(Box::pin(sleep(DRAIN_TIMEOUT)));
                }
                Event::Phase(ServerPhase::Stopped) | Event::DrainTimeout => {
                    self.close().await;
                    return DisconnectReason::ClosedLocally;
                }
                Event::Ended(reason) => return reason,
            }
        }
    }

    async fn next(&mut self) -> Event {
        let Self {
            connection,
            peer,
            phase,
            drain,
            ..
        } = self;
        let is_draining = drain.is_some();
        let mut next_phase = pin!(phase.next());
        poll_fn(|cx| {
            if let Poll::Ready(phase) = next_phase.as_mut().poll(cx) {
                return Poll::Ready(Event::Phase(phase));
            }
            if let Some(drain) = drain
                && drain.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Event::DrainTimeout);
            }
            connection.poll_accept(cx).map(|accepted| match accepted {
                Some(Ok((request, respond))) => Event::Request(Accepted { request, respond }),
                Some(Err(error)) => {
                    tracing::debug!(peer = %peer.remote, %error, "connection failed");
                    Event::Ended(disconnect_reason(&error))
                }
                None if is_draining => Event::Ended(DisconnectReason::ClosedLocally),
                None => Event::Ended(DisconnectReason::ClosedByPeer),
            })
        })
        .await
    }

    /// Returns the answer to a refused request.
    fn rejection(&self, rejection: &Rejection) -> Response<()> {
        let response = fields::rejection(rejection, &rejection.status());
        let size = || fields::response_size(&response);
        let Some((_, limit)) = self.header_list.exceeded_by(size) else {
            return response;
        };
        let make = |status| fields::rejection(rejection, &status);
        let status = rejection.status();
        fields::fitted(status, limit, make, fields::response_size)
    }

    /// Ends the connection and its calls.
    async fn close(mut self) {
        self.stopped.store(true, Ordering::Release);
        self.connection.abrupt_shutdown(Reason::NO_ERROR);
        // One turn writes the GOAWAY, if the socket accepts it.
        poll_fn(|cx| {
            let _ = self.connection.poll_closed(cx);
            Poll::Ready(())
        })
        .await;
    }
}

/// Starts a call. Polls it once, which completes most unary calls without a task of their own, and
/// spawns it when it is not ready. With `spawn` it is spawned without that poll.
async fn start<D: Dispatch>(mut call: D::Call, dispatch: &Arc<D>, spawn: bool) {
    if !spawn
        && let Poll::Ready(end) = poll_fn(|cx| Poll::Ready(Pin::new(&mut call).poll(cx))).await
    {
        return call.stream().end(end);
    }
    tokio::spawn(run_call(call, Arc::clone(dispatch)));
}

/// A request that `h2` accepted.
struct Accepted {
    request: Request<RecvStream>,
    respond: SendResponse<Piece>,
}

impl Accepted {
    /// Starts the request's call. Returns `None` for a refused request.
    fn dispatch<D: Dispatch>(self, dispatch: &Arc<D>, connection: &Open) -> Option<D::Call> {
        let Self {
            request,
            mut respond,
        } = self;
        let (parts, body) = request.into_parts();
        let received = match fields::parse_request(&parts).finish() {
            Ok(received) => received,
            Err(rejection) => {
                // The stream may have been reset meanwhile; then there is no receiver.
                let _ = respond.send_response(connection.rejection(&rejection), true);
                CountedStream::begin(&connection.stats).complete(false);
                return None;
            }
        };
        let received = ReceivedCall {
            head: HeadWithTimeout {
                head: Arc::new(received.head),
                timeout: received.timeout,
            },
            at: Instant::now(),
            connection: connection.phase.connection(),
            content: None,
        };
        let open = |call| -> Arc<dyn ServerTransportStream> {
            Arc::new(H2ServerStream::new(
                body,
                respond,
                connection.phase.connection().clone(),
                Arc::clone(&connection.stopped),
                Arc::clone(&connection.header_list),
                call,
                CountedStream::begin(&connection.stats),
            ))
        };
        Some(dispatch.dispatch(received, open))
    }
}
