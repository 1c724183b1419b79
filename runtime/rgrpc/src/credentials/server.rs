//! The credentials of a server: the handshake of its connections.
//!
//! Called by `server/connection.rs`, on the task of the accepted connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::handshake::AnyServerHandshake;
use super::handshake_error::settled;
use super::insecure::Insecure;
use super::local::Local;
use super::{HandshakeError, HandshakeResult, ServerHandshake, ServerHandshakeInfo};
use crate::io::{BoxedIo, Connected};
use crate::side::Side;
use crate::task::caught_in;

/// The transport credentials of a server: the handshake of its connections. Cheap to clone.
/// Default: plain text.
///
/// Source: grpc-go's package `credentials`, `TransportCredentials`.
#[derive(Clone)]
pub struct ServerCredentials {
    handshake: Arc<dyn AnyServerHandshake>,
    protocol: &'static str,
}

impl ServerCredentials {
    /// Creates credentials from a handshake.
    #[must_use]
    pub fn new(handshake: impl ServerHandshake) -> Self {
        Self {
            protocol: handshake.protocol(),
            handshake: Arc::new(handshake),
        }
    }

    /// Creates credentials for connections within one machine, which are [`local`](super::local) on
    /// the client's side. Connections of other machines are refused.
    ///
    /// Source: grpc-go's package `credentials/local`.
    #[must_use]
    pub fn local() -> Self {
        Self::new(Local)
    }

    /// The name of the handshake's protocol: `insecure`, `local`, `tls`, or that of the user's
    /// handshake.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// Secures an accepted connection. The caller drops the future at the deadline, which the
    /// handshake only reads.
    pub(crate) async fn secure(
        &self,
        connected: Connected,
        deadline: Option<Instant>,
    ) -> Result<Connected, HandshakeError> {
        let Connected {
            io,
            peer,
            extensions,
        } = connected;
        let info = ServerHandshakeInfo::new(&peer)
            .with_extensions(&extensions)
            .with_deadline(deadline);
        let outcome = caught_in("the server's security handshake", || {
            self.handshake.handshake(io, info)
        });
        let secured = settled(Side::Server, self.protocol, outcome.await)?;
        Ok(secured.of_connection(peer, extensions))
    }

    /// Returns the error of a handshake that was dropped at its deadline.
    pub(crate) fn timed_out(&self, limit: Duration) -> HandshakeError {
        HandshakeError::timed_out(Side::Server, self.protocol, limit, "connection_timeout")
    }
}

/// Delegates, so that a handshake can choose other credentials for each connection.
impl ServerHandshake for ServerCredentials {
    fn protocol(&self) -> &'static str {
        self.protocol
    }

    async fn handshake(&self, io: BoxedIo, info: ServerHandshakeInfo<'_>) -> HandshakeResult {
        self.handshake.handshake(io, info).await
    }
}

impl Default for ServerCredentials {
    fn default() -> Self {
        Self::new(Insecure)
    }
}

impl fmt::Debug for ServerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCredentials")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
