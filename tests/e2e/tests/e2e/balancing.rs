//! The choice among several backends, by policies that keep a connection to each.
//!
//! Source: gRFCs A48, A58, A61; grpc-go's tests of `roundrobin`, `leastrequest` and
//! `weightedroundrobin`.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BaseBalancer, ChannelControl, EndpointChild, LoadReport, PickInfo,
    PickResult, Picker, PickerBuilder,
};
use rgrpc::io::{Address, Dial, PipeConnector};
use rgrpc::prost::Message as _;
use rgrpc::{BuildError, ClientConnBuilder, Code, Response, credentials};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, channel_builder, msg, serve, settle, soon, text,
    unary,
};
use tokio::time::sleep;

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// Backends, each with an address at which there can be a server.
#[derive(Clone)]
struct Backends(Arc<Mutex<Vec<Option<PipeConnector>>>>);

impl Backends {
    fn new(servers: &[&TestServer]) -> Self {
        let connectors = servers.iter().map(|server| Some(server.connector()));
        Self(Arc::new(Mutex::new(connectors.collect())))
    }

    /// Has this server, or none, at an address.
    fn set(&self, index: usize, server: Option<&TestServer>) {
        self.0.lock().expect("not poisoned")[index] = server.map(TestServer::connector);
    }

    fn builder(&self, service_config: &str) -> ClientConnBuilder {
        let connectors = Arc::clone(&self.0);
        let count = connectors.lock().expect("not poisoned").len();
        let addresses: Vec<_> = (0..count).map(|index| format!("127.0.0.{index}")).collect();
        let target = format!("ipv4:{}", addresses.join(","));
        let dialer = FnDialer::new(move |address| {
            let connector = match &address {
                Address::Tcp(address) => {
                    let connectors = connectors.lock().expect("not poisoned");
                    connectors[index_of(address.ip())].clone()
                }
                other => panic!("not one of the target's addresses: {other}"),
            };
            async move {
                match connector {
                    Some(connector) => connector.dial(address).await,
                    None => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        });
        channel_builder(target, credentials::insecure())
            .dialer(dialer)
            .default_service_config(service_config)
    }
}

fn index_of(ip: std::net::IpAddr) -> usize {
    match ip {
        std::net::IpAddr::V4(ip) => usize::from(ip.octets()[3]),
        std::net::IpAddr::V6(_) => panic!("not one of the target's addresses: {ip}"),
    }
}

/// A server that answers with its name.
fn named(name: &'static str) -> TestServer {
    serve(StubService::new().unary(move |_| async move { Ok(Response::new(msg(name))) }))
}

/// A server that answers with its name, and reports that it could serve so many calls a second.
fn reporting(name: &'static str, weight: f64) -> TestServer {
    let mut report = LoadReport::default();
    report.application_utilization = 0.5;
    report.rps_fractional = weight / 2.0;
    let report = report.encode_to_vec();
    serve(StubService::new().unary(move |_| {
        let mut response = Response::new(msg(name));
        let key = "endpoint-load-metrics-bin";
        let added = response.trailer_mut().append(key, report.clone());
        added.expect("a valid trailer");
        async move { Ok(response) }
    }))
}

/// A channel that is connected to all backends that there are.
async fn connected(builder: ClientConnBuilder) -> StubClient {
    let conn = builder.build().expect("a valid channel");
    conn.connect().expect("the channel is open");
    settle().await;
    StubClient::new(conn)
}

/// The backends that answer `count` calls, one after the other.
async fn answers(client: &StubClient, count: usize) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let response = soon(async { client.unary(msg("")).await }).await;
        answers.push(text(response.expect("OK").message()).to_owned());
    }
    answers
}

fn count(answers: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for answer in answers {
        *counts.entry(answer.as_str()).or_default() += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn round_robin_gives_calls_to_all_backends_in_turn() {
    let servers = [named("a"), named("b"), named("c")];
    let backends = Backends::new(&servers.each_ref());
    let client = connected(backends.builder(ROUND_ROBIN)).await;
    let answers = answers(&client, 9).await;
    assert_eq!(answers[..3], answers[3..6]);
    assert_eq!(answers[..3], answers[6..]);
    assert_eq!(count(&answers), [("a", 3), ("b", 3), ("c", 3)].into());
}

#[tokio::test(start_paused = true)]
async fn round_robin_leaves_out_a_backend_until_it_is_back() {
    let (a, b) = (named("a"), named("b"));
    let backends = Backends::new(&[&a, &b]);
    let client = connected(backends.builder(ROUND_ROBIN)).await;
    backends.set(1, None);
    drop(b);
    settle().await;
    assert_eq!(count(&answers(&client, 4).await), [("a", 4)].into());

    let b = named("b again");
    backends.set(1, Some(&b));
    // For longer than the backoff of the attempts that have failed.
    sleep(Duration::from_secs(10)).await;
    let answers = answers(&client, 4).await;
    assert_eq!(count(&answers), [("a", 2), ("b again", 2)].into());
}

#[tokio::test(start_paused = true)]
async fn round_robin_fails_calls_while_no_backend_can_be_reached() {
    let server = named("a");
    let backends = Backends::new(&[&server, &server]);
    backends.set(0, None);
    backends.set(1, None);
    let client = connected(backends.builder(ROUND_ROBIN)).await;
    let status = soon(async { client.unary(msg("")).await })
        .await
        .expect_err("no backend can be reached");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("cannot connect to"), "{status}");

    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.unary(msg("")).wait_for_ready(true).await });
    settle().await;
    assert!(!call.is_finished());
    backends.set(1, Some(&server));
    let response = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(text(response.message()), "a");
}

#[tokio::test(start_paused = true)]
async fn least_request_spares_a_backend_that_does_not_answer() {
    let slow = serve(StubService::new().unary(|_| pending()));
    let quick = named("quick");
    let config = r#"{"loadBalancingConfig": [
        {"least_request_experimental": {"choiceCount": 10}}
    ]}"#;
    let backends = Backends::new(&[&slow, &quick]);
    let client = connected(backends.builder(config)).await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        calls.push(unary(&client, ""));
        settle().await;
    }
    let unanswered = calls.iter().filter(|call| !call.is_finished()).count();
    // Only when none of ten draws of two is the quick one, or both are as busy.
    assert!((1..=3).contains(&unanswered), "{unanswered} of 100");
    calls.into_iter().for_each(|call| call.abort());
}

#[tokio::test(start_paused = true)]
async fn weighted_round_robin_follows_the_reports_of_calls() {
    let servers = [reporting("a", 100.0), reporting("b", 300.0)];
    let config = r#"{"loadBalancingConfig": [{"weighted_round_robin": {}}]}"#;
    let backends = Backends::new(&servers.each_ref());
    let client = connected(backends.builder(config)).await;
    let counts = answers(&client, 400).await;
    assert_eq!(count(&counts), [("a", 200), ("b", 200)].into());
    // The blackout, and the update after it.
    sleep(Duration::from_secs(12)).await;
    let answers = answers(&client, 400).await;
    let counts = count(&answers);
    assert!(counts["a"].abs_diff(100) <= 1, "{counts:?}");
}

/// Calls with the same metadata value go to the same backend.
struct ByUser(Vec<Arc<dyn Picker>>);

impl Picker for ByUser {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let user = call.metadata.get("user").unwrap_or_default();
        let sum: usize = user.bytes().map(usize::from).sum();
        self.0[sum % self.0.len()].pick(call)
    }
}

struct ByUserPickers;

impl PickerBuilder for ByUserPickers {
    fn build(
        &mut self,
        ready: &[&EndpointChild],
        _control: &mut dyn ChannelControl,
    ) -> Arc<dyn Picker> {
        let pickers = ready.iter().map(|child| Arc::clone(child.picker()));
        Arc::new(ByUser(pickers.collect()))
    }
}

struct ByUserBuilder;

impl BalancerBuilder for ByUserBuilder {
    fn name(&self) -> &str {
        "by_user"
    }

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(ByUserPickers))
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_the_applications_picks_by_what_it_likes() {
    let servers = [named("a"), named("b"), named("c")];
    let config = r#"{"loadBalancingConfig": [{"by_user": {}}]}"#;
    let backends = Backends::new(&servers.each_ref());
    let client = connected(backends.builder(config).balancer(ByUserBuilder)).await;
    let mut backends = HashMap::new();
    for user in ["0", "1", "2", "0", "1", "2"] {
        let call = async { client.unary(msg("")).metadata("user", user).await };
        let response = soon(call).await.expect("OK");
        let backend = text(response.message()).to_owned();
        let known = backends.entry(user).or_insert_with(|| backend.clone());
        assert_eq!(*known, backend, "{user}");
    }
    let mut backends: Vec<_> = backends.into_values().collect();
    backends.sort();
    assert_eq!(backends, ["a", "b", "c"]);
}

#[test]
fn a_policys_config_that_is_invalid_makes_no_channel() {
    let server_less = Backends(Arc::new(Mutex::new(vec![None])));
    for (policy, text) in [
        (
            r#"{"least_request_experimental": {"choiceCount": 1}}"#,
            "loadBalancingConfig[0].least_request_experimental.choiceCount: at least 2",
        ),
        (
            r#"{"weighted_round_robin": {"blackoutPeriod": 1}}"#,
            "loadBalancingConfig[0].weighted_round_robin.blackoutPeriod: a duration",
        ),
        (
            r#"{"round_robin": []}"#,
            "loadBalancingConfig[0].round_robin: an object",
        ),
    ] {
        let config = format!(r#"{{"loadBalancingConfig": [{policy}]}}"#);
        let error: BuildError = server_less
            .builder(&config)
            .build()
            .expect_err("an invalid policy");
        assert!(error.to_string().contains(text), "{policy}: {error}");
    }
}
