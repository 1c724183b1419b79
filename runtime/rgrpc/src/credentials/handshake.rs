//! The seam behind the credentials: what a kind of security does to a new connection.
//!
//! Source: grpc-go `TransportCredentials`, as one trait for each side.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::io::{Connected, Peer};

/// A handshake that is under way: the connection through which bytes pass from now on, with what
/// was learned of the peer.
///
/// The caller bounds the time; a dropped future closes the connection.
pub(crate) type HandshakeFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Connected, HandshakeError>> + Send + 'a>>;

/// Why a connection was not secured. Its text names the side and the option concerned; the caller
/// adds the address.
pub(crate) type HandshakeError = Box<dyn Error + Send + Sync>;

/// Secures the connections of a channel; called on the channel's task.
pub(crate) trait ClientHandshake: fmt::Debug + Send + Sync + 'static {
    /// The `:scheme` of requests.
    fn scheme(&self) -> &'static str;

    /// The name that stands in for the target's as the channel's authority, if one was set.
    fn server_name(&self) -> Option<&str>;

    /// What a server may want instead that does not answer after the handshake; the end of an
    /// error's text.
    fn if_unanswered(&self) -> &'static str;

    /// Checks that the server of a connection which was secured may be called by this host as well:
    /// the authority of a call. The error says what is wrong.
    fn check_host(&self, host: &str, peer: &Peer) -> Result<(), String>;

    /// Secures a connection to the server that `host` names: a DNS name or an IP address.
    fn handshake<'a>(&'a self, connected: Connected, host: &'a str) -> HandshakeFuture<'a>;
}

/// Secures the connections of a server; called on each connection's own task.
pub(crate) trait ServerHandshake: fmt::Debug + Send + Sync + 'static {
    /// Secures a connection that was accepted.
    fn handshake(&self, connected: Connected) -> HandshakeFuture<'_>;
}
