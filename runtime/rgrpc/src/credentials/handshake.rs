//! The interface between credentials and connections: a handshake for each side.
//!
//! Source: grpc-go `TransportCredentials`, as one trait for each side.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::io::{Connected, Peer};

/// A running handshake. It yields the secured connection, with the peer's TLS information.
///
/// The caller sets the timeout. A dropped future closes the connection.
pub(crate) type HandshakeFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Connected, HandshakeError>> + Send + 'a>>;

/// The error of a handshake. Its text names the side and the option concerned; the caller adds the
/// address.
pub(crate) type HandshakeError = Box<dyn Error + Send + Sync>;

/// The client's handshake. It runs on the channel's task.
pub(crate) trait ClientHandshake: fmt::Debug + Send + Sync + 'static {
    /// Returns the `:scheme` of requests.
    fn scheme(&self) -> &'static str;

    /// Returns the server name that replaces the target's name in the channel's authority, if one
    /// is set.
    fn server_name(&self) -> Option<&str>;

    /// Returns the end of the error text for a server that does not answer after the handshake: the
    /// likely reason.
    fn unanswered_hint(&self) -> &'static str;

    /// Checks that the server of a secured connection also serves this host, the authority of a
    /// call. The error contains the reason.
    fn check_host(&self, host: &str, peer: &Peer) -> Result<(), String>;

    /// Secures a connection to the server with the name `host`: a DNS name or an IP address.
    fn handshake<'a>(&'a self, connected: Connected, host: &'a str) -> HandshakeFuture<'a>;
}

/// The server's handshake. It runs on the task of each connection.
pub(crate) trait ServerHandshake: fmt::Debug + Send + Sync + 'static {
    /// Secures an accepted connection.
    fn handshake(&self, connected: Connected) -> HandshakeFuture<'_>;
}
