//! The statistics of a connection, as users see them.

use std::time::SystemTime;

use crate::disconnect_reason::GoAway;
use crate::io::Peer;

/// The statistics of one connection, at one time.
///
/// The values were published when the connection last had nothing more to do. Each is correct, but
/// they may be from slightly different times. The fields are those of channelz, `Socket` and
/// `SocketData`. A connection of [`Transport::H2`](crate::Transport) counts nothing and has only
/// its [`id`](Self::id), its [`peer`](Self::peer) and its [`goaway`](Self::goaway).
///
/// Source: gRFC A14; `grpc/channelz/v1/channelz.proto`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// The connection's number, unique in the process.
    pub id: u64,
    /// The two ends, and how the connection is secured.
    pub peer: Peer,
    /// The number of streams that have begun, one for each call or attempt.
    pub streams_started: u64,
    /// The number of streams whose response has ended, with any status.
    pub streams_succeeded: u64,
    /// The number of streams that have ended without a complete response: they were reset.
    pub streams_failed: u64,
    /// The number of messages sent.
    pub messages_sent: u64,
    /// The number of messages received.
    pub messages_received: u64,
    /// The number of [keepalive](crate::keepalive) PINGs sent.
    pub keepalives_sent: u64,
    /// The time at which this end last opened a stream; `None` on a server.
    pub last_local_stream_created: Option<SystemTime>,
    /// The time at which the other end last opened a stream; `None` on a client.
    pub last_remote_stream_created: Option<SystemTime>,
    /// The time at which a message was last sent.
    pub last_message_sent: Option<SystemTime>,
    /// The time at which a message was last received.
    pub last_message_received: Option<SystemTime>,
    /// The connection's flow-control window for data that this end sends, in octets. Negative if
    /// the other end has made it smaller than the data in flight.
    pub local_flow_control_window: i64,
    /// The connection's flow-control window for data that the other end sends, in octets.
    pub remote_flow_control_window: i64,
    /// The first GOAWAY that the other end has sent, if any: the connection takes no new streams.
    pub goaway: Option<GoAway>,
}
