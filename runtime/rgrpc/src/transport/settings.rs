//! The settings of connections that channels and servers hand to an engine. Made when a channel is built
//! or a server begins to serve, and read when a connection is made.

use std::sync::Arc;
use std::time::Duration;

use super::keepalive::{ChannelKeepalive, EnforcementPolicy, ServerParameters};
use super::{ConnectionRegistry, RefusalLog, Transport};
use crate::buffer_pool::BufferPool;
use crate::memory_budget::MemoryBudget;

/// The memory of received messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageMemory {
    pub(crate) pool: BufferPool,
    pub(crate) budget: MemoryBudget,
}

/// A channel's settings for its connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientSettings {
    /// The connections of the channel.
    pub(crate) connections: Arc<ConnectionRegistry>,
    /// The keepalive of the connections; `None` sends no PINGs.
    pub(crate) keepalive: Option<Arc<ChannelKeepalive>>,
    pub(crate) memory: MessageMemory,
}

/// A server's settings for its connections.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    /// The maximum time from accepting a connection to the end of the HTTP/2 preface.
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_concurrent_streams: Option<u32>,
    /// New calls are spawned without being polled on the connection's task.
    pub(crate) spawn_handlers: bool,
    pub(crate) transport: Transport,
    /// The connections of the server.
    pub(crate) connections: Arc<ConnectionRegistry>,
    pub(crate) keepalive: ServerParameters,
    pub(crate) enforcement: EnforcementPolicy,
    pub(crate) memory: MessageMemory,
    /// The log of refused connections, shared by all of the server's.
    pub(crate) refusals: Arc<RefusalLog>,
}
