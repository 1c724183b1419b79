//! The end of an attempt, as its stats handler and the callback of its pick hear it: once, with the
//! status of the call when its deadline or its cancel handle has ended that.
//!
//! Source: grpc-go `csAttempt.finish`, `balancer.DoneInfo`, `stats.End`.

use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BaseBalancer, ChannelControl, DoneInfo,
    EndpointChild, PickInfo, PickResult, Picker, PickerBuilder,
};
use rgrpc::credentials::{MetadataFuture, PerRpcCredentials, RequestInfo, SecurityLevel};
use rgrpc::stats::{AttemptBegin, CallBegin, CallEvent, CallStats, StatsHandler};
use rgrpc::{CancelHandle, ClientConn, ClientConnBuilder, Code, Status, credentials};
use rgrpc_e2e::{
    StubClient, StubService, TestServer, channel_builder, msg, new_server, serve_with, settle, soon,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// The ends of attempts, as the policy `listening` and a stats handler have heard them.
#[derive(Clone, Default)]
struct Ends {
    picks: Arc<Mutex<usize>>,
    /// Each with its text, and whether it was sent.
    of_picks: Arc<Mutex<Vec<(Code, String, bool)>>>,
    of_stats: Arc<Mutex<Vec<(Code, String)>>>,
}

impl Ends {
    /// The ends since the last time, which both have heard alike: each with its text, and whether
    /// it was sent.
    fn take(&self) -> Vec<(Code, String, bool)> {
        let of_picks = std::mem::take(&mut *self.of_picks.lock().expect("no panic"));
        let of_stats = std::mem::take(&mut *self.of_stats.lock().expect("no panic"));
        let alike = of_picks.iter().map(|(code, text, _)| (*code, text.clone()));
        assert_eq!(alike.collect::<Vec<_>>(), of_stats);
        of_picks
    }

    fn picks(&self) -> usize {
        *self.picks.lock().expect("no panic")
    }
}

impl BalancerBuilder for Ends {
    fn name(&self) -> &'static str {
        "listening"
    }

    fn build(&self, _: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(self.clone()))
    }
}

impl PickerBuilder for Ends {
    fn build(&mut self, ready: &[&EndpointChild], _: &mut dyn ChannelControl) -> Arc<dyn Picker> {
        Arc::new(ListeningPicker {
            child: Arc::clone(ready[0].picker()),
            ends: self.clone(),
        })
    }
}

struct ListeningPicker {
    child: Arc<dyn Picker>,
    ends: Ends,
}

impl Picker for ListeningPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let PickResult::Pick(pick) = self.child.pick(call) else {
            return PickResult::Queue;
        };
        *self.ends.picks.lock().expect("no panic") += 1;
        let heard = Arc::clone(&self.ends.of_picks);
        PickResult::Pick(pick.on_done(move |done: &DoneInfo<'_>| {
            let (code, text) = seen(done.failure);
            let mut heard = heard.lock().expect("no panic");
            heard.push((code, text, done.bytes_sent));
        }))
    }
}

fn seen(failure: Option<&Status>) -> (Code, String) {
    let text = failure.map_or("", Status::message);
    (failure.map_or(Code::Ok, Status::code), text.to_owned())
}

impl StatsHandler for Ends {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::new(OfCall(self.clone())))
    }
}

struct OfCall(Ends);

impl CallStats for OfCall {
    fn event(&self, _: &CallEvent<'_>) {}

    fn begin_attempt(&self, _: &mut AttemptBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::new(OfAttempt(self.0.clone())))
    }
}

struct OfAttempt(Ends);

impl CallStats for OfAttempt {
    fn event(&self, event: &CallEvent<'_>) {
        if let CallEvent::End(outcome) = event {
            let mut heard = self.0.of_stats.lock().expect("no panic");
            heard.push(seen(outcome.status().err()));
        }
    }
}

/// A ready channel by the policy `listening` to a server that allows this many streams and answers
/// nothing.
async fn ready(
    streams: u32,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> (TestServer, ClientConn, Ends) {
    let (service, _) = StubService::hanging();
    let server = serve_with(new_server().max_concurrent_streams(streams), service);
    let ends = Ends::default();
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .balancer(ends.clone())
        .stats_handler(ends.clone())
        .default_service_config(r#"{"loadBalancingConfig": [{"listening": {}}]}"#);
    let conn = options(builder).build().expect("valid");
    let deadline = Instant::now() + Duration::from_secs(30);
    soon(conn.wait_ready(deadline)).await.expect("it connects");
    (server, conn, ends)
}

/// The end of the one attempt at a call that has ended with this status.
fn one_end(ends: &Ends, status: &Status, was_sent: bool) {
    let expected = (status.code(), status.message().to_owned(), was_sent);
    assert_eq!(ends.take(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_for_the_answer_ends_with_the_status_of_its_call() {
    let (_server, conn, ends) = ready(100, |builder| builder).await;
    let client = StubClient::new(conn);
    let status = client.unary(msg("")).timeout(SECOND).await;
    let status = status.expect_err("late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    one_end(&ends, &status, true);

    let handle = CancelHandle::new();
    let (cancelled, canceller) = (client.clone(), handle.clone());
    let call = async move { cancelled.unary(msg("")).cancel_handle(&canceller).await };
    let call = tokio::spawn(call);
    settle().await;
    handle.cancel();
    let status = call.await.expect("no panic").expect_err("cancelled");
    assert!(status.message().contains("cancel handle"), "{status}");
    one_end(&ends, &status, true);

    let call = client.clone();
    let call = tokio::spawn(async move { call.unary(msg("")).await });
    settle().await;
    call.abort();
    settle().await;
    let [(Code::Cancelled, _, true)] = ends.take()[..] else {
        panic!("one end of a dropped call");
    };
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_a_stream_ends_with_the_status_of_its_call_also_when_nobody_polls() {
    let (_server, conn, ends) = ready(100, |builder| builder).await;
    let client = StubClient::new(conn);
    for polls in [true, false] {
        let call = client.bidi_streaming().timeout(SECOND);
        let (requests, mut responses) = call.await.expect("begun");
        if polls {
            let status = responses.recv().await.expect_err("late");
            assert_eq!(status.code(), Code::DeadlineExceeded);
            one_end(&ends, &status, true);
        } else {
            tokio::time::sleep(2 * SECOND).await;
            let [(Code::DeadlineExceeded, _, true)] = ends.take()[..] else {
                panic!("one end, at the deadline");
            };
        }
        drop((requests, responses));
        assert_eq!(ends.take(), [], "once");
    }
}

#[tokio::test(start_paused = true)]
async fn hedges_end_with_the_status_of_their_call() {
    const HEDGED: &str = r#"{
        "loadBalancingConfig": [{"listening": {}}],
        "methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.4s"}}]
    }"#;
    let (_server, conn, ends) = ready(100, |builder| builder.default_service_config(HEDGED)).await;
    let client = StubClient::new(conn);
    let status = client.unary(msg("")).timeout(SECOND).await;
    let status = status.expect_err("late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let text = status.message().to_owned();
    let end = (Code::DeadlineExceeded, text, true);
    assert_eq!(ends.take(), [end.clone(), end.clone(), end]);
}

/// Credentials that make nothing, ever.
struct Never;

impl PerRpcCredentials for Never {
    fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
        Box::pin(pending())
    }

    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::NoSecurity
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_for_its_credentials_ends_with_the_status_of_its_call() {
    let (_server, conn, ends) = ready(100, |builder| builder.per_rpc_credentials(Never)).await;
    let client = StubClient::new(conn);
    let status = client.unary(msg("")).timeout(SECOND).await;
    one_end(&ends, &status.expect_err("late"), false);
    let stream = client.bidi_streaming().timeout(SECOND).await;
    one_end(&ends, &stream.map(drop).expect_err("late"), false);
}

/// Allows two connections to a backend.
fn two_connections(builder: ClientConnBuilder) -> ClientConnBuilder {
    const FOUR: &str = r#"{
        "loadBalancingConfig": [{"listening": {}}],
        "connectionScaling": {"maxConnectionsPerSubchannel": 4}
    }"#;
    builder
        .default_service_config(FOUR)
        .max_connections_per_subchannel(NonZeroUsize::MIN.saturating_add(1))
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_for_a_stream_is_one_pick_and_ends_once() {
    let (_server, conn, ends) = ready(1, two_connections).await;
    let client = StubClient::new(conn.clone());
    let unary = || {
        let client = client.clone();
        tokio::spawn(async move { client.unary(msg("")).await })
    };
    let begun = [unary(), unary()];
    settle().await;
    let waiting = unary();
    settle().await;
    assert_eq!(conn.calls_waiting_for_streams(), 1);
    assert_eq!(ends.picks(), 3, "one each");
    assert_eq!(ends.take(), []);

    let status = client.unary(msg("")).timeout(SECOND).await;
    let status = status.expect_err("late");
    assert!(status.message().contains("a stream"), "{status}");
    one_end(&ends, &status, false);
    assert_eq!(ends.picks(), 4);

    // The one that waits gets the stream of another.
    let [first, second] = begun;
    first.abort();
    settle().await;
    assert_eq!(conn.calls_waiting_for_streams(), 0);
    let [(Code::Cancelled, _, true)] = ends.take()[..] else {
        panic!("the one that was dropped ends");
    };
    waiting.abort();
    settle().await;
    let [(Code::Cancelled, _, true)] = ends.take()[..] else {
        panic!("it was sent");
    };
    assert_eq!(ends.picks(), 4);
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_for_a_connection_ends_with_the_status_of_its_call() {
    let ends = Ends::default();
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(rgrpc_e2e::FnDialer::new(|_| {
            pending::<std::io::Result<rgrpc::io::Connected>>()
        }))
        .stats_handler(ends.clone())
        .build();
    let client = StubClient::new(conn.expect("valid"));
    let of_attempt = || std::mem::take(&mut *ends.of_stats.lock().expect("no panic"));
    let status = client.unary(msg("")).timeout(SECOND).await;
    assert_eq!(of_attempt(), [seen(status.as_ref().err())]);
    let stream = client.bidi_streaming().timeout(SECOND).await.map(drop);
    assert_eq!(of_attempt(), [seen(stream.as_ref().err())]);
    assert_eq!(seen(stream.as_ref().err()).0, Code::DeadlineExceeded);
}
