//! The builder of the scheme `dns`: its options, and the parser of its targets.
//!
//! Called by the channel's builder, and by the channel's task when it leaves idle mode.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "dns-hickory")]
use super::hickory::{HickoryLookup, Server};
use super::lookup::{Lookup, Question, SystemLookup};
use super::resolver::DnsResolver;
use super::schedule::Intervals;
use crate::io::{Address, host_port};
use crate::resolver::{
    Resolver, ResolverBuilder, ResolverError, ResolverOptions, ResolverState, StaticResolver,
    Target,
};

/// The default timeout of a lookup, as in grpc-go.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// The default minimum time between requested lookups, as in grpc-go.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// Builds the resolvers of the scheme `dns`: `dns:///host:port`.
///
/// The default port is 443. An IPv6 address with a port is written in brackets. IP addresses are
/// used without a lookup. Channels know this scheme; a builder with other options replaces the
/// built-in one:
///
/// ```
/// use std::time::Duration;
///
/// use rgrpc::resolver::DnsResolverBuilder;
///
/// // Finds new backends within half a minute, even if no connection is lost.
/// let dns = DnsResolverBuilder::new().refresh_interval(Duration::from_secs(30));
/// let conn = rgrpc::ClientConn::builder("orders.example:50051", rgrpc::credentials::insecure())
///     .resolver(dns)
///     .build()?;
/// # Ok::<(), rgrpc::BuildError>(())
/// ```
///
/// The operating system resolves the addresses. A name is looked up when the channel leaves idle
/// mode, and again when a connection is lost or cannot be made, but not earlier than 30 s after the
/// last lookup. A lookup is retried if it fails or if the channel cannot use its result: after 1 s,
/// then 1.6 times as long after each further failure, up to 120 s, with a jitter of 20 %.
///
/// With the feature `dns-hickory` the resolver looks up the service config too, unless the channel
/// has [disabled](crate::ClientConnBuilder::disable_service_config) it. The service config is in a
/// TXT record of `_grpc_config.host` that begins with `grpc_config=`, followed by a list of choices
/// by percentage, language (`rust`) and host name. If there is no record or no response, there is
/// no service config. With this feature, `dns://server[:port]/host:port` asks a DNS server instead
/// of the operating system. The server's default port is 53.
///
/// Source: `doc/naming.md` of the gRPC documents; gRFC A2; grpc-go's package `resolver/dns`.
#[derive(Clone, Debug)]
pub struct DnsResolverBuilder {
    timeout: Duration,
    intervals: Intervals,
    #[cfg(feature = "dns-hickory")]
    refreshes_by_ttl: bool,
}

impl DnsResolverBuilder {
    /// Creates a builder with default options.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timeout: LOOKUP_TIMEOUT,
            intervals: Intervals {
                min: MIN_INTERVAL,
                refresh: None,
            },
            #[cfg(feature = "dns-hickory")]
            refreshes_by_ttl: false,
        }
    }

    /// Sets the timeout of a lookup. Default: 30 s. Zero is an error when a channel is built.
    ///
    /// Source: grpc-go `dns.SetResolvingTimeout`.
    #[must_use]
    pub fn lookup_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the minimum time between two lookups that the channel asks for. Default: 30 s. Zero: no
    /// minimum. Failed lookups are retried after their backoff regardless.
    ///
    /// Source: grpc-go `dns.SetMinResolutionInterval`.
    #[must_use]
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.intervals.min = interval;
        self
    }

    /// Sets the interval of lookups that are made without a request, at least the
    /// [`min_interval`](Self::min_interval). `None` and zero: no such lookups, so that new backends
    /// are found only after a connection to an old one is lost. Default: `None`.
    #[must_use]
    pub fn refresh_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.intervals.refresh = interval.into().filter(|interval| !interval.is_zero());
        self
    }

    /// Enables a lookup when the records of the last one expire (their TTL), but not earlier than
    /// the [`min_interval`](Self::min_interval). Default: false.
    ///
    /// The operating system does not report the TTL. With this option the addresses come from the
    /// DNS servers of the system's configuration instead.
    #[cfg(feature = "dns-hickory")]
    #[must_use]
    pub fn refresh_by_ttl(mut self, refresh_by_ttl: bool) -> Self {
        self.refreshes_by_ttl = refresh_by_ttl;
        self
    }

    /// The lookup for targets that name this server, or the default one for an empty name.
    #[cfg(feature = "dns-hickory")]
    fn lookup(
        &self,
        server: &str,
        options: &ResolverOptions,
    ) -> Result<Arc<dyn Lookup>, ResolverError> {
        let server = Server::parse(server).map_err(ResolverError::invalid_target)?;
        Ok(match server {
            None if self.refreshes_by_ttl => Arc::new(HickoryLookup::of_system()),
            None if options.disable_service_config => Arc::new(SystemLookup),
            None => Arc::new(HickoryLookup::with_system_addresses(SystemLookup)),
            Some(server) => Arc::new(HickoryLookup::of_server(server)),
        })
    }

    #[cfg(not(feature = "dns-hickory"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn lookup(&self, server: &str, _: &ResolverOptions) -> Result<Arc<dyn Lookup>, ResolverError> {
        if server.is_empty() {
            Ok(Arc::new(SystemLookup))
        } else {
            Err(ResolverError::invalid_target(format!(
                "lookups by the DNS server {server:?} need rgrpc's feature dns-hickory; \
                 use dns:///host:port without it"
            )))
        }
    }
}

impl Default for DnsResolverBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ResolverBuilder for DnsResolverBuilder {
    fn scheme(&self) -> &'static str {
        "dns"
    }

    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        if self.timeout.is_zero() {
            return Err(ResolverError::InvalidOption {
                option: "lookup_timeout".into(),
                expected: "more than 0".into(),
            });
        }
        let (host, port) =
            host_port::split(target.required_endpoint()?).map_err(ResolverError::invalid_target)?;
        let port = port.unwrap_or(host_port::DEFAULT_PORT);
        let lookup = self.lookup(target.authority(), options)?;
        if let Ok(ip) = host.parse() {
            let address = Address::Tcp(SocketAddr::new(ip, port));
            let state = ResolverState::of_addresses([address]);
            return Ok(Box::new(StaticResolver::of_state(state)));
        }
        Ok(Box::new(DnsResolver {
            lookup,
            question: Question {
                // ":port" means this machine.
                host: if host.is_empty() { "localhost" } else { host }.to_owned(),
                port,
                service_config: !options.disable_service_config,
            },
            timeout: self.timeout,
            intervals: self.intervals,
            #[cfg(feature = "dns-hickory")]
            refreshes_by_ttl: self.refreshes_by_ttl,
            #[cfg(not(feature = "dns-hickory"))]
            refreshes_by_ttl: false,
        }))
    }

    fn authority(&self, target: &Target) -> String {
        match host_port::split(target.endpoint()) {
            Ok((host, port)) => host_port::authority(host, port),
            // Building a channel for such a target fails.
            Err(_) => "localhost".to_owned(),
        }
    }
}
