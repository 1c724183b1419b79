//! Channels, subchannels, servers and sockets at one time, as readers see them.

use std::time::SystemTime;

use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::transport::{CallCounts, ConnectionSnapshot};

/// A channel at one time.
///
/// Source: `grpc/channelz/v1/channelz.proto`, `Channel` and `ChannelData`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChannelSnapshot {
    /// The [id](crate::ClientConn::id) of the channel.
    pub id: u64,
    /// The id of the channel to which this one belongs, if it has a
    /// [parent](crate::ClientConnBuilder::parent).
    pub parent: Option<u64>,
    /// The target in full, as [`ClientConn::canonical_target`](crate::ClientConn::canonical_target).
    pub target: String,
    /// The connectivity state.
    pub state: ConnectivityState,
    /// The calls of the channel. One that waits between two attempts counts as failed meanwhile.
    pub calls: CallCounts,
    /// The time at which the channel was built.
    pub created: SystemTime,
    /// The ids of its subchannels. [`Registry::subchannels`](super::Registry::subchannels) has their
    /// snapshots.
    pub subchannels: Vec<u64>,
    /// The ids of the channels whose [parent](Self::parent) it is.
    pub nested: Vec<u64>,
}

/// A subchannel at one time: the connections of a channel to one address.
///
/// Source: `grpc/channelz/v1/channelz.proto`, `Subchannel` and `ChannelData`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SubchannelSnapshot {
    /// The id of the subchannel, the number of its [`SubConnId`](crate::balancer::SubConnId).
    pub id: u64,
    /// The id of the channel.
    pub channel: u64,
    /// The address of the server.
    pub address: Address,
    /// The connectivity state. SHUTDOWN when the policy has dropped the subchannel and its last calls
    /// go on.
    pub state: ConnectivityState,
    /// The attempts at calls that have had a stream of this subchannel, those of its connections that
    /// have ended included.
    pub calls: CallCounts,
    /// The time at which the subchannel was created.
    pub created: SystemTime,
    /// The reason why the last attempt to connect has failed; `None` if none has since the last one
    /// that succeeded.
    pub last_connect_error: Option<String>,
    /// Its connections, the sockets, in the order of their ids.
    pub connections: Vec<ConnectionSnapshot>,
}

/// A server at one time.
///
/// Source: `grpc/channelz/v1/channelz.proto`, `Server` and `ServerData`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServerSnapshot {
    /// The [id](crate::ServerHandle::id) of the server.
    pub id: u64,
    /// The calls of the server, those of its connections that have ended included.
    pub calls: CallCounts,
    /// The time at which the server was created.
    pub created: SystemTime,
    /// The sockets on which it listens.
    pub listen_sockets: Vec<ListenSocketSnapshot>,
}

/// A socket on which a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenSocketSnapshot {
    /// The id of the socket.
    pub id: u64,
    /// The address on which it listens.
    pub local: Address,
}

/// A socket, of a connection or of a listener.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SocketSnapshot {
    /// A connection of a channel or a server.
    Connection(Box<ConnectionSnapshot>),
    /// A listener of a server.
    Listen(ListenSocketSnapshot),
}

impl ListenSocketSnapshot {
    pub(crate) const fn new(id: u64, local: Address) -> Self {
        Self { id, local }
    }
}
