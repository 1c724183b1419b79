//! The options of a server, as its setters leave them.
//!
//! Read by accept loops, connections and calls, which share them.

use std::sync::Arc;
use std::time::Duration;

use super::hooks::{ConnectionHook, HeadHook};
use super::interceptor::Interceptors;
use super::panic::PanicHook;
use super::services::UnknownHandler;
use crate::call::ServerResources;
use crate::channelz::Registry;
use crate::codec::{DEFAULT_MAX_RECEIVE, DEFAULT_MAX_SEND};
use crate::credentials::ServerCredentials;
use crate::stats::StatsHandlers;
use crate::transport::keepalive::{EnforcementPolicy, ServerParameters};
use crate::transport::{MessageMemory, ServerSettings, Transport};

/// The options of a server; the setters of [`Server`](super::Server) document each.
#[derive(Clone, Debug)]
pub(super) struct ServerOptions {
    pub(super) max_receive_message_size: usize,
    pub(super) max_send_message_size: usize,
    pub(super) unknown_service: Option<UnknownHandler>,
    pub(super) interceptors: Interceptors,
    pub(super) stats: StatsHandlers,
    pub(super) head_hook: Option<HeadHook>,
    pub(super) connection_hook: Option<ConnectionHook>,
    pub(super) panic_hook: Option<PanicHook>,
    pub(super) resources: Arc<ServerResources>,
    /// The invalid name of an added compressor. It makes serving fail.
    pub(super) unsendable_compressor: Option<String>,
    pub(super) credentials: ServerCredentials,
    /// `None`: that of keepalive.
    pub(super) tcp_user_timeout: Option<Option<Duration>>,
    /// An option of keepalive was set.
    pub(super) has_keepalive: bool,
    /// `None`: that of the process.
    pub(super) registry: Option<Registry>,
    pub(super) transport: ServerSettings,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_receive_message_size: DEFAULT_MAX_RECEIVE,
            max_send_message_size: DEFAULT_MAX_SEND,
            unknown_service: None,
            interceptors: Interceptors::default(),
            stats: StatsHandlers::default(),
            head_hook: None,
            connection_hook: None,
            panic_hook: None,
            resources: Arc::default(),
            unsendable_compressor: None,
            credentials: ServerCredentials::default(),
            tcp_user_timeout: None,
            has_keepalive: false,
            registry: None,
            transport: ServerSettings {
                handshake_timeout: Duration::from_secs(120),
                max_concurrent_streams: None,
                spawn_handlers: false,
                transport: Transport::default(),
                connections: Arc::default(),
                keepalive: ServerParameters::default(),
                enforcement: EnforcementPolicy::default(),
                memory: MessageMemory::default(),
                refusals: Arc::default(),
            },
        }
    }
}
