//! The schemes `ipv4` and `ipv6`: the target lists the addresses.
//!
//! Called by the channel's builder, and by the channel's task when it leaves idle mode.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{
    Resolver, ResolverBuilder, ResolverError, ResolverOptions, ResolverState, StaticResolver,
    Target,
};
use crate::io::{Address, host_port};

/// Builds the resolvers of the schemes `ipv4` and `ipv6`: IP addresses and ports, separated by
/// commas. The default port is 443.
///
/// Source: `doc/naming.md` of the gRPC documents.
#[derive(Clone, Copy)]
pub(super) enum IpListResolverBuilder {
    V4,
    V6,
}

impl ResolverBuilder for IpListResolverBuilder {
    fn scheme(&self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    fn build(
        &self,
        target: &Target,
        _: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        let addresses = self.addresses(target.endpoint())?;
        let state = ResolverState::of_addresses(addresses.into_iter().map(Address::Tcp));
        Ok(Box::new(StaticResolver::of_state(state)))
    }

    fn authority(&self, target: &Target) -> String {
        // An authority names one host: the first.
        let first = target.endpoint().split(',').next().and_then(parse);
        first.map_or_else(String::new, |address| address.to_string())
    }
}

impl IpListResolverBuilder {
    fn addresses(self, list: &str) -> Result<Vec<SocketAddr>, ResolverError> {
        let of_family = match self {
            Self::V4 => SocketAddr::is_ipv4,
            Self::V6 => SocketAddr::is_ipv6,
        };
        let addresses = list.split(',').map(|text| match parse(text) {
            Some(address) if of_family(&address) => Ok(address),
            _ => Err(ResolverError::invalid_target(NotAnAddress(text.to_owned()))),
        });
        addresses.collect()
    }
}

/// The error of a part of the list.
#[derive(Debug)]
struct NotAnAddress(String);

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not an IP address of this scheme: a comma-separated list of address:port is \
             expected, IPv6 addresses in brackets",
            self.0
        )
    }
}

impl Error for NotAnAddress {}

fn parse(text: &str) -> Option<SocketAddr> {
    let (host, port) = host_port::split(text).ok()?;
    let ip: IpAddr = host.parse().ok()?;
    Some(SocketAddr::new(ip, port.unwrap_or(host_port::DEFAULT_PORT)))
}
