use std::sync::Arc;

use crate::balancer::{SubConnId, SubConnRequest};
use crate::transport::{ClientTransport, ConnectError, TransportEvent};

/// What a channel's task is told, by others than its resolver.
pub(super) enum Event {
    /// A balancer, or a picker, wants something of a connection.
    SubConn(SubConnId, SubConnRequest),
    /// An attempt to connect has ended.
    Connected {
        subconn: SubConnId,
        connection: ConnectionId,
        outcome: Result<Arc<dyn ClientTransport>, ConnectError>,
    },
    /// Something has happened to a connection.
    Connection {
        subconn: SubConnId,
        connection: ConnectionId,
        event: TransportEvent,
    },
    /// A monitor of a connection has something to be taken.
    Monitor {
        subconn: SubConnId,
        monitor: MonitorId,
    },
    /// A connection is wanted, by a call or by the user.
    ExitIdle,
    /// A policy wants to be woken.
    Wake,
    /// The backoff restarts, and its waits end.
    ResetBackoff,
}

/// Names an attempt to connect, and the connection that comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(pub(super) u64);

/// Names a monitor, which asks one backend one thing over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MonitorId(pub(super) u64);
