//! The handle that stops a server.
//!
//! Used by users, on any task; accept loops, connections and workers watch its phase.
//!
//! Source: grpc-go `Server.Stop`, `Server.GracefulStop`.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::transport::{ConnectionRegistry, ConnectionSnapshot, ServerPhase};

/// Stops a [`Server`](super::Server); cheap to clone, and usable from anywhere.
///
/// Source: grpc-go `Server.Stop` and `Server.GracefulStop`.
#[derive(Clone)]
pub struct ServerHandle {
    /// Every accept loop, connection, call and worker holds a receiver: when none is left, the
    /// server has stopped.
    phase: Arc<watch::Sender<ServerPhase>>,
    connections: Arc<ConnectionRegistry>,
}

impl ServerHandle {
    /// Stops at once: listeners and connections are closed, calls are cancelled and their handlers
    /// dropped. Does not wait for the end, as [`stopped`](Self::stopped) does. Idempotent, and ends
    /// a graceful stop that is under way.
    pub fn stop(&self) {
        self.advance(ServerPhase::Stopped);
    }

    /// Stops gracefully: listeners are closed, GOAWAY sends new calls elsewhere, and calls that
    /// have begun continue. Waits for the end of the last one. Idempotent.
    ///
    /// Cancel-safe: dropping the future only stops the waiting.
    pub async fn graceful_stop(&self) {
        self.advance(ServerPhase::Draining);
        self.stopped().await;
    }

    /// Waits until nothing runs for the server: no listener, no connection, no call, no
    /// [worker](super::Server::workers). Ready at once if the server has not begun to serve.
    ///
    /// Cancel-safe.
    pub async fn stopped(&self) {
        self.phase.closed().await;
    }

    /// The statistics of the server's connections, in the order of their beginning. A connection
    /// counts from the end of its handshake until it is closed. Disturbs no connection.
    ///
    /// ```
    /// # fn example(handle: &rgrpc::ServerHandle) {
    /// for connection in handle.connections() {
    ///     let (client, calls) = (&connection.peer.remote, connection.streams_started);
    ///     println!("{client}: {calls} calls, {} failed", connection.streams_failed);
    /// }
    /// # }
    /// ```
    ///
    /// Source: gRFC A14; grpc-go has them only in channelz.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionSnapshot> {
        self.connections.snapshots()
    }

    pub(super) fn registry(&self) -> &Arc<ConnectionRegistry> {
        &self.connections
    }

    /// A phase is never left for an earlier one.
    fn advance(&self, to: ServerPhase) {
        self.phase.send_if_modified(|phase| {
            let advances = *phase < to;
            if advances {
                *phase = to;
            }
            advances
        });
    }

    pub(super) fn watch(&self) -> watch::Receiver<ServerPhase> {
        self.phase.subscribe()
    }
}

impl Default for ServerHandle {
    fn default() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(ServerPhase::Running)),
            connections: Arc::default(),
        }
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("phase", &*self.phase.borrow())
            .finish()
    }
}
