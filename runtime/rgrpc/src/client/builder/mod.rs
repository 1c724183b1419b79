//! The options of a channel that is being built.
//!
//! Called by users, on their tasks. It does no IO: [`build`](ClientConnBuilder::build) checks the
//! options and makes the channel, which connects for its first call.

mod error;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::error::BuildError;
use super::channel::{ChannelParts, Connector};
use super::config::{
    DEFAULT_MAX_CALL_ATTEMPTS, DEFAULT_MAX_TRANSPARENT_RETRIES, Retries, ServiceConfigs,
};
use super::conn::{ClientConn, Compression, Settings, authority};
use crate::backoff::{Backoff, BackoffConfig, ConnectParams};
use crate::balancer::{BalancerBuilder, BalancerOptions, BalancerRegistry};
use crate::buffer_pool::BufferPool;
use crate::call::{CallOptions, ClientInterceptor, ErasedClientInterceptor, erased};
use crate::codec::{Compressor, CompressorRegistry};
use crate::credentials::{ChannelCredentials, ClientHandshake, PerRpcCredentials};
use crate::io::{
    DEFAULT_TCP_USER_TIMEOUT, Dial, HttpProxy, ProxyDialer, SecurityLevel, SystemDialer,
};
use crate::memory_budget::MemoryBudget;
use crate::resolver::{
    self, ChannelInfo, ResolverBuilder, ResolverFactory, ResolverOptions, ResolverRegistry,
};
use crate::stats::{StatsHandler, StatsHandlers};
use crate::transport::keepalive::{ChannelKeepalive, ClientParameters};
use crate::transport::{ClientSettings, CommonHeaders, MessageMemory, Transport};

/// This implementation, as `user-agent` names it.
const USER_AGENT: &str = concat!("grpc-rust-rgrpc/", env!("CARGO_PKG_VERSION"));

/// The scheme of targets that name none.
const DEFAULT_SCHEME: &str = "dns";

/// The default time without calls after which a channel goes idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The default maximum number of connections to an address.
const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// The builder of a channel: its options.
///
/// # For users of grpc-go
///
/// | grpc-go's `DialOption` | here |
/// |---|---|
/// | `NewClient` without options | [`ClientConn::new`] |
/// | `WithTransportCredentials` | an argument of [`ClientConn::builder`] |
/// | `WithCredentialsBundle` | [`ChannelCredentials::with_per_rpc_credentials`] |
/// | `WithInsecure` (deprecated) | [`credentials::insecure`](crate::credentials::insecure) |
/// | `WithPerRPCCredentials` | [`per_rpc_credentials`](Self::per_rpc_credentials) |
/// | `WithAuthority` | [`authority`](Self::authority) |
/// | `WithUserAgent` | [`user_agent`](Self::user_agent) |
/// | `WithDefaultServiceConfig` | [`default_service_config`](Self::default_service_config) |
/// | `WithDisableServiceConfig` | [`disable_service_config`](Self::disable_service_config) |
/// | `WithDefaultCallOptions` | [`default_call_options`](Self::default_call_options) |
/// | `WithConnectParams` | [`connect_backoff`](Self::connect_backoff), [`min_connect_timeout`](Self::min_connect_timeout) |
/// | `WithContextDialer` | [`dialer`](Self::dialer) |
/// | `WithNoProxy` | [`no_proxy`](Self::no_proxy) |
/// | `WithResolvers` | [`resolver`](Self::resolver) |
/// | `WithIdleTimeout` | [`idle_timeout`](Self::idle_timeout) |
/// | `WithKeepaliveParams` | [`keepalive`](Self::keepalive) |
/// | `WithUnaryInterceptor`, `WithStreamInterceptor`, `WithChainUnaryInterceptor`, `WithChainStreamInterceptor` | [`interceptor`](Self::interceptor) |
/// | `WithStatsHandler` | [`stats_handler`](Self::stats_handler) |
/// | `experimental.WithBufferPool` | [`buffer_pool`](Self::buffer_pool) |
/// | none | [`memory_budget`](Self::memory_budget) |
/// | `WithDisableRetry` | [`disable_retry`](Self::disable_retry) |
/// | `WithMaxCallAttempts` | [`max_call_attempts`](Self::max_call_attempts) |
/// | none | [`max_transparent_retries`](Self::max_transparent_retries) |
/// | `WithDisableHealthCheck` | [`disable_health_check`](Self::disable_health_check) |
/// | `WithBlock`, `WithTimeout` (deprecated) | none: [`ClientConn::wait_ready`] |
///
/// The settings that grpc-go has for the whole program are a channel's here:
/// `resolver.SetDefaultScheme` is [`default_scheme`](Self::default_scheme), `resolver.Register` is
/// [`resolver`](Self::resolver), `balancer.Register` is [`balancer`](Self::balancer), and
/// `encoding.RegisterCompressor` is [`compressor`](Self::compressor).
#[must_use = "the channel is made by `build`"]
pub struct ClientConnBuilder {
    target: String,
    credentials: ChannelCredentials,
    authority: Option<String>,
    user_agent: Option<String>,
    resolvers: ResolverRegistry,
    service_config_disabled: bool,
    default_scheme: String,
    /// `None`: the operating system's, through a proxy if need be.
    dialer: Option<Arc<dyn Dial>>,
    proxy: Option<HttpProxy>,
    transport: Transport,
    memory: MessageMemory,
    service_config: Option<String>,
    retry_disabled: bool,
    max_call_attempts: u32,
    max_transparent_retries: u16,
    default_call_options: Option<CallOptions>,
    per_rpc_credentials: Vec<Arc<dyn PerRpcCredentials>>,
    connect_params: ConnectParams,
    max_connections: NonZeroUsize,
    idle_timeout: Option<Duration>,
    keepalive: Option<ClientParameters>,
    /// `None`: the default.
    tcp_user_timeout: Option<Option<Duration>>,
    balancers: BalancerRegistry,
    compressors: CompressorRegistry,
    /// The name of a compressor that cannot be one.
    unsendable_compressor: Option<String>,
    health_check_disabled: bool,
    interceptors: Vec<Arc<dyn ErasedClientInterceptor>>,
    stats: StatsHandlers,
}

impl ClientConn {
    /// A channel to `target` with default options. Does no IO.
    ///
    /// # Errors
    /// The target cannot be parsed.
    pub fn new(
        target: impl Into<String>,
        credentials: ChannelCredentials,
    ) -> Result<Self, BuildError> {
        Self::builder(target, credentials).build()
    }

    /// Creates the builder of a channel to `target`.
    pub fn builder(
        target: impl Into<String>,
        credentials: ChannelCredentials,
    ) -> ClientConnBuilder {
        ClientConnBuilder::new(target.into(), credentials)
    }
}

impl ClientConnBuilder {
    pub(super) fn new(target: String, credentials: ChannelCredentials) -> Self {
        Self {
            target,
            credentials,
            authority: None,
            user_agent: None,
            resolvers: ResolverRegistry::new(),
            service_config_disabled: false,
            default_scheme: DEFAULT_SCHEME.to_owned(),
            dialer: None,
            proxy: HttpProxy::from_env(),
            transport: Transport::default(),
            memory: MessageMemory::default(),
            service_config: None,
            retry_disabled: false,
            max_call_attempts: DEFAULT_MAX_CALL_ATTEMPTS,
            max_transparent_retries: DEFAULT_MAX_TRANSPARENT_RETRIES,
            default_call_options: None,
            per_rpc_credentials: Vec::new(),
            connect_params: ConnectParams::default(),
            max_connections: MAX_CONNECTIONS,
            idle_timeout: Some(IDLE_TIMEOUT),
            keepalive: None,
            tcp_user_timeout: None,
            balancers: BalancerRegistry::default(),
            compressors: CompressorRegistry::default(),
            unsendable_compressor: None,
            health_check_disabled: false,
            interceptors: Vec::new(),
            stats: StatsHandlers::default(),
        }
    }

    /// Sets the `:authority` of requests, whose host is also the name that a server's certificate
    /// is to have. Default: the server name of the credentials, if they have one; else what the
    /// resolver's builder [says](ResolverBuilder::authority), which is the target's endpoint, or
    /// `localhost` for unix sockets.
    ///
    /// Source: grpc-go `WithAuthority`.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Sets the text before this implementation's name in `user-agent`. Default: none.
    ///
    /// Source: grpc-go `WithUserAgent`.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Adds a scheme of targets, or one that takes the place of another of its name, those that
    /// are built in among them. Default: `dns`, `ipv4`, `ipv6`, `passthrough`, `unix`,
    /// `unix-abstract`.
    ///
    /// Source: grpc-go `WithResolvers`.
    pub fn resolver(mut self, builder: impl ResolverBuilder) -> Self {
        self.resolvers.register(Arc::new(builder));
        self
    }

    /// Sets the scheme of a target that names none, or none that is known. Default: `dns`.
    ///
    /// Source: grpc-go `resolver.SetDefaultScheme`, here for one channel.
    pub fn default_scheme(mut self, scheme: impl Into<String>) -> Self {
        self.default_scheme = scheme.into();
        self
    }

    /// Ignores the service configs of resolvers, which need not look for them then. Default: false.
    ///
    /// Source: grpc-go `WithDisableServiceConfig`.
    pub fn disable_service_config(mut self, disable_service_config: bool) -> Self {
        self.service_config_disabled = disable_service_config;
        self
    }

    /// Sets the dialer of the connections. Default: the operating system, by [`SystemDialer`]. Use
    /// the scheme `passthrough` when the dialer is to have the endpoint as it is.
    ///
    /// Source: grpc-go `WithContextDialer`.
    pub fn dialer(mut self, dialer: impl Dial) -> Self {
        self.dialer = Some(Arc::new(dialer));
        self
    }

    /// Sets the HTTP proxy that TCP connections go through; it resolves the names of `dns` targets
    /// too. A [`dialer`](Self::dialer) of your own knows no proxy. Default: what the variables
    /// `HTTPS_PROXY` and `NO_PROXY` [say](HttpProxy::from_env) when the builder is made.
    pub fn proxy(mut self, proxy: HttpProxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Connects without a proxy, whatever the environment says.
    ///
    /// Source: grpc-go `WithNoProxy`.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = None;
        self
    }

    /// Sets the pool of the buffers that messages are received into and decompressed to. Messages to
    /// send are encoded and compressed into buffers of [`BufferPool::shared`], whatever the option.
    /// Default: that pool, 16 MiB in the process.
    ///
    /// Source: grpc-go `experimental.WithBufferPool`.
    pub fn buffer_pool(mut self, pool: BufferPool) -> Self {
        self.memory.pool = pool;
        self
    }

    /// Sets the limit on the memory that is allocated for large responses before they arrive. Default:
    /// [`MemoryBudget::shared`], 64 MiB in the process.
    pub fn memory_budget(mut self, budget: MemoryBudget) -> Self {
        self.memory.budget = budget;
        self
    }

    /// Sets the engine of the connections. Default: [`Transport::Native`].
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets the default service config, as JSON: the configuration of calls to the target's
    /// services. Default: none.
    ///
    /// It applies as long as the target's resolver finds none. The channel reads
    /// `loadBalancingConfig`, which names the [policy](crate::balancer) that it balances by;
    /// `name`, `timeout`, `waitForReady`, `maxRequestMessageBytes`, `maxResponseMessageBytes`,
    /// `retryPolicy` and `hedgingPolicy` of each entry of `methodConfig`; `retryThrottling`,
    /// `connectionScaling` and `healthCheckConfig`. It ignores other fields.
    /// A call's own options go together with its method's config: the earlier deadline and the
    /// smaller limits hold, and the call's `wait_for_ready` goes before the config's.
    ///
    /// A call with a `retryPolicy` that fails is retried. Calls fail for good once the response's
    /// headers have come, when the server says so in the trailer `grpc-retry-pushback-ms`, or while
    /// `retryThrottling` holds retries back. A call with a `hedgingPolicy` is sent again, beside
    /// the first, when no answer has come for a while, or at once when an answer is a failure that
    /// is not fatal; the first good answer is the call's, and the other attempts are cancelled. The
    /// call's deadline bounds all attempts and the time between them. Calls with streams send what
    /// they have sent so far on each attempt, up to
    /// [`max_retry_buffer_size`](crate::CallOptions::set_max_retry_buffer_size).
    ///
    /// A `healthCheckConfig` with a `serviceName`, which may be empty for the server as a whole,
    /// has the backends asked whether they serve, by `grpc.health.v1.Health/Watch` on each
    /// connection, where the policy wants to know it, as `round_robin` does and `pick_first` does
    /// not. Calls are given to those that say SERVING and to those that do not implement that
    /// service. One whose answers break off is asked again, after 1 s growing to 120 s if it had
    /// not answered. These calls count towards the streams that a server allows on a connection;
    /// they do not keep the channel from going idle.
    ///
    /// ```
    /// let conn = rgrpc::ClientConn::builder("localhost:50051", rgrpc::credentials::insecure())
    ///     .default_service_config(
    ///         r#"{
    ///             "methodConfig": [{
    ///                 "name": [{"service": "routeguide.RouteGuide"}],
    ///                 "timeout": "2s",
    ///                 "retryPolicy": {
    ///                     "maxAttempts": 4,
    ///                     "initialBackoff": "0.1s",
    ///                     "maxBackoff": "1s",
    ///                     "backoffMultiplier": 2,
    ///                     "retryableStatusCodes": ["UNAVAILABLE"]
    ///                 }
    ///             }],
    ///             "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
    ///         }"#,
    ///     )
    ///     .build()?;
    /// # Ok::<(), rgrpc::BuildError>(())
    /// ```
    ///
    /// Unknown fields are ignored, and logged at warn with the nearest known name.
    ///
    /// Source: `doc/service_config.md` of the gRPC documents, gRFC A6; grpc-go
    /// `WithDefaultServiceConfig`, which has no hedging.
    pub fn default_service_config(mut self, json: impl Into<String>) -> Self {
        self.service_config = Some(json.into());
        self
    }

    /// Adds a load balancing policy, which a service config can name, in place of the one of its
    /// name. Default: the policies of this crate, see [`balancer`](crate::balancer).
    ///
    /// Source: grpc-go `balancer.Register`, here for one channel.
    pub fn balancer(mut self, builder: impl BalancerBuilder) -> Self {
        self.balancers.register(Arc::new(builder));
        self
    }

    /// Adds a compressor, and replaces one of the same name. Default: `Gzip`, if the crate was
    /// built with the feature `gzip`, and no other.
    ///
    /// It decompresses responses, and compresses calls that [choose it](crate::Call::compressor).
    /// To compress all calls, choose it in the [default call options](Self::default_call_options).
    /// The channel's own calls for health checks are not compressed, and accept no compression.
    ///
    /// Source: grpc-go `encoding.RegisterCompressor`, here for one channel.
    pub fn compressor(mut self, compressor: impl Compressor) -> Self {
        if let Err(name) = self.compressors.register(Arc::new(compressor)) {
            self.unsendable_compressor = Some(name);
        }
        self
    }

    /// Ignores the service config's `retryPolicy`, `hedgingPolicy` and `retryThrottling`. Calls
    /// that no server has seen are retried nevertheless. Default: false.
    ///
    /// Source: grpc-go `WithDisableRetry`.
    pub fn disable_retry(mut self, disable_retry: bool) -> Self {
        self.retry_disabled = disable_retry;
        self
    }

    /// Ignores the service config's `healthCheckConfig`: backends are not asked for their health.
    /// Default: false.
    ///
    /// Source: grpc-go `WithDisableHealthCheck`.
    pub fn disable_health_check(mut self, disable_health_check: bool) -> Self {
        self.health_check_disabled = disable_health_check;
        self
    }

    /// Sets the maximum number of attempts of a call, the first included, where the service
    /// config's `retryPolicy` or `hedgingPolicy` allows more. Fewer than 2 mean the default.
    /// Default: 5.
    ///
    /// Source: grpc-go `WithMaxCallAttempts`.
    pub fn max_call_attempts(mut self, attempts: u32) -> Self {
        self.max_call_attempts = match attempts {
            0 | 1 => DEFAULT_MAX_CALL_ATTEMPTS,
            attempts => attempts,
        };
        self
    }

    /// Sets the maximum number of retries of a call that servers refuse without processing it.
    /// Default: 10.
    ///
    /// A server refuses a call by REFUSED_STREAM, or by a GOAWAY whose last stream is below the
    /// call's; nginx does so when a connection has served its `keepalive_requests`. Such a call is
    /// safe to repeat, whatever it does. The first repetition follows at once, the next after 5 ms,
    /// then after twice as long each time up to 1 s, spread by half, as long as the call's deadline
    /// allows; ten of them take 2.3 s. They do not count as attempts of a `retryPolicy`, which has
    /// its say when they are used up, and are not subject to
    /// [`disable_retry`](Self::disable_retry).
    ///
    /// With 0 a refused call fails with UNAVAILABLE at once. Calls that were not sent at all are
    /// repeated in any case. The attempts of a hedged call are repeated once.
    ///
    /// Source: gRFC A6, "Transparent Retries"; grpc-go repeats once, as with 1, and has no option.
    pub fn max_transparent_retries(mut self, retries: u16) -> Self {
        self.max_transparent_retries = retries;
        self
    }

    /// Sets the default call options. Metadata,
    /// [credentials](CallOptions::per_rpc_credentials) and
    /// [`on_finish`](CallOptions::on_finish) are used besides the call's, before them. A deadline
    /// cannot be a default, as it is a point in time: a `timeout` in the
    /// [service config](Self::default_service_config) can. Default: none.
    ///
    /// Source: grpc-go `WithDefaultCallOptions`.
    pub fn default_call_options(mut self, options: CallOptions) -> Self {
        self.default_call_options = Some(options);
        self
    }

    /// Adds an interceptor, which runs around every call of the channel. The first one added is the
    /// outermost. Default: none.
    ///
    /// Source: grpc-go `WithChainUnaryInterceptor`, `WithChainStreamInterceptor`.
    pub fn interceptor(mut self, interceptor: impl ClientInterceptor) -> Self {
        self.interceptors.push(erased(interceptor));
        self
    }

    /// Adds a stats handler, which receives the events of the channel's calls, their attempts and its
    /// connections. Several receive them in the order in which they were added. Default: none. See
    /// [`stats`](crate::stats) for the events.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// use rgrpc::stats::{CallBegin, CallEvent, CallStats, StatsHandler};
    /// use rgrpc::{ClientConn, credentials};
    ///
    /// #[derive(Default)]
    /// struct Calls(Arc<AtomicU64>);
    ///
    /// impl StatsHandler for Calls {
    ///     fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
    ///         self.0.fetch_add(1, Relaxed);
    ///         None
    ///     }
    /// }
    ///
    /// let conn = ClientConn::builder("localhost:50051", credentials::insecure())
    ///     .stats_handler(Calls::default())
    ///     .build()?;
    /// # Ok::<(), rgrpc::BuildError>(())
    /// ```
    ///
    /// Source: grpc-go `WithStatsHandler`.
    pub fn stats_handler(mut self, handler: impl StatsHandler) -> Self {
        self.stats.push(handler);
        self
    }

    /// Adds per-RPC credentials, which make metadata for every call, after those that were added
    /// before. If they need transport security, the channel's credentials have to provide it. Default: none.
    ///
    /// Source: grpc-go `WithPerRPCCredentials`.
    pub fn per_rpc_credentials(mut self, credentials: impl PerRpcCredentials) -> Self {
        self.per_rpc_credentials.push(Arc::new(credentials));
        self
    }

    /// Sets the waits between attempts to connect. Default: see [`BackoffConfig`]. A connection
    /// that has served a call or was up for the base delay, and
    /// [`reset_connect_backoff`](ClientConn::reset_connect_backoff), restart them.
    ///
    /// Source: grpc-go `WithConnectParams`, `ConnectParams.Backoff`.
    pub fn connect_backoff(mut self, backoff: BackoffConfig) -> Self {
        self.connect_params.backoff = backoff;
        self
    }

    /// Sets the minimum time for an attempt to connect, until the server's SETTINGS have arrived;
    /// the addresses of the target share it. When the [backoff](Self::connect_backoff) has grown
    /// longer than this, an attempt may take as long as that; with zero it alone holds. An HTTP
    /// proxy has three quarters of it to connect, so that its failure is told apart. Default: 20 s.
    ///
    /// Source: grpc-go `WithConnectParams`, `ConnectParams.MinConnectTimeout`.
    pub fn min_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_params.min_connect_timeout = timeout;
        self
    }

    /// Sets the maximum number of connections to one address, where the service config asks for
    /// more than one:
    ///
    /// ```json
    /// {"connectionScaling": {"maxConnectionsPerSubchannel": 4}}
    /// ```
    ///
    /// Another connection is made when a call finds that the server allows no more streams on those
    /// that there are (SETTINGS_MAX_CONCURRENT_STREAMS); the call waits for a stream of any. None
    /// is closed for having become too many. Without it there is one connection, on which calls
    /// wait. [`ClientConn::calls_waiting_for_streams`] says how many do. Default: 10.
    ///
    /// Source: gRFC A105.
    pub fn max_connections_per_subchannel(mut self, connections: NonZeroUsize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets the time without calls after which the channel closes its connection, or stops trying
    /// to make one, and is [idle](crate::ConnectivityState::Idle) until the next call or
    /// [`connect`](ClientConn::connect). The time runs from the end of the last call, or from when
    /// the channel began to connect; a call counts from when it begins, waiting for a connection
    /// included, until all of its response has been received or it is dropped. `None` and zero:
    /// never. Default: 30 minutes.
    ///
    /// Source: grpc-go `WithIdleTimeout`.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into().filter(|timeout| !timeout.is_zero());
        self
    }

    /// Sends PINGs on connections that are silent, and closes those whose server does not answer:
    /// their calls fail with UNAVAILABLE, and further ones go to other connections. A server that
    /// is frozen, or cut off without a word, is noticed in no other way while its kernel or nobody
    /// acknowledges bytes.
    ///
    /// The `time` must agree with the servers' policy: servers of gRPC permit one PING in 5
    /// minutes, unless [they say otherwise](crate::Server::keepalive_enforcement), and close the
    /// connection with `too_many_pings` after the third too many. The channel logs that at error,
    /// and later connections wait twice as long between PINGs. Default: none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rgrpc::{ClientConn, credentials, keepalive::ClientParameters};
    ///
    /// let conn = ClientConn::builder("localhost:50051", credentials::insecure())
    ///     .keepalive(ClientParameters::new(Duration::from_secs(5 * 60)))
    ///     .build()?;
    /// # Ok::<(), rgrpc::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// [`build`](Self::build) fails if the [transport](Self::transport) has no keepalive.
    ///
    /// Source: grpc-go `WithKeepaliveParams`; gRFC A8.
    pub fn keepalive(mut self, parameters: impl Into<Option<ClientParameters>>) -> Self {
        self.keepalive = parameters.into();
        self
    }

    /// Sets for how long bytes that were sent on a TCP connection may stay unacknowledged by the
    /// peer's kernel before the connection is lost (the TCP user timeout of RFC 5482, Linux's
    /// `TCP_USER_TIMEOUT`), so that a connection that was cut without a word fails its calls with
    /// UNAVAILABLE, and the next ones go to another. `None` and zero: as the operating system does,
    /// which takes about 15 minutes. Default: the `timeout` of [`keepalive`](Self::keepalive), or
    /// 20 s without it.
    ///
    /// It does not notice the loss of a connection on which nothing is sent: keepalive does. A peer
    /// that does not read its socket for as long, so that its receive buffer is full, is taken for
    /// lost as well. A TLS or plain connection has it if its dialer gives a `tokio::net::TcpStream`
    /// on which none is set; other systems than Linux, Android and Fuchsia have no such option.
    ///
    /// Source: gRFC A18; grpc-go sets it with keepalive alone.
    pub fn tcp_user_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.tcp_user_timeout = Some(timeout.into().filter(|timeout| !timeout.is_zero()));
        self
    }

    /// Makes the channel. Does no IO.
    ///
    /// # Errors
    /// The target or the service config cannot be parsed, or an option makes no sense or cannot be
    /// sent.
    pub fn build(self) -> Result<ClientConn, BuildError> {
        let (target, scheme) = self
            .resolvers
            .parse(&self.target, &self.default_scheme)
            .map_err(BuildError::Target)?;
        let (dialer, scheme): (Arc<dyn Dial>, _) = match (self.dialer, self.proxy) {
            (Some(dialer), _) => (dialer, scheme),
            (None, None) => (Arc::new(SystemDialer), scheme),
            (None, Some(proxy)) => {
                let scheme = resolver::through_proxy(scheme, &proxy);
                let limit = Backoff::new(self.connect_params).connect_timeout();
                (Arc::new(ProxyDialer::new(proxy, limit)), scheme)
            }
        };
        let ignores_resolver = self.service_config_disabled;
        let canonical_target = target.canonical();
        let authority = choose_authority(
            self.authority,
            &self.credentials,
            &scheme.authority(&target),
        );
        let info = ChannelInfo::new(target)
            .with_authority(authority.as_deref().unwrap_or_default())
            .with_credentials(self.credentials.clone())
            .with_dialer(Arc::clone(&dialer));
        let mut options = ResolverOptions::new(info.clone());
        options.disable_service_config = ignores_resolver;
        options.set_balancers(self.balancers.clone());
        let resolvers = ResolverFactory::new(scheme, options).map_err(BuildError::Target)?;
        let backoff = &self.connect_params.backoff;
        backoff.check().map_err(BuildError::Backoff)?;
        let authority = authority?;
        let host = match authority::host(&authority) {
            Ok(host) => host.to_owned(),
            Err(problem) => return Err(BuildError::Authority { authority, problem }),
        };
        if let Err(problem) = self.transport.check_authority(&authority) {
            return Err(BuildError::Authority { authority, problem });
        }
        if self.keepalive.is_some() && !self.transport.has_keepalive() {
            return Err(BuildError::Keepalive(self.transport));
        }
        let keepalive = self.keepalive.map(ClientParameters::in_range);
        let default_timeout = match keepalive {
            Some(keepalive) if keepalive.time != Duration::MAX => keepalive.timeout,
            _ => DEFAULT_TCP_USER_TIMEOUT,
        };
        let retries = if self.retry_disabled {
            Retries::Disabled
        } else {
            Retries::AtMost(self.max_call_attempts)
        };
        let default = self.service_config.as_deref();
        let service_configs =
            ServiceConfigs::new(self.balancers, retries, ignores_resolver, default)
                .map_err(BuildError::ServiceConfig)?;
        let mut per_rpc_credentials = self.per_rpc_credentials;
        per_rpc_credentials.extend_from_slice(self.credentials.per_rpc());
        check_per_rpc_credentials(&per_rpc_credentials, &self.credentials)?;
        let per_rpc_credentials: Arc<[_]> = per_rpc_credentials.into();
        if let Some(name) = self.unsendable_compressor {
            return Err(BuildError::Compressor(name));
        }
        let plain = CommonHeaders {
            authority,
            scheme: self.credentials.scheme(),
            user_agent: user_agent(self.user_agent)?,
            encoding: None,
            accept_encoding: None,
        };
        let headers = Arc::new(CommonHeaders {
            accept_encoding: self.compressors.accept_encoding(),
            ..plain.clone()
        });
        let settings = Settings {
            default_options: self.default_call_options.map(check_defaults).transpose()?,
            interceptors: self.interceptors.into(),
            stats: self.stats.clone(),
            credentials: self.credentials.clone(),
            per_rpc_credentials: Arc::clone(&per_rpc_credentials),
            compression: Compression::new(self.compressors, &headers),
            headers,
            target: self.target.clone(),
            canonical_target,
            max_transparent_retries: self.max_transparent_retries,
            buffer_pool: self.memory.pool.clone(),
        };
        let channel = ChannelParts {
            target: self.target,
            options: BalancerOptions::new(info),
            new_resolver: Box::new(move || resolvers.build()),
            connector: Connector {
                dialer,
                credentials: self.credentials,
                host,
                authority: plain.authority.clone(),
                transport: self.transport,
                stats: self.stats,
                tcp_user_timeout: self.tcp_user_timeout.unwrap_or(Some(default_timeout)),
                settings: ClientSettings {
                    connections: Arc::default(),
                    keepalive: keepalive
                        .map(|keepalive| Arc::new(ChannelKeepalive::new(keepalive))),
                    memory: self.memory,
                },
            },
            connect_params: self.connect_params,
            max_connections: self.max_connections,
            idle_timeout: self.idle_timeout,
            service_configs,
            headers: Arc::new(plain),
            per_rpc_credentials,
            health_check_disabled: self.health_check_disabled,
        };
        Ok(ClientConn::from_parts(settings, channel))
    }
}

/// The channel's authority: as the option says, or the credentials, or the target. Source: grpc-go
/// `ClientConn.initAuthority`.
fn choose_authority(
    option: Option<String>,
    credentials: &ChannelCredentials,
    of_target: &str,
) -> Result<String, BuildError> {
    match (option, credentials.server_name()) {
        (Some(authority), Some(server_name)) if authority != server_name => {
            Err(BuildError::ServerName {
                authority,
                server_name: server_name.to_owned(),
            })
        }
        (Some(authority), _) => Ok(authority),
        (None, Some(server_name)) => Ok(server_name.to_owned()),
        (None, None) => Ok(authority::of_target(of_target)),
    }
}

fn check_per_rpc_credentials(
    per_rpc: &[Arc<dyn PerRpcCredentials>],
    credentials: &ChannelCredentials,
) -> Result<(), BuildError> {
    let insecure = credentials.are_insecure();
    let needing =
        |one: &&Arc<dyn PerRpcCredentials>| one.min_security_level() > SecurityLevel::NoSecurity;
    match per_rpc.iter().filter(|_| insecure).find(needing) {
        Some(one) => Err(BuildError::PerRpcCredentials(one.name().to_owned())),
        None => Ok(()),
    }
}

fn check_defaults(options: CallOptions) -> Result<CallOptions, BuildError> {
    let problem = match options.check() {
        Err(status) => status.message().to_owned(),
        Ok(()) if options.deadline().is_some() => {
            "a deadline is a point in time and cannot be a default; a timeout in the service \
             config can"
                .to_owned()
        }
        Ok(()) => return Ok(options),
    };
    Err(BuildError::DefaultCallOptions(problem))
}

fn user_agent(prefix: Option<String>) -> Result<Bytes, BuildError> {
    let Some(prefix) = prefix else {
        return Ok(Bytes::from_static(USER_AGENT.as_bytes()));
    };
    if prefix.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        Ok(format!("{prefix} {USER_AGENT}").into())
    } else {
        Err(BuildError::UserAgent(prefix))
    }
}

impl fmt::Debug for ClientConnBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConnBuilder")
            .field("target", &self.target)
            .field("credentials", &self.credentials)
            .field("authority", &self.authority)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}
