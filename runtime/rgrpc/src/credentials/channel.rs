//! The credentials of a channel: a handshake, and per-RPC credentials that go with it.
//!
//! Called by the connector, on the task of the attempt to connect.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::handshake::AnyClientHandshake;
use super::handshake_error::settled;
use super::insecure::Insecure;
use super::local::Local;
use super::{
    ClientHandshake, ClientHandshakeInfo, HandshakeError, HandshakeResult, PerRpcCredentials,
};
use crate::attributes::Attributes;
use crate::io::{Address, BoxedIo, Connected, INSECURE, Peer};
use crate::side::Side;
use crate::task::caught_in;

/// The credentials of a channel: the handshake of its connections, and possibly per-RPC credentials
/// that go with it. Cheap to clone.
///
/// Source: grpc-go's package `credentials`, `TransportCredentials` and `Bundle`.
#[derive(Clone)]
pub struct ChannelCredentials {
    handshake: Arc<dyn AnyClientHandshake>,
    protocol: &'static str,
    per_rpc: Vec<Arc<dyn PerRpcCredentials>>,
    modes: Option<Arc<Modes>>,
}

/// The credentials of each mode of a bundle.
type Modes = dyn Fn(&str) -> Option<ChannelCredentials> + Send + Sync;

/// Creates credentials without security: HTTP/2 in plain text with prior knowledge.
///
/// Source: grpc-go's package `credentials/insecure`.
#[must_use]
pub fn insecure() -> ChannelCredentials {
    ChannelCredentials::new(Insecure)
}

/// Creates credentials for connections within one machine. Connections to other machines are
/// refused.
///
/// The security level is `NoSecurity` for TCP, since any user of the machine can listen on a port,
/// and `PrivacyAndIntegrity` for unix sockets and in-process pipes, so that per-RPC credentials may
/// be sent there. A dialer of the user's decides by the [`Peer`] that it reports.
///
/// Source: grpc-go's package `credentials/local`.
#[must_use]
pub fn local() -> ChannelCredentials {
    ChannelCredentials::new(Local)
}

impl ChannelCredentials {
    /// Creates credentials from a handshake, without per-RPC credentials.
    #[must_use]
    pub fn new(handshake: impl ClientHandshake) -> Self {
        Self {
            protocol: handshake.protocol(),
            handshake: Arc::new(handshake),
            per_rpc: Vec::new(),
            modes: None,
        }
    }

    /// Adds per-RPC credentials, which makes the credentials a bundle: a channel that is created
    /// with them sends both. They follow those of
    /// [`ClientConnBuilder::per_rpc_credentials`](crate::ClientConnBuilder::per_rpc_credentials).
    /// Default: none.
    ///
    /// ```
    /// # use rgrpc::credentials::{ChannelCredentials, PerRpcCredentials};
    /// # fn bundle(tls: ChannelCredentials, token: impl PerRpcCredentials) {
    /// let bundle = tls.with_per_rpc_credentials(token);
    /// let conn = rgrpc::ClientConn::new("dns:///greeter.example.com:443", bundle);
    /// # }
    /// ```
    ///
    /// Source: grpc-go `credentials.Bundle`.
    #[must_use]
    pub fn with_per_rpc_credentials(mut self, credentials: impl PerRpcCredentials) -> Self {
        self.per_rpc.push(Arc::new(credentials));
        self
    }

    /// Sets the function that returns the credentials of each [mode](Self::mode) of a bundle, or
    /// `None` for a mode that it does not know. Default: no modes.
    ///
    /// Source: grpc-go `credentials.Bundle.NewWithMode`.
    #[must_use]
    pub fn with_modes(
        mut self,
        modes: impl Fn(&str) -> Option<Self> + Send + Sync + 'static,
    ) -> Self {
        self.modes = Some(Arc::new(modes));
        self
    }

    /// Returns the credentials for a mode, such as `fallback` or `balancer`. A balancing policy
    /// that connects to helpers of its own asks for it. `None`: the credentials have no such mode.
    ///
    /// Source: grpc-go `credentials.Bundle.NewWithMode`.
    #[must_use]
    pub fn mode(&self, mode: &str) -> Option<Self> {
        self.modes.as_ref()?(mode)
    }

    /// The name of the handshake's protocol: `insecure`, `local`, `tls`, or that of the user's
    /// handshake.
    ///
    /// Source: grpc-go `ProtocolInfo.SecurityProtocol`.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// The per-RPC credentials of a bundle.
    pub(crate) fn per_rpc(&self) -> &[Arc<dyn PerRpcCredentials>] {
        &self.per_rpc
    }

    /// Returns the `:scheme` of requests.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.protocol {
            "tls" => "https",
            _ => "http",
        }
    }

    /// Returns whether the credentials are [`insecure`].
    pub(crate) fn are_insecure(&self) -> bool {
        self.protocol == INSECURE
    }

    /// Returns the end of the error text for a server that does not respond in HTTP/2 after the
    /// handshake: the likely reason.
    pub(crate) fn unanswered_hint(&self) -> &'static str {
        if self.are_insecure() {
            "; it may expect TLS, and the channel's credentials are insecure()"
        } else {
            // TLS 1.3 refuses a client certificate in this way, and its alert has the reason.
            ""
        }
    }

    /// Secures a connection. The caller drops the future at the deadline, which the handshake only
    /// reads.
    pub(crate) async fn secure(
        &self,
        connected: Connected,
        target: &HandshakeTarget<'_>,
        deadline: Option<Instant>,
    ) -> Result<Connected, HandshakeError> {
        let Connected {
            io,
            peer,
            extensions,
        } = connected;
        let info = ClientHandshakeInfo::new(target.host, &peer)
            .with_authority(target.authority)
            .with_address(target.address)
            .with_attributes(target.attributes)
            .with_deadline(deadline);
        let outcome = caught_in("the client's security handshake", || {
            self.handshake.handshake(io, info)
        });
        let secured = settled(Side::Client, self.protocol, outcome.await)?;
        Ok(secured.of_connection(peer, extensions))
    }

    /// Returns the error of a handshake that was dropped at its deadline.
    pub(crate) fn timed_out(&self, limit: Duration) -> HandshakeError {
        HandshakeError::timed_out(Side::Client, self.protocol, limit, "min_connect_timeout")
    }
}

/// The server that a connection was made to.
pub(crate) struct HandshakeTarget<'a> {
    /// The authority without its port.
    pub(crate) host: &'a str,
    /// The channel's authority.
    pub(crate) authority: &'a str,
    pub(crate) address: &'a Address,
    pub(crate) attributes: &'a Attributes,
}

/// Delegates, so that a handshake can choose other credentials for each connection. The per-RPC
/// credentials of a bundle are not sent then.
impl ClientHandshake for ChannelCredentials {
    fn protocol(&self) -> &'static str {
        self.protocol
    }

    fn server_name(&self) -> Option<&str> {
        self.handshake.server_name()
    }

    fn check_host(&self, host: &str, peer: &Peer) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.handshake.check_host(host, peer)
    }

    async fn handshake(&self, io: BoxedIo, info: ClientHandshakeInfo<'_>) -> HandshakeResult {
        self.handshake.handshake(io, info).await
    }
}

impl fmt::Debug for ChannelCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_rpc = self.per_rpc.iter().map(|credentials| credentials.name());
        f.debug_struct("ChannelCredentials")
            .field("protocol", &self.protocol)
            .field("per_rpc", &per_rpc.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
