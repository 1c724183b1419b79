use std::fmt;
use std::sync::{Arc, Mutex};

use crate::io::Peer;
use crate::lock::lock;

/// What a connection's streams say about it when it fails.
pub(super) struct ConnectionInfo {
    peer: Arc<Peer>,
    goaway: Mutex<Option<String>>,
}

impl ConnectionInfo {
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            peer: Arc::new(peer),
            goaway: Mutex::new(None),
        }
    }

    /// The connection's two ends.
    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Keeps what the peer's GOAWAY said.
    pub(super) fn set_goaway(&self, reason: String) {
        *lock(&self.goaway) = Some(reason);
    }
}

impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} from {}", self.peer.remote, self.peer.local)?;
        match &*lock(&self.goaway) {
            Some(reason) => write!(f, ", after GOAWAY with {reason}"),
            None => Ok(()),
        }
    }
}
