//! Credentials, which secure connections.
//!
//! Security is always explicit: a channel needs [`ChannelCredentials`], which may be [`insecure`].
//! A server uses plain text unless it has [`ServerCredentials`], as in grpc-go.
//!
//! With the feature `tls`, `ClientTls` and `ServerTls` create credentials from PEM: CA
//! certificates, certificate chains, private keys. [`Peer::tls`](crate::io::Peer::tls) has the
//! result of a handshake.
//!
//! [`PerRpcCredentials`] are sent with each call instead, as metadata.
//!
//! Inside the crate, credentials are handshakes. The channel's task runs one on each dialed
//! connection, and each accepted connection's own task runs one on the server.

mod handshake;
mod insecure;
pub(crate) mod per_rpc;
#[cfg(feature = "tls")]
mod tls;

use std::sync::Arc;

use crate::io::{Connected, Peer};
use handshake::{ClientHandshake, HandshakeError, ServerHandshake};
use insecure::Insecure;
pub use per_rpc::{MetadataFuture, PerRpcCredentials, RequestInfo};
#[cfg(feature = "tls")]
pub use tls::{ClientTls, ServerTls, TlsError};

/// The transport security of a channel. Cheap to clone.
///
/// Source: grpc-go's package `credentials`, `TransportCredentials`.
#[derive(Clone, Debug)]
pub struct ChannelCredentials(Arc<dyn ClientHandshake>);

/// The transport security of a server. Cheap to clone. Default: plain text.
///
/// Source: grpc-go's package `credentials`, `TransportCredentials`.
#[derive(Clone, Debug)]
pub struct ServerCredentials(Arc<dyn ServerHandshake>);

/// Creates credentials without security: HTTP/2 in plain text with prior knowledge.
///
/// Source: grpc-go's package `credentials/insecure`.
#[must_use]
pub fn insecure() -> ChannelCredentials {
    ChannelCredentials(Arc::new(Insecure))
}

impl ChannelCredentials {
    /// Returns the `:scheme` of requests.
    pub(crate) fn scheme(&self) -> &'static str {
        self.0.scheme()
    }

    /// Returns whether connections are encrypted and authenticated.
    pub(crate) fn are_secure(&self) -> bool {
        self.scheme() == "https"
    }

    /// Checks that the server of a secured connection also serves this host.
    ///
    /// The error contains the reason.
    pub(crate) fn check_host(&self, host: &str, peer: &Peer) -> Result<(), String> {
        self.0.check_host(host, peer)
    }

    /// Returns the server name that replaces the target's name, if one is set. It is then the
    /// channel's authority.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.0.server_name()
    }

    /// Returns the end of the error text for a server that does not answer in HTTP/2 after the
    /// handshake.
    pub(crate) fn unanswered_hint(&self) -> &'static str {
        self.0.unanswered_hint()
    }

    /// Secures a connection to the server with the name `host`: the authority without its port.
    pub(crate) async fn handshake(
        &self,
        connected: Connected,
        host: &str,
    ) -> Result<Connected, HandshakeError> {
        self.0.handshake(connected, host).await
    }
}

impl ServerCredentials {
    /// Secures an accepted connection.
    pub(crate) async fn handshake(
        &self,
        connected: Connected,
    ) -> Result<Connected, HandshakeError> {
        self.0.handshake(connected).await
    }
}

impl Default for ServerCredentials {
    fn default() -> Self {
        Self(Arc::new(Insecure))
    }
}
