//! The inputs of a handshake.
//!
//! Created by `channel.rs` and `server.rs` for each connection; read by handshakes, on the task of
//! the attempt to connect or of the accepted connection.

use tokio::time::Instant;

use crate::attributes::{Attribute, Attributes};
use crate::extensions::Extensions;
use crate::io::{Address, Peer};

/// The inputs of a [`ClientHandshake`](super::ClientHandshake), besides the connection.
///
/// Source: grpc-go `credentials.ClientHandshakeInfo`, and the authority of its `ClientHandshake`.
#[derive(Clone, Copy, Debug)]
pub struct ClientHandshakeInfo<'a> {
    server_name: &'a str,
    authority: &'a str,
    peer: &'a Peer,
    address: &'a Address,
    attributes: &'a Attributes,
    deadline: Option<Instant>,
}

impl<'a> ClientHandshakeInfo<'a> {
    /// Creates the inputs for a server of this name, without attributes and deadline: for tests of
    /// a handshake.
    #[must_use]
    pub fn new(server_name: &'a str, peer: &'a Peer) -> Self {
        static NONE: Attributes = Attributes::new();
        Self {
            server_name,
            authority: server_name,
            peer,
            address: &peer.remote,
            attributes: &NONE,
            deadline: None,
        }
    }

    /// Replaces the channel's authority. Default: the server name.
    #[must_use]
    pub const fn with_authority(self, authority: &'a str) -> Self {
        Self { authority, ..self }
    }

    /// Replaces the address that was dialed. Default: the remote end of the connection.
    #[must_use]
    pub const fn with_address(self, address: &'a Address) -> Self {
        Self { address, ..self }
    }

    /// Replaces the server name, to delegate to other credentials.
    #[must_use]
    pub const fn with_server_name(self, server_name: &'a str) -> Self {
        Self {
            server_name,
            ..self
        }
    }

    /// Replaces the attributes.
    #[must_use]
    pub const fn with_attributes(self, attributes: &'a Attributes) -> Self {
        Self { attributes, ..self }
    }

    /// Replaces the deadline.
    #[must_use]
    pub const fn with_deadline(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// The name that the server must prove: the host of the channel's authority, a DNS name or an
    /// IP address.
    #[must_use]
    pub const fn server_name(&self) -> &'a str {
        self.server_name
    }

    /// The channel's authority, which may have a port.
    #[must_use]
    pub const fn authority(&self) -> &'a str {
        self.authority
    }

    /// The address that was dialed.
    #[must_use]
    pub const fn address(&self) -> &'a Address {
        self.address
    }

    /// The two ends of the connection, as the dialer has reported them.
    #[must_use]
    pub const fn peer(&self) -> &'a Peer {
        self.peer
    }

    /// The attributes of the subchannel: those of its endpoint
    /// ([`Endpoint::connection_attributes`](crate::resolver::Endpoint::connection_attributes)) and
    /// of its balancers
    /// ([`SubConnOptions::attributes`](crate::balancer::SubConnOptions::attributes)).
    #[must_use]
    pub const fn attributes(&self) -> &'a Attributes {
        self.attributes
    }

    /// The attribute of a type, if there is one.
    #[must_use]
    pub fn attribute<T: Attribute>(&self) -> Option<&'a T> {
        self.attributes.get()
    }

    /// The time at which the handshake is dropped: the connect timeout of the attempt. `None`:
    /// never.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

/// The inputs of a [`ServerHandshake`](super::ServerHandshake), besides the connection.
#[derive(Clone, Copy, Debug)]
pub struct ServerHandshakeInfo<'a> {
    peer: &'a Peer,
    extensions: &'a Extensions,
    deadline: Option<Instant>,
}

impl<'a> ServerHandshakeInfo<'a> {
    /// Creates the inputs for a connection, without values of its listener and without a deadline:
    /// for tests of a handshake.
    #[must_use]
    pub const fn new(peer: &'a Peer) -> Self {
        static NONE: Extensions = Extensions::new();
        Self {
            peer,
            extensions: &NONE,
            deadline: None,
        }
    }

    /// Replaces the typed values of the listener.
    #[must_use]
    pub const fn with_extensions(self, extensions: &'a Extensions) -> Self {
        Self { extensions, ..self }
    }

    /// Replaces the deadline.
    #[must_use]
    pub const fn with_deadline(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// The two ends of the connection, as the listener has reported them.
    #[must_use]
    pub const fn peer(&self) -> &'a Peer {
        self.peer
    }

    /// The typed values that the [listener](crate::io::Connected::extensions) has given the
    /// connection.
    #[must_use]
    pub const fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    /// The time at which the handshake is dropped. `None`: never.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
