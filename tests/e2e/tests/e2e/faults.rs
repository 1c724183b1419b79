//! Faults of resolvers and backends: the statuses that a channel gives, and that no call is lost.
//!
//! The checks at the creation of a channel are tested in `resolvers` and `service_config`.
//!
//! Source: gRFC A21; `doc/naming.md` of the gRPC documents; grpc-go's tests
//! `TestResolverUpdate_*`, `TestServiceConfigParseError*`.

use std::collections::HashMap;
use std::error::Error as _;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::io::{Address, Connected, Peer};
use rgrpc::resolver::{
    Resolver, ResolverBuilder, ResolverControl, ResolverError, ResolverFuture, ResolverOptions,
    Target,
};
use rgrpc::{Code, ServiceConfigError, Status, credentials};
use rgrpc_e2e::{
    FnDialer, Outcome, ScriptedServer, StubClient, answer, channel_builder, expect_text, framed,
    msg, scripted, settle, soon, text, unary,
};
use rgrpc_test_support::{
    ErrorCode, Event, Frame, WirePeer, data, goaway, grpc_response, grpc_trailers,
};
use tokio::io::duplex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{Cluster, TARGET, state};

const UNKNOWN_POLICY: &str = r#"{"loadBalancingConfig": [{"fastest": {}}]}"#;
const NO_JSON: &str = "{'loadBalancingConfig': []}";
const ONE_METHOD_TWICE: &str = r#"{"methodConfig": [{"name": [{"service": "s", "method": "m"}, {"service": "s", "method": "m"}]}]}"#;
const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// Service configs that are invalid, and what is said of each: where, and what.
const INVALID: [(&str, [&str; 2]); 3] = [
    (
        UNKNOWN_POLICY,
        [
            "loadBalancingConfig",
            "none of these policies is known: fastest",
        ],
    ),
    (NO_JSON, ["the service config", "is not JSON"]),
    (
        ONE_METHOD_TWICE,
        [
            "methodConfig[0].name[1]",
            "/s/m is configured a second time",
        ],
    ),
];

async fn call(client: &StubClient) -> Outcome {
    soon(async { client.unary(msg("")).await }).await
}

/// The backend that answers a call, which must succeed.
async fn answer_of(client: &StubClient) -> String {
    let response = call(client).await.expect("OK");
    text(response.message()).to_owned()
}

/// Asserts that a call fails with UNAVAILABLE and a text that has these parts.
async fn assert_unavailable(client: &StubClient, parts: &[&str]) {
    let status = call(client).await.expect_err("it cannot succeed");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    for part in parts {
        assert!(status.message().contains(part), "{part}: {status}");
    }
}

#[test]
fn an_invalid_default_config_makes_no_channel_and_says_where_it_is_wrong() {
    for (config, parts) in INVALID {
        let error = channel_builder("passthrough:///backend.test", credentials::insecure())
            .default_service_config(config)
            .build()
            .expect_err("invalid");
        for part in parts {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        let source = error.source().expect("a source");
        assert!(source.is::<ServiceConfigError>(), "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_first_config_of_the_resolver_fails_calls_until_a_good_one_comes() {
    for (config, parts) in INVALID {
        let cluster = Cluster::of(&["a"]);
        let client = StubClient::new(cluster.builder().build().expect("a valid channel"));
        let bad = state(&["a"]).with_service_config(config);
        cluster.resolver.update(bad);
        assert_unavailable(&client, &[TARGET, parts[0], parts[1]]).await;
        let refused = soon(cluster.resolver.taken()).await;
        let status = refused.expect_err("the resolver is told");
        assert!(status.message().contains(parts[1]), "{status}");

        let good = state(&["a"]).with_service_config(ROUND_ROBIN);
        cluster.resolver.update(good);
        soon(cluster.resolver.taken()).await.expect("usable");
        settle().await;
        assert_eq!(answer_of(&client).await, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_config_after_a_good_one_leaves_the_good_one_and_brings_its_backends() {
    for (config, _) in INVALID {
        let cluster = Cluster::of(&["a", "b", "c"]);
        let client = StubClient::new(cluster.builder().build().expect("a valid channel"));
        let good = state(&["a"]).with_service_config(ROUND_ROBIN);
        cluster.resolver.update(good);
        assert_eq!(answer_of(&client).await, "a");

        let bad = state(&["b", "c"]).with_service_config(config);
        cluster.resolver.update(bad);
        soon(cluster.resolver.taken()).await.expect("usable");
        settle().await;
        let mut answers = [answer_of(&client).await, answer_of(&client).await];
        answers.sort();
        // In turn, by the policy of the good config.
        assert_eq!(answers, ["b", "c"], "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_fails_calls_even_after_a_full_one_until_there_is_a_backend_again() {
    for config in ["{}", ROUND_ROBIN] {
        let cluster = Cluster::of(&["a"]);
        let builder = cluster.builder().default_service_config(config);
        let client = StubClient::new(builder.build().expect("a valid channel"));
        for _ in 0..2 {
            cluster.found(&[]);
            assert_unavailable(&client, &[TARGET, "has found no"]).await;
            let refused = soon(cluster.resolver.taken()).await;
            refused.expect_err("the resolver is told to look again");
            cluster.found(&["a"]);
            soon(cluster.resolver.taken()).await.expect("usable");
            settle().await;
            assert_eq!(answer_of(&client).await, "a");
            // So that the next call is not sent before the next update is seen.
            cluster.found(&[]);
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_flaps_fails_no_call_once_it_has_found_something() {
    let cluster = Cluster::of(&["a"]);
    let client = StubClient::new(cluster.builder().build().expect("a valid channel"));
    cluster
        .resolver
        .error(Status::internal("the registry is down"));
    assert_unavailable(&client, &[TARGET, "the registry is down"]).await;
    cluster.found(&["a"]);
    settle().await;
    for _ in 0..10 {
        let error = Status::internal("the registry is down");
        cluster.resolver.error(error);
        settle().await;
        assert_eq!(answer_of(&client).await, "a");
        cluster.found(&["a"]);
        settle().await;
        assert_eq!(answer_of(&client).await, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_resolver_that_never_answers_until_their_deadline() {
    let cluster = Cluster::of(&["a"]);
    let client = StubClient::new(cluster.builder().build().expect("a valid channel"));
    let begun = Instant::now();
    for wait_for_ready in [false, true] {
        let call = client.unary(msg("")).wait_for_ready(wait_for_ready);
        let status = call.timeout(Duration::from_secs(10)).await;
        let status = status.expect_err("nothing is found");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(status.message().contains("for the resolver"), "{status}");
    }
    assert_eq!(begun.elapsed().as_secs(), 20);

    // One that does not wait for ready has no other end than that, or the answer.
    let waiting = unary(&client, "");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(!waiting.is_finished());
    cluster.found(&["a"]);
    soon(waiting).await.expect("no panic").expect("OK");
}

/// A resolver that may send an update, and then ends or panics.
#[derive(Clone)]
struct Ends {
    says: Option<Result<&'static str, Status>>,
    panics: bool,
}

impl ResolverBuilder for Ends {
    fn scheme(&self) -> &'static str {
        "manual"
    }

    fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, ResolverError> {
        Ok(Box::new(self.clone()))
    }
}

impl Resolver for Ends {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move {
            match self.says {
                None => {}
                Some(Ok(name)) => control.update(state(&[name])).await.expect("usable"),
                Some(Err(error)) => control.error(error).await,
            }
            assert!(!self.panics, "the resolver panics, as the test wants it to");
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_update_of_a_resolver_that_ends_or_panics_holds() {
    for panics in [false, true] {
        let cluster = Cluster::of(&["a"]);
        let channel = |says| {
            let builder = cluster.builder().resolver(Ends { says, panics });
            StubClient::new(builder.build().expect("a valid channel"))
        };
        let why = if panics {
            "the resolver panicked; the log has its message"
        } else {
            "the resolver ended before it had found anything"
        };
        assert_unavailable(&channel(None), &[TARGET, why]).await;
        let error = Status::unavailable("the registry is down");
        let client = channel(Some(Err(error)));
        for _ in 0..2 {
            assert_unavailable(&client, &[TARGET, "the registry is down"]).await;
            settle().await;
        }
        let client = channel(Some(Ok("a")));
        for _ in 0..2 {
            assert_eq!(answer_of(&client).await, "a");
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_accepts_and_says_nothing_fails_calls_after_twenty_seconds() {
    let cluster = Cluster::new();
    cluster.found(&["silent"]);
    let dialer = FnDialer::new(|address: Address| async move {
        let (ours, theirs) = duplex(1024);
        tokio::spawn(async move {
            let _kept = theirs;
            pending::<()>().await;
        });
        let peer = Peer::new(address.clone(), address);
        Ok(Connected::new(Box::new(ours), peer))
    });
    let builder = cluster.builder().dialer(dialer);
    let client = StubClient::new(builder.build().expect("a valid channel"));
    let begun = Instant::now();
    let cause = "silent: no HTTP/2 SETTINGS came from the server within 20 s of the attempt to connect; \
                 the option is min_connect_timeout";
    assert_unavailable(&client, &[TARGET, cause, "attempt 1", "next in"]).await;
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_answers_a_call_costs_it_its_deadline_alone() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = client.unary(msg("")).timeout(Duration::from_secs(5));
    let (status, mut peer) = tokio::join!(async { call.await }, async {
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        peer
    });
    let status = status.expect_err("nobody answers");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    let next = unary(&client, "");
    peer.expect_request(3).await;
    answer(&mut peer, 3, "here").await;
    expect_text(next, "here").await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_dies_in_the_middle_of_a_stream_ends_it_with_unavailable() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let stream = tokio::spawn({
        let client = client.clone();
        async move { client.server_streaming(msg("")).await }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("first"))).await;
    let mut responses = soon(stream).await.expect("no panic").expect("a stream");
    let first = soon(responses.recv()).await.expect("it is there");
    assert_eq!(first, Some(msg("first")));
    drop(peer);
    // Data that was sent is not sent again: another connection does not help.
    let status = soon(responses.recv()).await.expect_err("the backend died");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("connection"), "{status}");

    let next = unary(&client, "");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    answer(&mut peer, 1, "again").await;
    expect_text(next, "again").await;
}

/// The fault of a backend at its third call.
#[derive(Clone, Copy, Debug)]
enum Third {
    /// GOAWAY; the call is among those that it still takes.
    TakenAndGoAway,
    /// GOAWAY; the call is the first that it does not take.
    GoAwayInstead,
    /// It takes the call and dies. Other calls have been answered.
    Dies,
}

/// The number of times that the backends have taken each call, by the payload of its request.
type Taken = Arc<Mutex<HashMap<Vec<u8>, usize>>>;

/// Answers the calls of a connection with their own payload, and goes wrong at the third.
async fn misbehave(mut peer: WirePeer, third: Third, taken: Taken) {
    let mut calls = 0;
    loop {
        let request = match peer.next_event().await {
            Event::Frame(Frame::Data(frame)) if frame.end_stream => frame,
            Event::Frame(_) => continue,
            Event::Eof | Event::Broken(_) | Event::Nothing => return,
        };
        calls += 1;
        let stream_id = request.stream_id;
        let is_taken = match (calls, third) {
            (3, Third::TakenAndGoAway) => {
                let _ = peer.try_send(goaway(stream_id, ErrorCode::NO_ERROR)).await;
                true
            }
            (3, Third::GoAwayInstead) => {
                let last = goaway(stream_id - 2, ErrorCode::NO_ERROR);
                let _ = peer.try_send(last).await;
                false
            }
            // Those that were sent before the client had read it.
            (4.., _) => false,
            _ => true,
        };
        if !is_taken {
            continue;
        }
        let payload = request.payload.to_vec();
        *taken
            .lock()
            .expect("not poisoned")
            .entry(payload)
            .or_default() += 1;
        if calls == 3 && matches!(third, Third::Dies) {
            return;
        }
        // The client may have gone.
        let _ = peer.try_send(grpc_response(stream_id)).await;
        let _ = peer.try_send(data(stream_id, request.payload)).await;
        let _ = peer.try_send(grpc_trailers(stream_id, 0)).await;
    }
}

/// A backend whose connections go wrong in these ways in turn.
async fn accept_all(mut server: ScriptedServer, thirds: &'static [Third], taken: Taken) {
    for third in thirds.iter().cycle() {
        let peer = server.accept().await;
        tokio::spawn(misbehave(peer, *third, Arc::clone(&taken)));
    }
}

/// Makes `calls` calls, three at a time. Returns the outcome of each, by its number, and the number
/// of times that the backend has taken each.
async fn through(thirds: &'static [Third], calls: u32) -> (Vec<Outcome>, Vec<usize>) {
    let (conn, server) = scripted();
    let taken = Taken::default();
    let backend = tokio::spawn(accept_all(server, thirds, Arc::clone(&taken)));
    let client = StubClient::new(conn);
    let numbers = Arc::new(Mutex::new(0..calls));
    let mut callers = JoinSet::new();
    for _ in 0..3 {
        let (client, numbers) = (client.clone(), Arc::clone(&numbers));
        callers.spawn(async move {
            let mut outcomes = Vec::new();
            loop {
                let number = numbers.lock().expect("not poisoned").next();
                let Some(number) = number else {
                    return outcomes;
                };
                let body = number.to_string();
                let outcome = soon(async { client.unary(msg(&body)).await }).await;
                outcomes.push((number, outcome));
            }
        });
    }
    let mut outcomes: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    backend.abort();
    outcomes.sort_by_key(|(number, _)| *number);
    assert!(outcomes.iter().map(|(number, _)| *number).eq(0..calls));
    let taken = taken.lock().expect("not poisoned");
    let times = |number: u32| {
        let payload = framed(number.to_string()).to_vec();
        taken.get(&payload).copied().unwrap_or_default()
    };
    let times = (0..calls).map(times).collect();
    let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    (outcomes, times)
}

const CALLS: u32 = 600;

/// Asserts that the call was answered with its own text.
fn assert_answered(number: usize, outcome: &Outcome) {
    let response = outcome.as_ref().unwrap_or_else(|e| panic!("{number}: {e}"));
    assert_eq!(text(response.message()), number.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_goes_away_at_every_third_call_loses_none_and_is_given_none_twice() {
    let thirds = &[Third::TakenAndGoAway, Third::GoAwayInstead];
    let (outcomes, taken) = through(thirds, CALLS).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_answered(number, outcome);
        assert_eq!(taken[number], 1, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_calls_through_all_faults_each_has_one_result_and_none_is_given_twice() {
    let thirds = &[Third::TakenAndGoAway, Third::Dies, Third::GoAwayInstead];
    let (outcomes, taken) = through(thirds, CALLS).await;
    let mut failures = 0;
    for (number, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(_) => {
                assert_answered(number, outcome);
                assert_eq!(taken[number], 1, "{number}");
            }
            Err(status) => {
                failures += 1;
                assert_eq!(status.code(), Code::Unavailable, "{number}: {status}");
                // It is not known whether the backend has done it.
                assert!(taken[number] <= 1, "{number}: {} times", taken[number]);
            }
        }
    }
    assert!(failures > 0, "some are lost with their connection");
    assert!(failures < outcomes.len() / 2, "{failures} failures");
}
