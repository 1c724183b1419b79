//! The security handshake of a connection, as a trait for each side.
//!
//! Users implement it, as `insecure`, `local` and TLS do. The channel calls it in the task of an
//! attempt to connect, and the server in the connection's task.
//!
//! Source: grpc-go `credentials.TransportCredentials`.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use crate::io::{BoxedIo, Peer};

use super::{ClientHandshakeInfo, Secured, ServerHandshakeInfo};

/// The result of a handshake: the secured connection, or the reason of the failure.
///
/// The reason's text names what the user can change, such as an option of the credentials. The
/// runtime adds the side, the protocol and the address: see
/// [`HandshakeError`](super::HandshakeError).
pub type HandshakeResult = Result<Secured, Box<dyn Error + Send + Sync>>;

/// The security handshake of a channel's connections.
///
/// [`ChannelCredentials::new`](super::ChannelCredentials::new) makes credentials of it. A handshake
/// may do IO of its own, such as a call to a handshaker service.
///
/// ```
/// use rgrpc::credentials::{
///     AuthInfo, ChannelCredentials, ClientHandshake, ClientHandshakeInfo, HandshakeResult,
///     Secured, SecurityLevel,
/// };
/// use rgrpc::io::BoxedIo;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// /// Introduces the client by its name, which proves nothing.
/// struct Introduction;
///
/// impl ClientHandshake for Introduction {
///     fn protocol(&self) -> &'static str {
///         "introduction"
///     }
///
///     async fn handshake(&self, mut io: BoxedIo, _: ClientHandshakeInfo<'_>) -> HandshakeResult {
///         io.write_all(b"ada").await?;
///         if io.read_u8().await? != 1 {
///             return Err("the server does not know the name".into());
///         }
///         let auth = AuthInfo::new("introduction", SecurityLevel::NoSecurity);
///         Ok(Secured::new(io, auth))
///     }
/// }
///
/// let credentials = ChannelCredentials::new(Introduction);
/// # drop(credentials);
/// ```
///
/// Source: grpc-go `credentials.TransportCredentials`.
pub trait ClientHandshake: Send + Sync + 'static {
    /// Returns the name of the protocol, for errors and logs. Requests have the `:scheme` `https`
    /// if it is `tls`, and `http` otherwise.
    ///
    /// Source: grpc-go `ProtocolInfo.SecurityProtocol`.
    fn protocol(&self) -> &'static str;

    /// Returns the server name that replaces the target's name in the channel's authority. Default:
    /// `None`, the target's name.
    ///
    /// The channel cannot be built if its option `authority` differs.
    ///
    /// Source: grpc-go `ProtocolInfo.ServerName`.
    fn server_name(&self) -> Option<&str> {
        None
    }

    /// Checks that the server of a secured connection also serves `host`: the host of an authority
    /// that a call [sets for itself](crate::CallOptions::set_authority), or that a load balancing
    /// policy [sets](crate::balancer::Pick::with_authority) for an attempt. Default: refuses every
    /// host.
    ///
    /// It runs on the caller's task, for each attempt of such a call. A panic fails the call with
    /// INTERNAL.
    ///
    /// # Errors
    /// The server is not known to serve the host. The attempt fails with UNAVAILABLE and this
    /// reason.
    ///
    /// Source: grpc-go `credentials.AuthorityValidator`.
    fn check_host(&self, host: &str, peer: &Peer) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _ = host;
        let protocol = peer.auth.protocol();
        Err(format!("the credentials {protocol} verify no authority of a call's own").into())
    }

    /// Secures a connection that was just made.
    ///
    /// It must not read beyond the handshake, or must hand back a stream that begins with what it
    /// has read. A panic fails the attempt to connect.
    ///
    /// The future is dropped at the [deadline](ClientHandshakeInfo::deadline) of the attempt, and
    /// when the channel no longer needs the connection. A dropped future must close the connection,
    /// as it does by dropping `io`.
    ///
    /// # Errors
    /// The connection is closed, and the attempt fails: its error has the reason and the address,
    /// and the next attempt follows after the backoff.
    fn handshake(
        &self,
        io: BoxedIo,
        info: ClientHandshakeInfo<'_>,
    ) -> impl Future<Output = HandshakeResult> + Send;
}

/// The security handshake of a server's connections.
///
/// [`ServerCredentials::new`](super::ServerCredentials::new) makes credentials of it. Each
/// connection runs it on its own task, so that a slow one delays no other.
///
/// Source: grpc-go `credentials.TransportCredentials`.
pub trait ServerHandshake: Send + Sync + 'static {
    /// Returns the name of the protocol, for errors and logs.
    fn protocol(&self) -> &'static str;

    /// Secures an accepted connection.
    ///
    /// It must not read beyond the handshake, or must hand back a stream that begins with what it
    /// has read. A panic refuses the connection.
    ///
    /// The future is dropped at the deadline, which is
    /// [`connection_timeout`](crate::Server::connection_timeout) after the connection was accepted,
    /// and when the server begins to stop.
    ///
    /// # Errors
    /// The connection is closed and the reason is logged. A reason whose source is an
    /// [`io::Error`](std::io::Error) of a client that has hung up is logged at debug level, and so
    /// is [`ConnectionDispatched`](super::ConnectionDispatched).
    fn handshake(
        &self,
        io: BoxedIo,
        info: ServerHandshakeInfo<'_>,
    ) -> impl Future<Output = HandshakeResult> + Send;
}

/// A running handshake of any type.
pub(super) type HandshakeFuture<'a> = Pin<Box<dyn Future<Output = HandshakeResult> + Send + 'a>>;

/// A [`ClientHandshake`] of any type.
pub(super) trait AnyClientHandshake: Send + Sync {
    fn server_name(&self) -> Option<&str>;
    fn check_host(&self, host: &str, peer: &Peer) -> Result<(), Box<dyn Error + Send + Sync>>;
    fn handshake<'a>(&'a self, io: BoxedIo, info: ClientHandshakeInfo<'a>) -> HandshakeFuture<'a>;
}

impl<T: ClientHandshake> AnyClientHandshake for T {
    fn server_name(&self) -> Option<&str> {
        ClientHandshake::server_name(self)
    }

    fn check_host(&self, host: &str, peer: &Peer) -> Result<(), Box<dyn Error + Send + Sync>> {
        ClientHandshake::check_host(self, host, peer)
    }

    fn handshake<'a>(&'a self, io: BoxedIo, info: ClientHandshakeInfo<'a>) -> HandshakeFuture<'a> {
        Box::pin(ClientHandshake::handshake(self, io, info))
    }
}

/// A [`ServerHandshake`] of any type.
pub(super) trait AnyServerHandshake: Send + Sync {
    fn handshake<'a>(&'a self, io: BoxedIo, info: ServerHandshakeInfo<'a>) -> HandshakeFuture<'a>;
}

impl<T: ServerHandshake> AnyServerHandshake for T {
    fn handshake<'a>(&'a self, io: BoxedIo, info: ServerHandshakeInfo<'a>) -> HandshakeFuture<'a> {
        Box::pin(ServerHandshake::handshake(self, io, info))
    }
}
