//! The handle that stops a server.
//!
//! Used by users, on any task; accept loops, connections and workers watch its phase.
//!
//! Source: grpc-go `Server.Stop`, `Server.GracefulStop`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::channelz::{ListenSocketSnapshot, Listing, Registry, ServerSnapshot, ServerSource};
use crate::entity_id::next_id;
use crate::io::Address;
use crate::lock::lock;
use crate::transport::{ConnectionRegistry, ConnectionSnapshot, ServerPhase};

/// Stops a [`Server`](super::Server); cheap to clone, and usable from anywhere.
///
/// Source: grpc-go `Server.Stop` and `Server.GracefulStop`.
#[derive(Clone)]
pub struct ServerHandle(Arc<Shared>);

/// The state that the handles of a server share.
struct Shared {
    id: u64,
    created: SystemTime,
    /// Every accept loop, connection, call and worker holds a receiver: when none is left, the
    /// server has stopped.
    phase: watch::Sender<ServerPhase>,
    connections: Arc<ConnectionRegistry>,
    listen_sockets: Mutex<BTreeMap<u64, Address>>,
    /// The server's place in its registry, once it has begun to serve.
    listing: OnceLock<Listing>,
}

/// A listener that is being served. It is listed until this is dropped.
pub(super) struct Listening {
    handle: ServerHandle,
    id: u64,
}

impl ServerHandle {
    /// The id of the server, unique in this program among channels, subchannels, servers and sockets,
    /// with which [`channelz`](crate::channelz) finds it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

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
        self.0.phase.closed().await;
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
        self.0.connections.snapshots()
    }

    pub(super) fn registry(&self) -> &Arc<ConnectionRegistry> {
        &self.0.connections
    }

    /// Lists the server, if it is not listed, and a listener with this address.
    pub(super) fn listen(&self, registry: &Registry, local: Address) -> Listening {
        let shared = &self.0;
        shared.listing.get_or_init(|| {
            let source: Weak<Shared> = Arc::downgrade(shared);
            registry.add_server(shared.id, source)
        });
        let id = next_id();
        lock(&shared.listen_sockets).insert(id, local);
        Listening {
            handle: self.clone(),
            id,
        }
    }

    /// A phase is never left for an earlier one.
    fn advance(&self, to: ServerPhase) {
        self.0.phase.send_if_modified(|phase| {
            let advances = *phase < to;
            if advances {
                *phase = to;
            }
            advances
        });
    }

    pub(super) fn watch(&self) -> watch::Receiver<ServerPhase> {
        self.0.phase.subscribe()
    }
}

impl Default for ServerHandle {
    fn default() -> Self {
        Self(Arc::new(Shared {
            id: next_id(),
            created: SystemTime::now(),
            phase: watch::Sender::new(ServerPhase::Running),
            connections: Arc::default(),
            listen_sockets: Mutex::default(),
            listing: OnceLock::new(),
        }))
    }
}

impl ServerSource for Shared {
    fn is_over(&self) -> bool {
        self.phase.is_closed()
    }

    fn snapshot(&self) -> ServerSnapshot {
        let listen_sockets: Vec<_> = {
            let sockets = lock(&self.listen_sockets);
            let sockets = sockets.iter();
            sockets
                .map(|(id, local)| ListenSocketSnapshot::new(*id, local.clone()))
                .collect()
        };
        ServerSnapshot {
            id: self.id,
            calls: self.connections.calls(),
            created: self.created,
            listen_sockets,
        }
    }

    fn listen_socket(&self, id: u64) -> Option<ListenSocketSnapshot> {
        let local = lock(&self.listen_sockets).get(&id).cloned()?;
        Some(ListenSocketSnapshot::new(id, local))
    }

    fn connections(&self) -> &ConnectionRegistry {
        &self.connections
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        lock(&self.handle.0.listen_sockets).remove(&self.id);
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("id", &self.0.id)
            .field("phase", &*self.0.phase.borrow())
            .finish()
    }
}
