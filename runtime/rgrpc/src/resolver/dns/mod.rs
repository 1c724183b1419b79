//! The scheme `dns`: looks up the addresses of a host, and again when the channel asks.
//!
//! [`DnsResolverBuilder`] reads the target; [`DnsResolver`] is the task that asks a [`Lookup`] and
//! tells the channel; when it asks is decided by the [`Schedule`]. The operating system finds
//! addresses; what it cannot find, service configs and how long addresses are valid, is asked of
//! the DNS itself, with the feature `dns-hickory`.
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
