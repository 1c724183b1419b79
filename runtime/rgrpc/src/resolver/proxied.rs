//! The scheme `dns` on a channel with an HTTP proxy.
//!
//! Called by the channel's builder.

use std::sync::Arc;

use super::{
    Resolver, ResolverBuilder, ResolverError, ResolverOptions, ResolverState, StaticResolver,
    Target,
};
use crate::io::{Address, HttpProxy, host_port};

/// Wraps a builder for a channel with a proxy: names of the scheme `dns` are left to the proxy if
/// their connections go through it, because the proxy may know more names than this machine.
///
/// Source: grpc-go `internal/resolver/delegatingresolver`.
pub(crate) fn through_proxy(
    builder: Arc<dyn ResolverBuilder>,
    proxy: &HttpProxy,
) -> Arc<dyn ResolverBuilder> {
    if builder.scheme().eq_ignore_ascii_case("dns") {
        let proxy = proxy.clone();
        Arc::new(ProxiedDnsBuilder { builder, proxy })
    } else {
        builder
    }
}

struct ProxiedDnsBuilder {
    builder: Arc<dyn ResolverBuilder>,
    proxy: HttpProxy,
}

impl ResolverBuilder for ProxiedDnsBuilder {
    fn scheme(&self) -> &str {
        self.builder.scheme()
    }

    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        let resolver = self.builder.build(target, options)?;
        let Ok((host, port)) = host_port::split(target.endpoint()) else {
            // A user's builder may accept it.
            return Ok(resolver);
        };
        let port = port.unwrap_or(host_port::DEFAULT_PORT);
        if host.is_empty() || !self.proxy.is_for(host, port) {
            return Ok(resolver);
        }
        let name = Address::Name(host_port::join(host, port));
        let state = ResolverState::of_addresses([name]);
        Ok(Box::new(StaticResolver::of_state(state)))
    }

    fn authority(&self, target: &Target) -> String {
        self.builder.authority(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::{ResolverControl, ResolverEvent, ResolverRegistry};

    #[tokio::test]
    async fn the_proxy_resolves_names_whose_connections_go_through_it() {
        let proxy = HttpProxy::new("p:1")
            .expect("a proxy")
            .no_proxy("10.0.0.0/8");
        let name = |name: &str| Address::Name(name.to_owned());
        let tcp = |address: &str| Address::Tcp(address.parse().expect(address));
        for (text, expected) in [
            ("backend.test:7", name("backend.test:7")),
            ("dns:///backend.test", name("backend.test:443")),
            ("dns:///1.2.3.4", name("1.2.3.4:443")),
            ("dns:///[2001:db8::1]:7", name("[2001:db8::1]:7")),
            ("dns:///10.2.3.4:7", tcp("10.2.3.4:7")),
            ("passthrough:///backend.test:7", name("backend.test:7")),
            ("ipv4:1.2.3.4:7", tcp("1.2.3.4:7")),
            ("unix:/s", Address::Unix(Some("/s".into()))),
        ] {
            let (target, builder) = ResolverRegistry::new().parse(text, "dns").expect(text);
            let unproxied = builder.authority(&target);
            let builder = through_proxy(builder, &proxy);
            assert_eq!(builder.authority(&target), unproxied);
            let options = ResolverOptions::default();
            let resolver = builder.build(&target, &options).expect(text);
            let (control, mut events) = ResolverControl::new();
            let running = tokio::spawn(resolver.run(control));
            match events.next().await {
                Some(ResolverEvent::Update(state, _)) => {
                    assert_eq!(state.endpoints[0].addresses, [expected], "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
            running.abort();
        }
    }

    #[test]
    fn an_invalid_target_is_an_error_with_a_proxy_too() {
        let proxy = HttpProxy::new("p:1").expect("a proxy");
        let (target, builder) = ResolverRegistry::new()
            .parse("a:b", "dns")
            .expect("a target");
        let builder = through_proxy(builder, &proxy);
        assert!(builder.build(&target, &ResolverOptions::default()).is_err());
    }
}
