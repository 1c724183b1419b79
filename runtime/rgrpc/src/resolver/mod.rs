//! Name resolution: from a channel's target to its endpoints.
//!
//! A channel's [`Target`] is parsed when the channel is built, and the channel's
//! [`ResolverRegistry`] has the [`ResolverBuilder`] of its scheme. Each time the channel leaves
//! idle mode, it builds a new [`Resolver`]. The resolver runs as its own task and sends
//! [`ResolverState`]s to the channel through a [`ResolverControl`].
//!
//! The built-in schemes are `dns` (the default scheme), `ipv4`, `ipv6`, `passthrough`, `unix` and
//! `unix-abstract`. [`ManualResolver`] and [`StaticResolverBuilder`] work with any scheme. For
//! another kind of discovery, implement [`ResolverBuilder`] and pass it to
//! [`ClientConnBuilder::resolver`](crate::ClientConnBuilder::resolver).

mod builder;
mod control;
mod dns;
mod endpoint_hash_key;
mod endpoint_key;
mod endpoint_weight;
mod factory;
mod ip_list;
mod manual;
mod passthrough;
mod proxied;
mod registry;
#[allow(clippy::module_inception, reason = "named after what it holds")]
mod resolver;
mod state;
mod static_list;
mod target;
#[cfg(test)]
mod tests;
mod unix;

pub use crate::attributes::{Attribute, Attributes};
pub use builder::{ResolverBuilder, ResolverOptions};
pub use control::ResolverControl;
pub(crate) use control::{ResolverEvent, ResolverEvents};
pub use dns::DnsResolverBuilder;
pub use endpoint_hash_key::EndpointHashKey;
pub use endpoint_key::EndpointKey;
pub use endpoint_weight::EndpointWeight;
pub(crate) use factory::ResolverFactory;
pub use manual::ManualResolver;
pub(crate) use proxied::through_proxy;
pub use registry::ResolverRegistry;
pub use resolver::{Resolver, ResolverFuture};
pub use state::{Endpoint, ResolverState};
pub use static_list::{StaticResolver, StaticResolverBuilder};
pub use target::{Target, TargetError};
