//! How a connection is secured.
//!
//! Security is never implicit: a channel is made with [`ChannelCredentials`], and [`insecure`] ones
//! are among them. A server is in plain text unless it is given [`ServerCredentials`], as in
//! grpc-go.
//!
//! With the feature `tls`, `ClientTls` and `ServerTls` make credentials of PEM: certificates of a
//! CA, certificate chains, private keys. What a handshake learned of the other side is in
//! [`Peer::tls`](crate::io::Peer::tls).
//!
//! [`PerRpcCredentials`] go with each call instead, as metadata.
//!
//! Within the crate, credentials are handshakes: a channel's task runs one on each connection
//! that it has dialed, a server one on each that it has accepted, in that connection's own task.

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

/// What secures the connections of a channel. Cheap to clone.
///
/// Source: grpc-go's package `credentials`, `TransportCredentials`.
#[derive(Clone, Debug)]
pub struct ChannelCredentials(Arc<dyn ClientHandshake>);

/// What secures the connections of a server. Cheap to clone. The default is plain text.
///
/// Source: grpc-go's package `credentials`, `TransportCredentials`.
#[derive(Clone, Debug)]
pub struct ServerCredentials(Arc<dyn ServerHandshake>);

/// No security at all: HTTP/2 in plain text with prior knowledge.
///
/// Source: grpc-go's package `credentials/insecure`.
#[must_use]
pub fn insecure() -> ChannelCredentials {
    ChannelCredentials(Arc::new(Insecure))
}

impl ChannelCredentials {
    /// The `:scheme` of requests.
    pub(crate) fn scheme(&self) -> &'static str {
        self.0.scheme()
    }

    /// Whether nobody on the way can read or change what is sent.
    pub(crate) fn are_secure(&self) -> bool {
        self.scheme() == "https"
    }

    /// Checks that a server whose connection was secured may be called by this host as well.
    ///
    /// The error says what is wrong.
    pub(crate) fn check_host(&self, host: &str, peer: &Peer) -> Result<(), String> {
        self.0.check_host(host, peer)
    }

    /// The name that the server is to prove instead of the target's; it is the channel's authority
    /// then.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.0.server_name()
    }

    /// What to say more when a server does not answer in HTTP/2 after the handshake.
    pub(crate) fn if_unanswered(&self) -> &'static str {
        self.0.if_unanswered()
    }

    /// Secures a connection to the server that `host` names: the authority without its port.
    pub(crate) async fn handshake(
        &self,
        connected: Connected,
        host: &str,
    ) -> Result<Connected, HandshakeError> {
        self.0.handshake(connected, host).await
    }
}

impl ServerCredentials {
    /// Secures a connection that was accepted.
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
