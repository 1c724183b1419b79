//! From a channel's target to the backends that it means.
//!
//! A target is parsed when the channel is made. When the channel leaves idle mode it starts a
//! [`Resolver`] for it, as a task of its own, which gives it [`ResolverState`]s from then on, by its
//! [`ResolverControl`].

mod attributes;
mod control;
mod dns;
mod endpoint_hash_key;
mod endpoint_key;
mod endpoint_weight;
#[allow(clippy::module_inception, reason = "named after what it holds")]
mod resolver;
mod state;
mod static_list;
mod target;

pub use attributes::{Attribute, Attributes};
pub use control::ResolverControl;
pub(crate) use control::{ResolverEvent, ResolverEvents};
pub use endpoint_hash_key::EndpointHashKey;
pub use endpoint_key::EndpointKey;
pub use endpoint_weight::EndpointWeight;
pub use resolver::{Resolver, ResolverFuture};
pub use state::{Endpoint, ResolverState};
pub use target::TargetError;
pub(crate) use target::{Target, TargetEndpoint};

use std::net::SocketAddr;
use std::path::PathBuf;

use self::dns::DnsResolver;
use self::static_list::StaticResolver;
use crate::io::Address;

/// The resolver for a target.
pub(crate) fn build(target: &Target) -> Box<dyn Resolver> {
    let fixed = |addresses| Box::new(StaticResolver::new(addresses));
    match target.endpoint() {
        TargetEndpoint::Passthrough(name) => fixed(vec![Address::Name(name.clone())]),
        TargetEndpoint::Unix(path) => fixed(vec![Address::Unix(Some(PathBuf::from(path)))]),
        TargetEndpoint::Ip(addresses) => {
            fixed(addresses.iter().copied().map(Address::Tcp).collect())
        }
        TargetEndpoint::Dns { host, port } => match host.parse() {
            Ok(ip) => fixed(vec![Address::Tcp(SocketAddr::new(ip, *port))]),
            Err(_) => Box::new(DnsResolver::new(host.clone(), *port)),
        },
    }
}
