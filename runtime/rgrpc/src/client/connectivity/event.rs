//! The events of a channel's task, but for those of its resolver.
//!
//! Sent by calls, users, connections, monitors and policies, from any task.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::ConnectError;
use crate::balancer::{SubConnId, SubConnRequest};
use crate::transport::{ClientTransport, TransportEvent};

/// An event of a channel's task.
pub(in crate::client) enum Event {
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

/// Both ends of the queue of a task's events.
pub(in crate::client) struct EventReceiver {
    pub(in crate::client) sender: mpsc::UnboundedSender<Event>,
    pub(in crate::client) receiver: mpsc::UnboundedReceiver<Event>,
}

/// Names an attempt to connect, and the connection that comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::client) struct ConnectionId(pub(in crate::client) u64);

/// Names a monitor, which asks one backend one thing over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) struct MonitorId(pub(in crate::client) u64);
