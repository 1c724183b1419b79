//! The handle of a server's connection, which users and calls hold on any task. It wakes the
//! connection's task when the connection is to be drained or closed.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::ServerPhase;
use crate::extensions::Extensions;
use crate::io::Peer;
use crate::lock::lock;

/// A server's connection: its two ends, its typed values, and the methods that end it.
///
/// [`CallContext::connection`](crate::CallContext::connection) returns a call's connection. A
/// handle is cheap to clone, can be kept by any task, and can outlive the connection; then its
/// methods have no effect. Two handles are equal if they belong to the same connection.
#[derive(Clone)]
pub struct ConnectionHandle(Arc<Shared>);

struct Shared {
    peer: Arc<Peer>,
    extensions: Extensions,
    owner: Arc<dyn Any + Send + Sync>,
    /// A [`ServerPhase`] as a number.
    phase: AtomicU8,
    /// The waker of the connection's task.
    waker: Mutex<Option<Waker>>,
}

impl ConnectionHandle {
    /// Creates the handle of a connection. `owner` is what the server keeps for the connection's
    /// calls.
    pub(crate) fn new(
        peer: Peer,
        extensions: Extensions,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self(Arc::new(Shared {
            peer: Arc::new(peer),
            extensions,
            owner,
            phase: AtomicU8::new(ServerPhase::Running as u8),
            waker: Mutex::new(None),
        }))
    }

    /// The two ends of the connection, and how it is secured.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    pub(crate) fn shared_peer(&self) -> &Arc<Peer> {
        &self.0.peer
    }

    /// The typed values of the connection: those of its
    /// [listener](crate::io::Connected::extensions), of its security handshake, of the
    /// [connection hook](crate::Server::connection_hook) and of stats handlers.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// Returns what the server keeps for the connection's calls, if it has this type.
    pub(crate) fn owner<T: Any>(&self) -> Option<&T> {
        (*self.0.owner).downcast_ref()
    }

    /// Drains the connection. A GOAWAY tells the client to make new calls on another connection. The
    /// connection is closed when its last call has ended. Idempotent.
    ///
    /// Source: grpc-go `ServerTransport.Drain`, which is internal there.
    pub fn drain(&self) {
        self.advance(ServerPhase::Draining);
    }

    /// Closes the connection at once. Its calls are cancelled, and their handlers dropped, as by
    /// [`ServerHandle::stop`](crate::ServerHandle::stop). Idempotent.
    pub fn close(&self) {
        self.advance(ServerPhase::Stopped);
    }

    /// Moves to a phase. An earlier phase than the current one has no effect.
    fn advance(&self, to: ServerPhase) {
        if self.0.phase.fetch_max(to as u8, Ordering::AcqRel) < to as u8 {
            let waker = lock(&self.0.waker).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn phase(&self) -> ServerPhase {
        match self.0.phase.load(Ordering::Acquire) {
            phase if phase == ServerPhase::Running as u8 => ServerPhase::Running,
            phase if phase == ServerPhase::Draining as u8 => ServerPhase::Draining,
            _ => ServerPhase::Stopped,
        }
    }

    /// Ready when the phase is later than `seen`.
    pub(super) fn poll_later(&self, seen: ServerPhase, cx: &Context<'_>) -> Poll<ServerPhase> {
        let phase = self.phase();
        if phase > seen {
            return Poll::Ready(phase);
        }
        {
            let mut waker = lock(&self.0.waker);
            match &mut *waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
        }
        // A change before the waker was stored has woken no task.
        match self.phase() {
            phase if phase > seen => Poll::Ready(phase),
            _ => Poll::Pending,
        }
    }
}

impl PartialEq for ConnectionHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ConnectionHandle {}

impl fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionHandle")
            .field("peer", &self.0.peer)
            .field("extensions", &self.0.extensions)
            .field("phase", &self.phase())
            .finish()
    }
}
