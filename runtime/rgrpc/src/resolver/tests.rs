//! The built-in schemes: the meaning of their targets, and invalid targets.

use std::future::poll_fn;

use super::*;
use crate::io::Address;

impl ResolverEvents {
    /// The next event of the resolver. `None`: the resolver has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<ResolverEvent> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

/// The first result of the resolver of a target.
async fn found(text: &str) -> ResolverState {
    let (target, builder) = ResolverRegistry::new().parse(text, "dns").expect(text);
    let resolver = builder
        .build(&target, &ResolverOptions::default())
        .expect(text);
    let (control, mut events) = ResolverControl::new();
    let running = tokio::spawn(resolver.run(control));
    let state = match events.next().await {
        Some(ResolverEvent::Update(state, reply)) => {
            reply
                .send(Ok(()))
                .expect("the resolver waits for the answer");
            state
        }
        other => panic!("{text}: {other:?}"),
    };
    running.await.expect("the resolver ends");
    state
}

fn problem(text: &str) -> String {
    let registry = ResolverRegistry::new();
    match registry.parse(text, "dns") {
        Err(error) => error.to_string(),
        Ok((target, builder)) => match builder.build(&target, &ResolverOptions::default()) {
            Err(problem) => problem.to_string(),
            Ok(_) => panic!("{text} is taken"),
        },
    }
}

fn tcp(addresses: &[&str]) -> Vec<Address> {
    let parse = |address: &&str| Address::Tcp(address.parse().expect(address));
    addresses.iter().map(parse).collect()
}

#[tokio::test]
async fn targets_that_contain_their_addresses_are_resolved_as_documented() {
    let name = |name: &str| vec![Address::Name(name.to_owned())];
    let unix = |path: &str| vec![Address::Unix(Some(path.into()))];
    let unix_abstract = |name: &str| vec![Address::UnixAbstract(name.to_owned())];
    for (text, addresses) in [
        ("1.2.3.4:5", tcp(&["1.2.3.4:5"])),
        ("[::1]:80", tcp(&["[::1]:80"])),
        ("dns:///[::1]", tcp(&["[::1]:443"])),
        ("dns:::1", tcp(&["[::1]:443"])),
        ("passthrough:///a%20b", name("a b")),
        ("passthrough:h:1", name("h:1")),
        ("passthrough:///unix:///x", name("unix:///x")),
        ("unix:///tmp/s", unix("/tmp/s")),
        ("unix:rel/s", unix("rel/s")),
        ("unix:a%20b", unix("a b")),
        ("unix-abstract:name", unix_abstract("name")),
        ("unix-abstract:///name", unix_abstract("/name")),
        ("ipv4:1.2.3.4:5", tcp(&["1.2.3.4:5"])),
        (
            "ipv4:///1.2.3.4:5,6.7.8.9",
            tcp(&["1.2.3.4:5", "6.7.8.9:443"]),
        ),
        ("ipv6:[::1]:5", tcp(&["[::1]:5"])),
        ("ipv6:::1", tcp(&["[::1]:443"])),
    ] {
        let state = found(text).await;
        let expected: Vec<_> = addresses.into_iter().map(Endpoint::from).collect();
        assert_eq!(state.endpoints, expected, "{text}");
        assert!(state.service_config.is_none());
    }
}

#[test]
fn targets_have_the_authority_of_their_endpoint() {
    for (text, authority) in [
        ("localhost:50051", "localhost:50051"),
        ("example.com", "example.com"),
        ("dns:example.com:1", "example.com:1"),
        (":8080", "localhost:8080"),
        ("dns:///:8080", "localhost:8080"),
        ("[::1]:80", "[::1]:80"),
        ("dns:::1", "[::1]"),
        ("dns:///a b:1", "localhost"),
        ("dns:///a[b:1", "localhost"),
        ("dns:///[]:1", "localhost:1"),
        ("dns:///fe80::1%25eth0", "localhost"),
        ("dns:///[fe80::1%25eth0]:1", "localhost"),
        ("passthrough:h:1", "h:1"),
        ("passthrough:///a b", "localhost"),
        ("passthrough:///unix:///x", "localhost"),
        ("passthrough:///:1", "localhost:1"),
        ("passthrough:///a:b:c", "localhost"),
        ("unix:///tmp/s", "localhost"),
        ("unix-abstract:name", "localhost"),
        ("ipv4:///1.2.3.4:5,6.7.8.9", "1.2.3.4:5"),
        ("ipv6:::1", "[::1]:443"),
    ] {
        let (target, builder) = ResolverRegistry::new().parse(text, "dns").expect(text);
        assert_eq!(builder.authority(&target), authority, "{text}");
    }
}

#[test]
fn an_invalid_target_is_an_error_that_names_the_problem() {
    for (text, expected) in [
        ("", "empty"),
        ("dns:", "empty"),
        ("passthrough:///", "empty"),
        ("unix:", "the path of the unix socket is empty"),
        ("unix-abstract:", "the name of the unix socket is empty"),
        ("http://host:1", "write host:1 or dns:///host:1"),
        ("dns://host:1", "three slashes"),
        ("unix://host/path", "no host"),
        ("unix-abstract://host/name", "no host"),
        ("host:port", "\"port\" in \"host:port\" is not a port"),
        ("host:65536", "not a port"),
        ("a:b:1", "too many colons"),
        ("[::1:80", "no closing one"),
        ("[::1]80", "follows the bracket"),
        ("ipv4:[::1]:80", "not an IP address"),
        ("ipv6:1.2.3.4:80", "not an IP address"),
        ("ipv4:", "not an IP address"),
    ] {
        let problem = problem(text);
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}

#[cfg(not(feature = "dns-hickory"))]
#[test]
fn a_dns_server_needs_the_feature() {
    let problem = problem("dns://8.8.8.8/host");
    for part in ["DNS server \"8.8.8.8\"", "feature dns-hickory"] {
        assert!(problem.contains(part), "{problem}");
    }
}

#[tokio::test]
async fn a_static_list_works_with_any_scheme() {
    let backends = tcp(&["1.2.3.4:5", "[::1]:5"]);
    let state = ResolverState::of_addresses(backends).with_service_config("{}");
    let builder = StaticResolverBuilder::of_state("zoo", state);
    let target = Target::parse("zoo://anything").expect("a target");
    let resolver = builder
        .build(&target, &ResolverOptions::default())
        .expect("always");
    let (control, mut events) = ResolverControl::new();
    let running = tokio::spawn(resolver.run(control));
    match events.next().await {
        Some(ResolverEvent::Update(state, _)) => {
            assert_eq!(state.endpoints.len(), 2);
            assert!(matches!(&state.service_config, Some(Ok(json)) if json == "{}"));
        }
        other => panic!("{other:?}"),
    }
    running.await.expect("the resolver ends after any answer");
}
