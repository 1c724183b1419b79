//! A connection's statistics as users see them.

use std::time::SystemTime;

use crate::io::Peer;

/// The statistics of one connection, at one time.
///
/// The numbers are those of the last time that the connection had nothing more to do; they are each
/// right, and may be of slightly different times. The fields are those of channelz, `Socket` and
/// `SocketData`. A connection of [`Transport::H2`](crate::Transport) counts nothing: it has its
/// [`id`](Self::id) and its [`peer`](Self::peer) alone.
///
/// Source: gRFC A14; `grpc/channelz/v1/channelz.proto`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// The connection's number, which no other in the process has.
    pub id: u64,
    /// The two ends, and how the connection is secured.
    pub peer: Peer,
    /// The streams that have begun, one for each call or attempt.
    pub streams_started: u64,
    /// The streams whose response has ended, with any status.
    pub streams_succeeded: u64,
    /// The streams that have ended without that: they were reset.
    pub streams_failed: u64,
    /// The messages sent.
    pub messages_sent: u64,
    /// The messages received.
    pub messages_received: u64,
    /// The PINGs of [keepalive](crate::keepalive) sent.
    pub keepalives_sent: u64,
    /// The time when this end began a stream last; `None` on a server.
    pub last_local_stream_created: Option<SystemTime>,
    /// The time when the other end began a stream last; `None` on a client.
    pub last_remote_stream_created: Option<SystemTime>,
    /// The time when a message was sent last.
    pub last_message_sent: Option<SystemTime>,
    /// The time when a message was received last.
    pub last_message_received: Option<SystemTime>,
    /// The connection's flow-control window for what this end sends, in octets. Negative when the
    /// other end has made it smaller than what was in flight.
    pub local_flow_control_window: i64,
    /// The connection's flow-control window for what the other end sends, in octets.
    pub remote_flow_control_window: i64,
}
