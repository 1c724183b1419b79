//! The handle of a channel.
//!
//! Created by the builder, cloned by users and by each call. It starts the channel's task, on the
//! runtime of the first call, and ends it when the last handle is dropped or the channel is closed.

pub(crate) mod authority;
mod compression;
mod connectivity;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use tokio::sync::watch;

pub(super) use self::compression::{CallEncoding, Compression};
use super::channel::{Channel, ChannelParts};
use super::connectivity::{ChannelState, SharedState};
use crate::buffer_pool::BufferPool;
use crate::call::{CallOptions, ClientInterceptor, Intercepted, InterceptorList};
use crate::channelz::{
    CallCounts, ChannelSnapshot, ChannelSource, Listing, Registry, SubchannelSnapshot,
};
use crate::credentials::{ChannelCredentials, PerRpcCredentials};
use crate::resolver::ChannelId;
use crate::service_config::MethodConfig;
use crate::stats::StatsHandlers;
use crate::status::Status;
use crate::task::current_runtime;
use crate::transport::{CommonHeaders, ConnectionRegistry, ConnectionSnapshot};

/// A channel, on which calls are made. It connects when a call needs it, reconnects, and closes its
/// connection when there have been no calls [for long](crate::ClientConnBuilder::idle_timeout). Its
/// [`state`](Self::state) can be watched.
///
/// A handle: cheap to clone, and all clones are one channel. The channel's task and connections
/// live on the tokio runtime of the first call, which has to be running as long as the channel is
/// used (one of a single thread runs only within `block_on`). When that runtime is dropped, the
/// connections are lost: calls under way fail with UNAVAILABLE, those that [wait for
/// ready](crate::Call::wait_for_ready) go on, and the next call restarts the channel, on its own
/// runtime. When the last handle and the last call are gone, the channel closes.
///
/// Calls are made from within a tokio runtime; else they fail with INTERNAL where one is needed.
///
/// Targets, as in the gRPC documents (`doc/naming.md`): `dns:///host:port` (or just `host:port`;
/// the port is 443 when left out; see [`DnsResolverBuilder`](crate::resolver::DnsResolverBuilder)),
/// `ipv4:1.2.3.4:5,…`, `ipv6:[::1]:5,…`, `unix:path` or `unix:///absolute/path`,
/// `unix-abstract:name`, and `passthrough:///name`, which hands the name to the dialer. Others come
/// with a [resolver](crate::ClientConnBuilder::resolver) of yours.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let conn = rgrpc::ClientConn::new("dns:///localhost:50051", rgrpc::credentials::insecure())?;
/// # Ok(()) }
/// ```
///
/// Source: grpc-go `ClientConn`, `NewClient`.
#[derive(Clone)]
pub struct ClientConn(Arc<Inner>);

/// The state that the handles of a channel share.
struct Inner {
    settings: Settings,
    state: SharedState,
    /// Set to true, or dropped, to end the channel's task.
    closed: watch::Sender<bool>,
    /// The parts of the task.
    parts: Arc<ChannelParts>,
    parent: Option<ChannelId>,
    created: SystemTime,
    /// The channel's place in its registry.
    _listing: Listing,
}

/// The options of a channel that concern its calls.
pub(super) struct Settings {
    pub(super) headers: Arc<CommonHeaders>,
    pub(super) compression: Compression,
    pub(super) target: String,
    pub(super) canonical_target: String,
    /// The default call options.
    pub(super) default_options: Option<CallOptions>,
    pub(super) interceptors: InterceptorList,
    pub(super) stats: StatsHandlers,
    pub(super) credentials: ChannelCredentials,
    /// The credentials of every call.
    pub(super) per_rpc_credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
    /// The maximum number of retries of a call that servers refuse.
    pub(super) max_transparent_retries: u16,
    /// The pool of the buffers of received messages.
    pub(super) buffer_pool: BufferPool,
}

impl ClientConn {
    /// Creates the handle of a channel, and lists it in `registry`.
    pub(super) fn from_parts(
        settings: Settings,
        channel: ChannelParts,
        parent: Option<ChannelId>,
        registry: &Registry,
    ) -> Self {
        let id = channel.options.channel.id().number();
        let parent_id = parent.map(ChannelId::number);
        Self(Arc::new_cyclic(|this: &Weak<Inner>| Inner {
            settings,
            state: Arc::new(ChannelState::new()),
            closed: watch::Sender::new(false),
            parts: Arc::new(channel),
            parent,
            created: SystemTime::now(),
            _listing: registry.add_channel(id, parent_id, this.clone()),
        }))
    }

    /// The id of the channel, unique in this program; all clones have the same. Its resolver and its
    /// balancers [know](crate::resolver::ChannelInfo::id) it.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.0.parts.options.channel.id()
    }

    /// The target, as it was given.
    ///
    /// Source: grpc-go `ClientConn.Target`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.0.settings.target
    }

    /// The target in full, `scheme://authority/endpoint`, as the channel has understood it: with
    /// the [default scheme](crate::ClientConnBuilder::default_scheme) if it named none.
    /// Percent-decoded and without the query: for logs and metrics.
    ///
    /// ```
    /// let conn = rgrpc::ClientConn::new("localhost:50051", rgrpc::credentials::insecure())?;
    /// assert_eq!(conn.target(), "localhost:50051");
    /// assert_eq!(conn.canonical_target(), "dns:///localhost:50051");
    /// # Ok::<(), rgrpc::BuildError>(())
    /// ```
    ///
    /// Source: grpc-go `ClientConn.CanonicalTarget`.
    #[must_use]
    pub fn canonical_target(&self) -> &str {
        &self.0.settings.canonical_target
    }

    /// The config of a method, `/service/method`, in the service config that holds now: the entry
    /// for its name, else for its service, else for all. Empty when none says anything, and as long
    /// as the channel knows no service config, which is until its target has been resolved for the
    /// first time. Retry and hedging policies are there as the channel's options
    /// [leave](crate::ClientConnBuilder::max_call_attempts) them.
    ///
    /// Calls go by it without being told. Does not make the channel connect.
    ///
    /// Source: grpc-go `ClientConn.GetMethodConfig`.
    #[must_use]
    pub fn method_config(&self, method: &str) -> MethodConfig {
        let config = self
            .0
            .state
            .picker
            .with_call_config(|config| config.method(method).cloned());
        config.flatten().unwrap_or_default()
    }

    /// The statistics of the channel's connections, in the order of their beginning, those included
    /// that are being made or closed. Does not make the channel connect, and disturbs no connection.
    ///
    /// ```
    /// # fn example(conn: &rgrpc::ClientConn) {
    /// for connection in conn.connections() {
    ///     let (server, calls) = (&connection.peer.remote, connection.streams_started);
    ///     println!("{server}: {calls} calls, {} failed", connection.streams_failed);
    /// }
    /// # }
    /// ```
    ///
    /// Source: gRFC A14; grpc-go has them in channelz alone.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionSnapshot> {
        self.0.parts.connector.settings.connections.snapshots()
    }

    /// This channel with an interceptor of its own, for one stub: it runs outside of the
    /// [channel's](crate::ClientConnBuilder::interceptor).
    ///
    /// Source: connect-go's `WithInterceptors` of a client; grpc-go has none.
    #[must_use]
    pub fn intercepted(&self, interceptor: impl ClientInterceptor) -> Intercepted<Self> {
        Intercepted::new(self.clone(), interceptor)
    }

    /// Closes the channel and its connections at once; calls end with CANCELLED, those under way
    /// and those to come. Idempotent.
    ///
    /// Source: grpc-go `ClientConn.Close`.
    pub fn close(&self) {
        self.0.state.picker.close();
        self.0.state.close_connections();
        self.0.closed.send_replace(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.state.picker.is_closed()
    }

    /// The state that the channel's task and its calls share.
    pub(super) fn shared(&self) -> &ChannelState {
        &self.0.state
    }

    /// Starts the channel's task unless there is one.
    ///
    /// # Errors
    /// INTERNAL outside of a tokio runtime. UNAVAILABLE when the runtime is being shut down.
    pub(super) fn start(&self) -> Result<(), Status> {
        let runtime = current_runtime("a channel was used")?;
        let Inner {
            state,
            closed,
            parts,
            ..
        } = &*self.0;
        let Some(events) = state.begin_task() else {
            return Ok(());
        };
        let (parts, closed) = (Arc::clone(parts), closed.subscribe());
        let channel = Channel::new(parts, Arc::clone(state), events, closed);
        runtime.spawn(channel.run());
        // A runtime that is being shut down drops it at once.
        match state.task.loss() {
            Some(status) => Err(status),
            None => Ok(()),
        }
    }

    /// The options of the channel that concern its calls.
    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

impl Inner {
    fn id(&self) -> u64 {
        self.parts.options.channel.id().number()
    }
}

impl ChannelSource for Inner {
    fn is_over(&self) -> bool {
        self.state.picker.is_closed()
    }

    fn snapshot(&self) -> ChannelSnapshot {
        let calls = self.state.calls.numbers();
        ChannelSnapshot {
            id: self.id(),
            parent: self.parent.map(ChannelId::number),
            target: self.settings.canonical_target.clone(),
            state: self.state.picker.state(),
            calls: CallCounts {
                started: calls.started,
                succeeded: calls.succeeded,
                failed: calls.failed,
                last_started: self.connections().calls().last_started,
            },
            created: self.created,
            subchannels: self.state.registry.subchannel_ids(),
            nested: Vec::new(),
        }
    }

    fn subchannels(&self) -> Vec<SubchannelSnapshot> {
        self.state.registry.subchannels(self.id())
    }

    fn subchannel(&self, id: u64) -> Option<SubchannelSnapshot> {
        self.state.registry.subchannel(id, self.id())
    }

    fn connections(&self) -> &ConnectionRegistry {
        &self.parts.connector.settings.connections
    }
}

impl fmt::Debug for ClientConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConn")
            .field("target", &self.target())
            .field("state", &self.state())
            .field("subchannels", &self.shared().registry.snapshot())
            .finish_non_exhaustive()
    }
}
