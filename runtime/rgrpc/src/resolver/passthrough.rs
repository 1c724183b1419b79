//! The scheme `passthrough`: the dialer resolves the name.
//!
//! Called by the channel's builder, and by the channel's task when it leaves idle mode.

use super::{
    Resolver, ResolverBuilder, ResolverError, ResolverOptions, ResolverState, StaticResolver,
    Target,
};
use crate::io::{Address, host_port};

/// Builds the resolvers of the scheme `passthrough`: the dialer gets the endpoint as it is.
///
/// Source: grpc-go `internal/resolver/passthrough`.
pub(super) struct PassthroughResolverBuilder;

impl ResolverBuilder for PassthroughResolverBuilder {
    fn scheme(&self) -> &'static str {
        "passthrough"
    }

    fn build(
        &self,
        target: &Target,
        _: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        let name = target.required_endpoint()?.to_owned();
        let state = ResolverState::of_addresses([Address::Name(name)]);
        Ok(Box::new(StaticResolver::of_state(state)))
    }

    fn authority(&self, target: &Target) -> String {
        // Only the dialer understands an endpoint that is not host and port; a server does not.
        match host_port::split(target.endpoint()) {
            Ok((host, port)) => host_port::authority(host, port),
            Err(_) => "localhost".to_owned(),
        }
    }
}
