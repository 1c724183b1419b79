use super::{Resolver, ResolverBuilder, ResolverOptions, ResolverState, StaticResolver, Target};
use crate::io::{Address, host_port};

/// The scheme `passthrough`: hands the endpoint to the dialer as it is.
///
/// Source: grpc-go `internal/resolver/passthrough`.
pub(super) struct PassthroughResolverBuilder;

impl ResolverBuilder for PassthroughResolverBuilder {
    fn scheme(&self) -> &'static str {
        "passthrough"
    }

    fn build(&self, target: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, String> {
        let name = target.some_endpoint()?.to_owned();
        let state = ResolverState::of_addresses([Address::Name(name)]);
        Ok(Box::new(StaticResolver::of_state(state)))
    }

    fn authority(&self, target: &Target) -> String {
        // What is no host and port is the dialer's business and says nothing to a server.
        match host_port::split(target.endpoint()) {
            Ok((host, port)) => host_port::authority(host, port),
            Err(_) => "localhost".to_owned(),
        }
    }
}
