//! From a channel's target to the backends that it means.
//!
//! A [`Target`] is parsed when the channel is made, and the [`ResolverBuilder`] of its scheme is
//! looked up in the channel's [`ResolverRegistry`]. When the channel leaves idle mode it has a
//! fresh [`Resolver`] made, which runs as a task of its own and gives it [`ResolverState`]s from
//! then on, by its [`ResolverControl`].
//!
//! Built in are `dns`, which is also the scheme of targets that name none, `ipv4`, `ipv6`,
//! `passthrough`, `unix` and `unix-abstract`. [`ManualResolver`] and [`StaticResolverBuilder`]
//! stand under any scheme; one of your own is a [`ResolverBuilder`] that is given to
//! [`ClientConnBuilder::resolver`](crate::ClientConnBuilder::resolver).

mod attributes;
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

pub use attributes::{Attribute, Attributes};
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
