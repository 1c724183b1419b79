//! Resolution of targets: built-in schemes, and those of the user.
//!
//! Source: `doc/naming.md` of the gRPC documents; grpc-go's `test/resolver_update_test.go`,
//! `resolver/manual`.

use std::sync::{Arc, Mutex};

use rgrpc::io::{Address, Dial};
use rgrpc::resolver::{
    Endpoint, ManualResolver, Resolver, ResolverBuilder, ResolverError, ResolverOptions,
    ResolverState, StaticResolver, StaticResolverBuilder, Target,
};
use rgrpc::{
    BuildError, ClientConn, ClientConnBuilder, Code, Response, Status, Transport, credentials,
};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, channel_builder, msg, new_channel, new_server,
    register_stub, scripted_by, serve, serve_with, settle, soon, text,
};

/// A server whose unary method answers with this name.
fn named(name: &'static str) -> TestServer {
    serve(StubService::new().unary(move |_| async move { Ok(Response::new(msg(name))) }))
}

/// A channel whose dialer finds the servers by their names.
fn to(target: &str, servers: &[(&'static str, &TestServer)]) -> ClientConnBuilder {
    let connectors = servers
        .iter()
        .map(|(name, server)| (*name, server.connector()));
    let connectors: Vec<_> = connectors.collect();
    let dialer = FnDialer::new(move |address: Address| {
        let found = connectors.iter().find(|(name, _)| address == backend(name));
        let dialed = found.map(|(_, connector)| connector.dial(address.clone()));
        async move {
            match dialed {
                Some(dialed) => dialed.await,
                None => Err(std::io::Error::other("there is no such server")),
            }
        }
    });
    channel_builder(target, credentials::insecure()).dialer(dialer)
}

fn backend(name: &str) -> Address {
    Address::Name(name.to_owned())
}

async fn call(conn: ClientConn) -> Result<String, Status> {
    let client = StubClient::new(conn);
    let response = soon(async { client.unary(msg("")).await }).await?;
    Ok(text(response.message()).to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_static_list_can_have_its_own_scheme() {
    let server = named("first");
    let endpoints = vec![Endpoint::from(backend("first"))];
    let conn = to("ZOO://keeper/elephants", &[("first", &server)])
        .resolver(StaticResolverBuilder::new("zoo", endpoints))
        .build()
        .expect("the scheme is known");
    assert_eq!(conn.target(), "ZOO://keeper/elephants");
    assert_eq!(call(conn).await.expect("OK"), "first");
}

#[tokio::test(start_paused = true)]
async fn the_default_scheme_is_that_of_targets_that_name_none() {
    let server = named("elephants:7");
    let conn = to("elephants:7", &[("elephants:7", &server)])
        .default_scheme("passthrough")
        .build()
        .expect("the scheme is known");
    assert_eq!(call(conn).await.expect("OK"), "elephants:7");
}

#[test]
fn a_target_that_no_scheme_takes_is_refused_when_the_channel_is_made() {
    let builder = |target: &str| channel_builder(target, credentials::insecure());
    for (builder, parts) in [
        (
            builder("zoo://keeper/elephants"),
            [
                "scheme \"zoo\" is unknown",
                "dns, ipv4, ipv6, passthrough, unix, unix-abstract",
            ],
        ),
        (
            builder("elephants").default_scheme("zoo"),
            ["default scheme \"zoo\" is unknown", "dns, ipv4"],
        ),
        (
            builder("picky:///elephants").resolver(Picky::default()),
            ["the target \"picky:///elephants\"", "cows are expected"],
        ),
    ] {
        let error = builder.build().expect_err("refused");
        assert!(matches!(error, BuildError::Target(_)), "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
}

/// Accepts only targets whose endpoint begins with `cows`, and records each with its options.
#[derive(Clone, Default)]
struct Picky {
    built: Arc<Mutex<Vec<(Target, ResolverOptions)>>>,
}

impl ResolverBuilder for Picky {
    fn scheme(&self) -> &'static str {
        "picky"
    }

    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        if !target.endpoint().starts_with("cows") {
            return Err(ResolverError::invalid_target("cows are expected"));
        }
        let built = (target.clone(), options.clone());
        self.built.lock().expect("not poisoned").push(built);
        let endpoints = vec![Endpoint::from(backend("cows"))];
        Ok(Box::new(StaticResolver::new(endpoints)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_builder_gets_the_parts_of_the_target_and_the_options() {
    let (server, picky) = (named("cows"), Picky::default());
    let conn = to(
        "picky://farm:1/cows%20and%20calves?of=7",
        &[("cows", &server)],
    )
    .resolver(picky.clone())
    .authority("farm.test")
    .disable_service_config(true)
    .build()
    .expect("cows are taken");
    assert_eq!(call(conn).await.expect("OK"), "cows");
    let told = picky.built.lock().expect("not poisoned");
    assert!(
        told.len() > 1,
        "once to be checked, and once for the channel"
    );
    for (target, options) in &*told {
        assert_eq!(target.authority(), "farm:1");
        assert_eq!(target.endpoint(), "cows and calves");
        assert_eq!(target.query(), Some("of=7"));
        assert!(options.disable_service_config);
    }
}

#[tokio::test(start_paused = true)]
async fn the_authority_of_a_scheme_of_the_users_own_is_the_endpoint() {
    for (target, authority) in [
        ("picky://farm:1/cows", "cows"),
        ("picky:///cows:7", "cows:7"),
        ("picky:///cows/with calves", "cows%2Fwith%20calves"),
        ("picky:///cows:of:7", "localhost"),
    ] {
        let (conn, mut server) = scripted_by(target, |builder| {
            let builder = builder.resolver(Picky::default());
            match authority.contains('%') {
                // The other engine: see the next test.
                true => builder.transport(Transport::Native),
                false => builder,
            }
        });
        let call = tokio::spawn(async move { StubClient::new(conn).unary(msg("")).await });
        let request = server.accept().await.expect_request(1).await;
        assert_eq!(
            request.headers.get(":authority"),
            Some(authority),
            "{target}"
        );
        call.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_percent_encoded_authority_is_sent_or_the_channel_says_what_to_do() {
    let build = |transport, authority: Option<&str>| {
        // The other engine refuses such requests.
        let server = new_server().transport(Transport::Native);
        let service = StubService::new().unary(|_| async { Ok(Response::new(msg("cows"))) });
        let (server, picky) = (serve_with(server, service), Picky::default());
        let conn = to("picky:///cows/with calves", &[("cows", &server)])
            .resolver(picky)
            .transport(transport);
        let conn = match authority {
            Some(authority) => conn.authority(authority).build(),
            None => conn.build(),
        };
        (conn, server)
    };
    let (conn, _server) = build(Transport::Native, None);
    assert_eq!(call(conn.expect("it is sent")).await.expect("OK"), "cows");

    let (conn, _server) = build(Transport::H2, None);
    assert_eq!(
        conn.expect_err("it is not sent").to_string(),
        "the authority \"cows%2Fwith%20calves\" cannot be sent: Transport::H2 sends no \
         percent-encoded host (invalid authority); set another authority, or use \
         Transport::Native; the option is authority"
    );
    let (conn, _server) = build(Transport::H2, Some("cows.test"));
    let conn = conn.expect("it is sent");
    assert_eq!(call(conn.clone()).await.expect("OK"), "cows");

    let client = StubClient::new(conn);
    let own = client.unary(msg("")).authority("a%20cow");
    let status = own.await.expect_err("it is not sent");
    assert_eq!(status.code(), Code::Internal);
    let text = "of the authority \"a%20cow\": Transport::H2 sends no percent-encoded host";
    assert!(status.message().contains(text), "{status}");
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_resolver_that_has_found_nothing_yet() {
    let (server, manual) = (named("first"), ManualResolver::new("manual"));
    let conn = to("manual:///a", &[("first", &server)])
        .resolver(manual.clone())
        .build()
        .expect("the scheme is known");
    let calling = tokio::spawn(call(conn));
    settle().await;
    assert!(!calling.is_finished());
    manual.update(ResolverState::of_addresses([backend("first")]));
    let outcome = soon(calling).await.expect("no panic");
    assert_eq!(outcome.expect("OK"), "first");
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_fails_fails_calls_until_it_finds_something() {
    let (server, manual) = (named("first"), ManualResolver::new("manual"));
    manual.error(Status::unavailable("the registry is down"));
    let conn = to("manual:///a", &[("first", &server)])
        .resolver(manual.clone())
        .build()
        .expect("the scheme is known");
    let status = call(conn.clone()).await.expect_err("nothing is found");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("the registry is down"),
        "{status}"
    );
    manual.update(ResolverState::of_addresses([backend("first")]));
    let client = StubClient::new(conn);
    let waiting = client.unary(msg("")).wait_for_ready(true);
    soon(async { waiting.await }).await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn calls_go_where_the_resolver_says_from_its_next_update_on() {
    let (first, second) = (named("first"), named("second"));
    let manual = ManualResolver::new("manual");
    let conn = to("manual:///a", &[("first", &first), ("second", &second)])
        .resolver(manual.clone())
        .build()
        .expect("the scheme is known");
    for name in ["first", "second", "first"] {
        manual.update(ResolverState::of_addresses([backend(name)]));
        let calling = tokio::spawn(call(conn.clone()));
        soon(manual.taken()).await.expect("it can be used");
        soon(calling).await.expect("no panic").expect("OK");
        // The first call may have been on its way.
        settle().await;
        assert_eq!(call(conn.clone()).await.expect("OK"), name);
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_cannot_be_used_is_refused_and_what_was_found_before_holds() {
    let (server, manual) = (named("first"), ManualResolver::new("manual"));
    manual.update(ResolverState::of_addresses([backend("first")]));
    let conn = to("manual:///a", &[("first", &server)])
        .resolver(manual.clone())
        .build()
        .expect("the scheme is known");
    assert_eq!(call(conn.clone()).await.expect("OK"), "first");
    soon(manual.taken()).await.expect("it can be used");

    let state = ResolverState::of_addresses([backend("first")]);
    manual.update(state.with_service_config("nonsense"));
    soon(manual.taken()).await.expect_err("no JSON");
    assert_eq!(call(conn).await.expect("OK"), "first");
}

#[tokio::test(start_paused = true)]
async fn a_resolver_is_asked_again_when_no_connection_can_be_made() {
    let manual = ManualResolver::new("manual");
    manual.update(ResolverState::of_addresses([backend("nobody")]));
    let mut requests = manual.resolve_now_requests();
    let conn = to("manual:///a", &[])
        .resolver(manual.clone())
        .build()
        .expect("the scheme is known");
    let status = call(conn).await.expect_err("nobody is there");
    assert_eq!(status.code(), Code::Unavailable);
    let asked = soon(requests.wait_for(|requests| *requests > 0));
    asked.await.expect("the handle is there");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_socket_in_the_abstract_namespace_is_served_and_dialed_by_its_name() {
    let mut server = new_server();
    let service = StubService::new().unary(async |request| {
        let peer = request.context().expect("in a handler").peer();
        Ok(Response::new(msg(format!(
            "{} to {}",
            peer.remote, peer.local
        ))))
    });
    register_stub(&mut server, service).expect("the first");
    let name = format!("rgrpc-e2e-{}/abstract", std::process::id());
    let serving = tokio::spawn(server.serve_unix_abstract(&name));

    let target = format!("unix-abstract:{name}");
    let conn = new_channel(&target, credentials::insecure()).expect("a valid target");
    let client = StubClient::new(conn);
    let called = client.unary(msg("")).wait_for_ready(true);
    let response = soon(async { called.await }).await.expect("OK");
    assert_eq!(text(response.message()), format!("unix: to {target}"));
    server.handle().stop();
    soon(serving).await.expect("no panic").expect("served");

    let conn = new_channel(&target, credentials::insecure()).expect("a valid target");
    let status = call(conn).await.expect_err("nobody listens any more");
    assert!(status.message().contains(&target), "{status}");
}
