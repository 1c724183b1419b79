//! The scheme `dns`: looks up the addresses of a host, and again when the channel asks.
//!
//! [`DnsResolverBuilder`] parses the target. [`DnsResolver`](resolver::DnsResolver) is a task that
//! uses a [`Lookup`](lookup::Lookup) and reports to the channel. The
//! [`Schedule`](schedule::Schedule) decides the times of the lookups. The operating system resolves
//! addresses. With the feature `dns-hickory`, DNS servers are asked for service configs and TTLs,
//! which the operating system does not report.
//!
//! Source: `doc/naming.md` of the gRPC documents; gRFC A2; grpc-go `internal/resolver/dns`.

mod builder;
#[cfg(feature = "dns-hickory")]
mod hickory;
mod lookup;
mod resolver;
mod schedule;
#[cfg(feature = "dns-hickory")]
mod txt_service_config;

pub use builder::DnsResolverBuilder;
