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
    Resolver, ResolverBuilder, ResolverOptions, ResolverState, StaticResolver, Target,
};

/// How long a lookup may take, as in grpc-go.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// How far apart lookups are at least that were asked for, as in grpc-go.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// The scheme `dns`: `dns:///host:port`, where the port is 443 when left out, and an address of
/// IPv6 with a port stands in brackets. IP addresses are not looked up. Channels know this scheme;
/// build one to change how it works:
///
/// ```
/// use std::time::Duration;
///
/// use rgrpc::resolver::DnsResolverBuilder;
///
/// // New backends are found within half a minute, though no connection is lost.
/// let dns = DnsResolverBuilder::new().refresh_interval(Duration::from_secs(30));
/// let conn = rgrpc::ClientConn::builder("orders.example:50051", rgrpc::credentials::insecure())
///     .resolver(dns)
///     .build()?;
/// # Ok::<(), rgrpc::BuildError>(())
/// ```
///
/// The addresses are those that the operating system finds. A name is looked up when the channel
/// leaves idle mode, and again when a connection is lost or cannot be made, 30 s after the last
/// lookup at the earliest. A lookup that fails, or whose result the channel cannot use, is retried
/// after 1 s, and 1.6 times as long after each further failure, up to 120 s, within a fifth.
///
/// With the feature `dns-hickory` the service config is looked for too, unless the channel has it
/// [disabled](crate::ClientConnBuilder::disable_service_config): a TXT record of
/// `_grpc_config.host` that begins with `grpc_config=`, where a choice of several configs by
/// percentage, language (`rust`) and host name follows. Without a record, or without an answer,
/// there is none. And `dns://server[:port]/host:port` asks this DNS server, at port 53 when left
/// out, in place of the operating system.
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
    /// With default options.
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

    /// The time a lookup may take. Zero is an error when a channel is made. Default: 30 s.
    ///
    /// Source: grpc-go `dns.SetResolvingTimeout`.
    #[must_use]
    pub fn lookup_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long after a lookup the next may be, however often the channel asks. Lookups that failed
    /// are retried after their backoff nevertheless. Zero is no such wait. Default: 30 s.
    ///
    /// Source: grpc-go `dns.SetMinResolutionInterval`.
    #[must_use]
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.intervals.min = interval;
        self
    }

    /// How long after a lookup the next is made without being asked for; not sooner than the
    /// [`min_interval`](Self::min_interval). Without it, backends that are new are found only when
    /// a connection to an old one is lost. `None` and zero: never. Default: never.
    #[must_use]
    pub fn refresh_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.intervals.refresh = interval.into().filter(|interval| !interval.is_zero());
        self
    }

    /// Whether the next lookup is made, without being asked for, when the records of the last are
    /// no longer valid; not sooner than the [`min_interval`](Self::min_interval). As the operating
    /// system does not say how long they are, the addresses are then those that the DNS has, by the
    /// servers of the system's configuration. Default: false.
    #[cfg(feature = "dns-hickory")]
    #[must_use]
    pub fn refresh_by_ttl(mut self, refresh_by_ttl: bool) -> Self {
        self.refreshes_by_ttl = refresh_by_ttl;
        self
    }

    /// What to ask, for the targets that name this server or none.
    #[cfg(feature = "dns-hickory")]
    fn lookup(&self, server: &str, options: &ResolverOptions) -> Result<Arc<dyn Lookup>, String> {
        let server = Server::parse(server)?;
        Ok(match server {
            None if self.refreshes_by_ttl => Arc::new(HickoryLookup::of_system()),
            None if options.disable_service_config => Arc::new(SystemLookup),
            None => Arc::new(HickoryLookup::beside(SystemLookup)),
            Some(server) => Arc::new(HickoryLookup::of_server(server)),
        })
    }

    #[cfg(not(feature = "dns-hickory"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn lookup(&self, server: &str, _: &ResolverOptions) -> Result<Arc<dyn Lookup>, String> {
        if server.is_empty() {
            Ok(Arc::new(SystemLookup))
        } else {
            Err(format!(
                "lookups by the DNS server {server:?} need rgrpc's feature dns-hickory; \
                 use dns:///host:port without it"
            ))
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
    ) -> Result<Box<dyn Resolver>, String> {
        if self.timeout.is_zero() {
            return Err("more than 0 is expected of the option lookup_timeout".to_owned());
        }
        let (host, port) = host_port::split(target.some_endpoint()?)?;
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
                // ":port" is this machine.
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
            // No channel is made for it.
            Err(_) => "localhost".to_owned(),
        }
    }
}
