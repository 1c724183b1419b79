//! Lookups by DNS servers, with the crate `hickory-resolver`: addresses with their TTL, and service
//! configs in TXT records. Called by the resolver, on its own task.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use gethostname::gethostname;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{Resolver, TokioResolver};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::lookup::{Answer, Lookup, LookupFuture, Question, SystemLookup};
use super::txt_service_config::{ClientProperties, TxtRecordError};
use crate::io::host_port::{self, HostPortError};
use crate::resolver::{LookupError, ResolverError};

/// The prefix of a host in the name of the TXT record with its service config.
const TXT_PREFIX: &str = "_grpc_config.";

/// The timeout of the lookup of a service config. The addresses wait for it.
const TXT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default port of DNS servers.
const SERVER_PORT: u16 = 53;

/// Looks names up at DNS servers. Each lookup reads the system's configuration and has no cache,
/// because a lookup is made to find changes.
#[derive(Clone, Debug)]
pub(super) struct HickoryLookup {
    /// The server to ask. `None`: the servers of the system's configuration.
    server: Option<Server>,
    /// The lookup of addresses. `None`: the servers resolve them too.
    addresses: Option<SystemLookup>,
}

/// A DNS server in a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    host: String,
    port: u16,
}

impl Server {
    /// Parses the authority of a target. `None` if it is empty.
    pub(super) fn parse(authority: &str) -> Result<Option<Self>, ServerError> {
        if authority.is_empty() {
            return Ok(None);
        }
        let error = |problem| ServerError {
            authority: authority.to_owned(),
            problem,
        };
        let (host, port) = host_port::split(authority).map_err(|problem| error(Some(problem)))?;
        if host.is_empty() {
            return Err(error(None));
        }
        Ok(Some(Self {
            host: host.to_owned(),
            port: port.unwrap_or(SERVER_PORT),
        }))
    }
}

/// The error of a target's DNS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerError {
    authority: String,
    /// `None`: it has no host.
    problem: Option<HostPortError>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the DNS server {:?}: ", self.authority)?;
        match &self.problem {
            Some(problem) => problem.fmt(f),
            None => f.write_str("it has no host"),
        }
    }
}

impl Error for ServerError {}

impl HickoryLookup {
    /// Looks up addresses and service configs at the servers of the system's configuration.
    pub(super) fn of_system() -> Self {
        Self {
            server: None,
            addresses: None,
        }
    }

    /// Looks up addresses and service configs at a server.
    pub(super) fn of_server(server: Server) -> Self {
        Self {
            server: Some(server),
            addresses: None,
        }
    }

    /// Looks up addresses by the operating system, and service configs at the servers of the
    /// system's configuration.
    pub(super) fn with_system_addresses(system: SystemLookup) -> Self {
        Self {
            server: None,
            addresses: Some(system),
        }
    }

    async fn resolver(&self) -> Result<TokioResolver, LookupError> {
        let failed = |error: NetError| LookupError::failed(error);
        let Some(server) = &self.server else {
            let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            return builder.build().map_err(failed);
        };
        let Server { host, port } = server;
        let found = lookup_host((&**host, *port)).await;
        let found = found
            .map_err(|error| LookupError::failed(format!("the DNS server {host:?}: {error}")))?;
        let servers = found.map(|address| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let connections = connections.map(|mut connection| {
                connection.port = address.port();
                connection
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // Only the server may answer.
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        builder.build().map_err(failed)
    }
}

impl Lookup for HickoryLookup {
    fn look_up(&self, question: Question) -> LookupFuture {
        let this = self.clone();
        Box::pin(async move {
            let mut answer = match this.addresses {
                Some(system) => system.look_up(question.clone()).await?,
                None => addresses(&this.resolver().await?, &question).await?,
            };
            if question.service_config && !answer.addresses.is_empty() {
                answer.service_config = match this.resolver().await {
                    Ok(resolver) => service_config(&resolver, &question.host).await,
                    Err(problem) => {
                        tracing::debug!(%problem, "no service config can be asked for");
                        None
                    }
                };
            }
            Ok(answer)
        })
    }
}

async fn addresses(resolver: &TokioResolver, question: &Question) -> Result<Answer, LookupError> {
    let found = match resolver.lookup_ip(&*question.host).await {
        Ok(found) => found,
        Err(error) if error.is_no_records_found() => return Ok(Answer::default()),
        Err(error) => return Err(LookupError::failed(error)),
    };
    let ttls = found.as_lookup().answers().iter().map(|record| record.ttl);
    Ok(Answer {
        addresses: found.iter().map(|ip| (ip, question.port).into()).collect(),
        service_config: None,
        valid_for: ttls.min().map(|ttl| Duration::from_secs(ttl.into())),
    })
}

/// Looks up the service config of a host. Without a response there is none: most hosts have none,
/// and some servers do not respond to questions for unknown records.
///
/// Source: grpc-go `envconfig.TXTErrIgnore`.
async fn service_config(
    resolver: &TokioResolver,
    host: &str,
) -> Option<Result<String, ResolverError>> {
    let name = format!("{TXT_PREFIX}{host}");
    let found = match timeout(TXT_TIMEOUT, resolver.txt_lookup(&*name)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            if !error.is_no_records_found() {
                tracing::debug!(name, %error, "no service config was found");
            }
            return None;
        }
        Err(_) => {
            tracing::debug!(name, "no service config was found: no answer within 5 s");
            return None;
        }
    };
    let texts: Vec<_> = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        })
        .collect();
    let host_name = gethostname();
    let client = ClientProperties {
        host_name: &host_name.to_string_lossy(),
        percentile: fastrand::u64(0..100),
    };
    let chosen = client.choose(texts.iter().map(String::as_str));
    chosen
        .map_err(|problem| ResolverError::service_config(TxtRecordError { name, problem }))
        .transpose()
}
