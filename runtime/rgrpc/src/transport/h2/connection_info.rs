//! Facts about a client's connection, for the error texts of its streams. The connection's task
//! writes them, and calls read them.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::disconnect::disconnect_reason;
use super::header_list_limit::HeaderListLimit;
use crate::io::Peer;
use crate::lock::lock;
use crate::task::Lost;
use crate::transport::{
    Disconnect, DisconnectReason, GoAway, LastReceived, MAX_FIRST_OCTETS, OtherProtocol,
};

/// The facts about a connection that its streams report when it fails.
pub(super) struct ConnectionInfo {
    peer: Arc<Peer>,
    goaway: Mutex<Option<GoAway>>,
    /// The error that ended reading or writing. `h2` keeps only its text.
    io_error: OnceLock<Arc<io::Error>>,
    /// The first octets that were received, until SETTINGS arrive.
    first_octets: Mutex<Vec<u8>>,
    loss: OnceLock<Lost>,
    /// A stream was opened.
    opened: AtomicBool,
    /// A response has begun.
    served: AtomicBool,
    pub(super) last_received: LastReceived,
    pub(super) header_list: Arc<HeaderListLimit>,
}

impl ConnectionInfo {
    pub(super) fn new(peer: Arc<Peer>) -> Self {
        Self {
            peer,
            goaway: Mutex::new(None),
            io_error: OnceLock::new(),
            first_octets: Mutex::new(Vec::new()),
            loss: OnceLock::new(),
            opened: AtomicBool::new(false),
            served: AtomicBool::new(false),
            last_received: LastReceived::new(),
            header_list: HeaderListLimit::new(),
        }
    }

    /// The connection's two ends.
    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Stores the peer's GOAWAY.
    pub(super) fn set_goaway(&self, goaway: GoAway) {
        *lock(&self.goaway) = Some(goaway);
    }

    /// The end of the connection. A server that has sent no SETTINGS may speak another protocol, which
    /// explains more.
    pub(super) fn disconnect(&self, reason: DisconnectReason) -> Disconnect {
        let reason = match self.other_protocol() {
            Some(other) => DisconnectReason::OtherProtocol(other),
            None => reason,
        };
        let goaway = lock(&self.goaway).clone();
        Disconnect::new(Arc::clone(&self.peer), reason, goaway)
    }

    /// The reason of an error that ended the connection.
    pub(super) fn reason(&self, error: &h2::Error) -> DisconnectReason {
        match (self.io_error.get(), &*lock(&self.goaway)) {
            (Some(error), _) => DisconnectReason::of_io(Arc::clone(error)),
            (None, Some(goaway)) if error.is_go_away() && error.is_remote() => {
                DisconnectReason::GoAway(goaway.clone())
            }
            (None, _) => disconnect_reason(error),
        }
    }

    /// Stores the first error of the connection. Returns an error with the same text.
    pub(super) fn keep_io_error(&self, error: io::Error) -> io::Error {
        let kept = self.io_error.get_or_init(|| Arc::new(error));
        io::Error::new(kept.kind(), kept.to_string())
    }

    /// The error that ended the connection.
    pub(super) fn io_error(&self) -> Option<Arc<dyn Error + Send + Sync>> {
        let error: Arc<dyn Error + Send + Sync> = self.io_error.get()?.clone();
        Some(error)
    }

    /// Stores the octets that were received before SETTINGS, as far as they are inspected.
    pub(super) fn keep_first_octets(&self, octets: &[u8]) {
        let mut first = lock(&self.first_octets);
        let missing = MAX_FIRST_OCTETS - first.len();
        first.extend_from_slice(&octets[..octets.len().min(missing)]);
    }

    /// The protocol that the server speaks instead of HTTP/2.
    fn other_protocol(&self) -> Option<OtherProtocol> {
        OtherProtocol::of_server(&lock(&self.first_octets))
    }

    /// Records that a stream is being opened.
    pub(super) fn set_opened(&self) {
        self.opened.store(true, Ordering::Relaxed);
    }

    /// A response has begun.
    pub(super) fn set_served(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// Returns whether a response has begun.
    pub(super) fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Returns whether a response has begun, or may still begin after a GOAWAY with this last
    /// stream.
    pub(super) fn serves_up_to(&self, last_stream: u32) -> bool {
        self.has_served() || (last_stream > 0 && self.opened.load(Ordering::Relaxed))
    }

    /// Stores the reason why the connection's task is gone.
    pub(super) fn set_loss(&self, loss: Lost) {
        // The first reason stays.
        let _ = self.loss.set(loss);
    }
}

impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} from {}", self.peer.remote, self.peer.local)?;
        if let Some(goaway) = &*lock(&self.goaway) {
            write!(f, ", after GOAWAY with {goaway}")?;
        }
        match self.loss.get() {
            Some(loss) => write!(f, ": {loss}"),
            None => Ok(()),
        }
    }
}
