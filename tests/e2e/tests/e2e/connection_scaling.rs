//! More than one connection to an address, where the server's limit of streams is used up.
//!
//! Source: gRFC A105.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::io::Dial;
use rgrpc::{ClientConn, ClientConnBuilder, Code, ConnectivityState, credentials};
use rgrpc_e2e::{
    FnDialer, HangWatch, Outcome, StubClient, StubService, TestServer, answer, channel_builder,
    expect_text, msg, native, new_server, scripted_by, serve_with, settle, soon, unary,
};
use rgrpc_test_support::{ErrorCode, goaway, settings};
use tokio::task::JoinHandle;

const FOUR: &str = r#"{"connectionScaling": {"maxConnectionsPerSubchannel": 4}}"#;

/// A server that allows this many streams on a connection.
fn serve_limited(streams: u32, service: StubService) -> TestServer {
    serve_with(new_server().max_concurrent_streams(streams), service)
}

/// A channel to a server, and how many connections it has made.
fn connect(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> (ClientConn, Arc<AtomicUsize>) {
    let dials = Arc::new(AtomicUsize::new(0));
    let (counter, connector) = (Arc::clone(&dials), server.connector());
    let dialer = FnDialer::new(move |address| {
        counter.fetch_add(1, Ordering::Relaxed);
        connector.dial(address)
    });
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
    let conn = options(builder.dialer(dialer)).build().expect("valid");
    (conn, dials)
}

fn calls(conn: &ClientConn, count: usize) -> Vec<JoinHandle<Outcome>> {
    let client = StubClient::new(conn.clone());
    (0..count).map(|_| unary(&client, "")).collect()
}

async fn begun(watch: &mut HangWatch, count: usize) {
    for _ in 0..count {
        watch.begun().await;
    }
    settle().await;
    assert!(watch.is_quiet(), "no more than {count} calls have begun");
}

#[tokio::test(start_paused = true)]
async fn calls_over_the_limit_go_over_more_connections() {
    let (service, mut watch) = StubService::hanging();
    let server = serve_limited(2, service);
    let (conn, dials) = connect(&server, |builder| builder.default_service_config(FOUR));
    let calls = calls(&conn, 5);
    begun(&mut watch, 5).await;
    assert_eq!(dials.load(Ordering::Relaxed), 3);
    assert_eq!(conn.calls_waiting_for_streams(), 0);
    calls.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn without_it_calls_wait_on_one_connection() {
    let (service, mut watch) = StubService::hanging();
    let server = serve_limited(2, service);
    for config in ["{}", r#"{"connectionScaling": {}}"#] {
        let (conn, dials) = connect(&server, |builder| builder.default_service_config(config));
        let calls = calls(&conn, 5);
        begun(&mut watch, 2).await;
        assert_eq!(dials.load(Ordering::Relaxed), 1);
        if native() {
            assert_eq!(conn.calls_waiting_for_streams(), 3);
        }
        calls.iter().for_each(JoinHandle::abort);
        settle().await;
        // On h2 calls that were given up begin, and end at once.
        let (begun, dropped) = watch.counts();
        assert_eq!(dropped, begun + 2);
    }
}

#[tokio::test(start_paused = true)]
async fn when_there_may_be_no_more_connections_calls_wait_in_their_order() {
    let (service, mut watch) = StubService::hanging();
    let server = serve_limited(1, service);
    let (conn, dials) = connect(&server, |builder| {
        let two = NonZeroUsize::new(2).expect("not 0");
        builder
            .default_service_config(FOUR)
            .max_connections_per_subchannel(two)
    });
    let mut calls = calls(&conn, 5);
    begun(&mut watch, 2).await;
    assert_eq!(dials.load(Ordering::Relaxed), 2);
    assert_eq!(conn.calls_waiting_for_streams(), 3);
    // The first of those that wait gives up: the second is next.
    calls.remove(2).abort();
    settle().await;
    assert_eq!(conn.calls_waiting_for_streams(), 2);
    calls.remove(0).abort();
    settle().await;
    assert_eq!(watch.counts(), (1, 1), "one for the other");
    assert_eq!(conn.calls_waiting_for_streams(), 1);
    assert_eq!(dials.load(Ordering::Relaxed), 2);
    calls.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_stream_ends_with_its_deadline() {
    let (service, mut watch) = StubService::hanging();
    let server = serve_limited(1, service);
    let one = |builder: ClientConnBuilder| {
        builder
            .default_service_config(FOUR)
            .max_connections_per_subchannel(NonZeroUsize::MIN.saturating_add(1))
    };
    let (conn, _) = connect(&server, one);
    let calls = calls(&conn, 2);
    begun(&mut watch, 2).await;
    let client = StubClient::new(conn.clone());
    let late = client.unary(msg("")).timeout(Duration::from_secs(1));
    let status = soon(async { late.await }).await.expect_err("late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(conn.calls_waiting_for_streams(), 0);
    calls.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_take_what_a_raised_limit_allows() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        let two = NonZeroUsize::new(2).expect("not 0");
        builder
            .default_service_config(FOUR)
            .max_connections_per_subchannel(two)
    });
    let one = || settings().max_concurrent_streams(1);
    let client = StubClient::new(conn.clone());
    let first = unary(&client, "");
    let mut old = server.accept_with(one()).await.housekeeping();
    old.expect_request(1).await;
    let second = unary(&client, "");
    let mut new = server.accept_with(one()).await;
    new.expect_request(1).await;
    let third = unary(&client, "");
    settle().await;
    old.send(settings().max_concurrent_streams(2)).await;
    old.expect_request(3).await;
    for call in [first, second, third] {
        call.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_goes_away_leaves_the_others_to_the_calls() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.default_service_config(FOUR)
    });
    let one = || settings().max_concurrent_streams(1);
    let client = StubClient::new(conn.clone());
    let first = unary(&client, "");
    let mut old = server.accept_with(one()).await;
    old.expect_request(1).await;
    let second = unary(&client, "");
    let mut new = server.accept_with(one()).await;
    new.expect_request(1).await;
    old.send(goaway(1, ErrorCode::NO_ERROR)).await;
    settle().await;
    assert_eq!(conn.state(), ConnectivityState::Ready);
    answer(&mut new, 1, "second").await;
    expect_text(second, "second").await;
    let third = unary(&client, "");
    new.expect_request(3).await;
    answer(&mut new, 3, "third").await;
    expect_text(third, "third").await;
    answer(&mut old, 1, "first").await;
    expect_text(first, "first").await;
}
