//! The choice of an engine, an option of channels and servers.

/// The HTTP/2 implementation that carries calls over a connection.
///
/// Calls behave alike on all of them. The default is [`Transport::Native`], with every set of cargo
/// features. Set by [`ClientConnBuilder::transport`](crate::ClientConnBuilder::transport) and
/// [`Server::transport`](crate::Server::transport).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// The engine of this crate: one task a connection, which owns all of its state.
    #[default]
    Native,
    /// The `h2` crate. Needs the feature `transport-h2`.
    ///
    /// It does not support an authority with a percent-encoded host, such as that of a target
    /// `scheme:///a/b`. A server resets such requests with PROTOCOL_ERROR. Creating such a channel
    /// fails, unless the option [`authority`](crate::ClientConnBuilder::authority) sets another
    /// one.
    ///
    /// It has no [keepalive](crate::keepalive): a channel or a server with such an option fails.
    #[cfg(feature = "transport-h2")]
    H2,
}
