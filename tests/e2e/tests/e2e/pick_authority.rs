//! A pick sets the `:authority` of its attempt, and credentials check that the server may serve it.
//! Source: gRFC A81.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rgrpc::balancer::{
    BalancerBuilder, BalancerOptions, BaseBalancer, ChannelControl, EndpointChild, PickInfo,
    PickResult, Picker, PickerBuilder, PolicyConfig,
};
use rgrpc::credentials::{
    ChannelCredentials, ClientTls, MetadataFuture, PerRpcCredentials, RequestInfo, SecurityLevel,
    ServerTls, insecure,
};
use rgrpc::io::{Address, Dial};
use rgrpc::resolver::{Endpoint, ResolverState, StaticResolverBuilder};
use rgrpc::{ClientConnBuilder, Code, Metadata, Response, Server, Status};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, channel_builder, msg, new_server, serve_with,
    soon, text,
};

use crate::tls::certificates::Ca;

/// The policy `rewriting`: gives its attempts these authorities in turn, beside a token.
#[derive(Clone)]
struct Rewriting {
    authorities: &'static [&'static str],
    next: Arc<AtomicUsize>,
}

impl Rewriting {
    fn new(authorities: &'static [&'static str]) -> Self {
        Self {
            authorities,
            next: Arc::default(),
        }
    }
}

impl BalancerBuilder for Rewriting {
    fn name(&self) -> &'static str {
        "rewriting"
    }

    fn build(&self, _: &BalancerOptions) -> Box<dyn rgrpc::balancer::Balancer> {
        Box::new(BaseBalancer::new(self.clone()))
    }
}

impl PickerBuilder for Rewriting {
    fn build(&mut self, ready: &[&EndpointChild], _: &mut dyn ChannelControl) -> Arc<dyn Picker> {
        Arc::new(RewritingPicker {
            child: Arc::clone(ready[0].picker()),
            policy: self.clone(),
        })
    }
}

struct RewritingPicker {
    child: Arc<dyn Picker>,
    policy: Rewriting,
}

impl Picker for RewritingPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let PickResult::Pick(pick) = self.child.pick(call) else {
            return PickResult::Queue;
        };
        let turn = self.policy.next.fetch_add(1, Ordering::Relaxed);
        let authority = self.policy.authorities[turn % self.policy.authorities.len()];
        let token = Metadata::from_pairs([("token", "1")]).expect("valid");
        // It replaces the authority of a policy below.
        let pick = pick.with_authority("below.test").with_metadata(token);
        PickResult::Pick(pick.with_authority(authority))
    }
}

/// Tells the authority that it was asked for.
struct Audience;

impl PerRpcCredentials for Audience {
    fn metadata<'a>(&'a self, request: RequestInfo<'a>) -> MetadataFuture<'a> {
        let audience = request.authority().to_owned();
        Box::pin(async move {
            Ok(Metadata::from_pairs([("audience", audience)]).expect("a valid value"))
        })
    }

    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::NoSecurity
    }
}

/// A service that answers with what a request says of its authority, separated by commas.
fn telling() -> StubService {
    fn told(metadata: &Metadata) -> String {
        let value = |key| metadata.get(key).unwrap_or_default();
        [":authority", "token", "audience"].map(value).join(",")
    }
    StubService::new()
        .unary(async |request| {
            let told = told(request.metadata());
            Ok(Response::new(msg(told)))
        })
        .server_streaming(async |request, mut responses| {
            let told = told(request.metadata());
            responses.send(msg(told)).await
        })
}

fn serve(options: impl FnOnce(Server) -> Server) -> TestServer {
    serve_with(options(new_server()), telling())
}

/// The builder of a channel to a server with this policy.
fn builder(
    server: &TestServer,
    policy: Rewriting,
    credentials: ChannelCredentials,
    service_config: &str,
) -> ClientConnBuilder {
    let connector = server.connector();
    let backend = Endpoint::from(Address::Name("backend".to_owned()));
    let state = ResolverState::new(vec![backend])
        .with_service_config(service_config)
        .with_policy(PolicyConfig::new(Arc::new(policy), Arc::new(())));
    channel_builder("shop:///a.own.test", credentials)
        .resolver(StaticResolverBuilder::of_state("shop", state))
        .dialer(FnDialer::new(move |address| connector.dial(address)))
}

fn client(builder: ClientConnBuilder) -> StubClient {
    StubClient::new(builder.build().expect("a valid channel"))
}

async fn told(client: &StubClient) -> Result<String, Status> {
    let response = soon(client.unary(msg("")).into_future()).await?;
    Ok(text(response.message()).to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_authority_of_a_pick_is_that_of_its_attempt_and_of_its_credentials() {
    let server = serve(|server| server);
    for (audience, expected) in [(false, ""), (true, "a.test:1")] {
        let policy = Rewriting::new(&["a.test:1"]);
        let mut builder = builder(&server, policy, insecure(), "{}");
        if audience {
            builder = builder.per_rpc_credentials(Audience);
        }
        let client = client(builder);
        let expected = format!("a.test:1,1,{expected}");
        assert_eq!(told(&client).await.expect("OK"), expected);
        let call = client.server_streaming(msg(""));
        let mut responses = soon(call.into_future()).await.expect("a stream");
        let first = soon(responses.recv()).await.expect("OK");
        assert_eq!(text(&first.expect("a message")), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_the_authority_of_its_pick() {
    let server = serve(|server| server);
    let policy = Rewriting::new(&["a.test", "b.test"]);
    let client = client(builder(&server, policy, insecure(), "{}"));
    for expected in ["a.test,1,", "b.test,1,", "a.test,1,"] {
        assert_eq!(told(&client).await.expect("OK"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_s_own_authority_goes_before_that_of_a_pick() {
    let server = serve(|server| server);
    let policy = Rewriting::new(&["a.test"]);
    let client = client(builder(&server, policy, insecure(), "{}"));
    let call = client.unary(msg("")).authority("call.test");
    let response = soon(call.into_future()).await.expect("OK");
    assert_eq!(text(response.message()), "call.test,1,");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_authority_of_a_pick_fails_the_attempt_and_a_retry_may_have_another() {
    const RETRIES: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1,
        "retryableStatusCodes": ["UNAVAILABLE"]
    }}]}"#;
    let server = serve(|server| server);
    let policy = Rewriting::new(&["a b", "b.test"]);
    let without = client(builder(&server, policy.clone(), insecure(), "{}"));
    let status = told(&without).await.expect_err("it cannot be sent");
    assert_eq!(status.code(), Code::Unavailable);
    let expected = "the authority of the pick \"a b\" is not for ";
    assert!(status.message().starts_with(expected), "{status}");
    policy.next.store(0, Ordering::Relaxed);
    let retrying = client(builder(&server, policy, insecure(), RETRIES));
    assert_eq!(told(&retrying).await.expect("OK"), "b.test,1,");
}

#[tokio::test(start_paused = true)]
async fn the_server_s_certificate_has_to_be_for_the_authority_of_a_pick() {
    let ca = Ca::new();
    let identity = ca.server("*.own.test");
    let tls = ServerTls::new(&identity.chain_pem, &identity.key_pem).build();
    let server = serve(|server| server.credentials(tls.expect("sound inputs")));
    for (authorities, served) in [
        (&["b.own.test"], true),
        (&["b.own.test:443"], true),
        (&["b.other.test"], false),
        (&["127.0.0.1"], false),
    ] {
        let tls = ClientTls::new().ca_certificates(ca.pem()).build();
        let policy = Rewriting::new(authorities);
        let client = client(builder(&server, policy, tls.expect("sound inputs"), "{}"));
        let [authority] = authorities;
        match (told(&client).await, served) {
            (Ok(told), true) => assert_eq!(told, format!("{authority},1,")),
            (Err(status), false) => {
                assert_eq!(status.code(), Code::Unavailable, "{authority}");
                assert!(status.message().contains("certificate"), "{status}");
            }
            (outcome, _) => panic!("{authority}: {outcome:?}"),
        }
    }
}
