//! A channel without calls closes its connection after a while, and connects again when it is
//! needed.
//!
//! Source: grpc-go `WithIdleTimeout` and its `TestChannelIdleness_*`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::ConnectivityState::{Idle, Ready, TransientFailure};
use rgrpc::io::Dial;
use rgrpc::{ClientConn, ClientConnBuilder, Code, credentials};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, answer, channel_builder, expect_text, msg,
    native, scripted_by, serve, settle, soon, unary,
};
use rgrpc_test_support::{Frame, WirePeer};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A channel to the server with this idle timeout, and how many connections it has made.
fn channel(
    server: &TestServer,
    timeout: impl Into<Option<Duration>>,
) -> (ClientConn, Arc<AtomicUsize>) {
    channel_with(server, |builder| builder.idle_timeout(timeout))
}

fn channel_with(
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

async fn call(conn: &ClientConn) {
    let client = StubClient::new(conn.clone());
    client.unary(msg("")).await.expect("OK");
}

/// Waits until the other side has closed the connection; the native engine says so before.
async fn expect_the_end(peer: &mut WirePeer) {
    if native() {
        peer.skip_to("GOAWAY", |frame| match frame {
            Frame::GoAway(goaway) => Ok(goaway),
            other => Err(other),
        })
        .await;
    }
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_without_calls_closes_its_connection_and_the_next_call_makes_another() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.idle_timeout(10 * SECOND)
    });
    for _ in 0..2 {
        let client = StubClient::new(conn.clone());
        let call = unary(&client, "");
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        answer(&mut peer, 1, "").await;
        expect_text(call, "").await;
        assert_eq!(conn.state(), Ready);
        let ended = Instant::now();
        soon(conn.wait_for_state_change(Ready)).await;
        assert_eq!(conn.state(), Idle);
        assert_eq!(ended.elapsed().as_secs(), 10);
        expect_the_end(&mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_is_30_minutes_unless_an_option_says_otherwise() {
    let server = serve(StubService::echo());
    let (conn, _) = channel_with(&server, |builder| builder);
    call(&conn).await;
    sleep(Duration::from_secs(30 * 60 - 1)).await;
    assert_eq!(conn.state(), Ready);
    sleep(2 * SECOND).await;
    assert_eq!(conn.state(), Idle);
}

#[tokio::test(start_paused = true)]
async fn none_and_zero_mean_never() {
    let server = serve(StubService::echo());
    for timeout in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let (conn, dials) = channel(&server, timeout);
        call(&conn).await;
        sleep(Duration::from_secs(365 * 24 * 3600)).await;
        assert_eq!(conn.state(), Ready, "{timeout:?}");
        assert_eq!(dials.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_told_to_connect_and_has_no_calls_goes_idle() {
    let server = serve(StubService::echo());
    let (conn, dials) = channel(&server, 10 * SECOND);
    for round in 1..=3 {
        conn.connect().expect("in a runtime");
        sleep(9 * SECOND).await;
        assert_eq!(conn.state(), Ready);
        sleep(2 * SECOND).await;
        assert_eq!(conn.state(), Idle);
        assert_eq!(dials.load(Ordering::Relaxed), round);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_flight_keeps_the_connection_and_the_time_runs_from_its_end() {
    let server = serve(StubService::echo());
    let (conn, dials) = channel(&server, 10 * SECOND);
    let client = StubClient::new(conn.clone());
    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    sleep(1003 * SECOND).await;
    assert_eq!(conn.state(), Ready);
    requests.send(msg("still")).await.expect("sent");
    let echoed = responses.recv().await.expect("OK");
    assert_eq!(echoed, Some(msg("still")));

    requests.close();
    assert_eq!(responses.recv().await.expect("OK"), None);
    // The halves are kept: what counts is that the call has ended.
    let ended = Instant::now();
    soon(conn.wait_for_state_change(Ready)).await;
    assert_eq!(conn.state(), Idle);
    assert_eq!(ended.elapsed().as_secs(), 10);
    assert_eq!(dials.load(Ordering::Relaxed), 1);
    drop((requests, responses));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_counts_no_more() {
    let server = serve(StubService::echo());
    let (conn, _) = channel(&server, 10 * SECOND);
    let client = StubClient::new(conn.clone());
    let halves = client.bidi_streaming().await.expect("a stream");
    sleep(25 * SECOND).await;
    assert_eq!(conn.state(), Ready);
    drop(halves);
    let ended = Instant::now();
    soon(conn.wait_for_state_change(Ready)).await;
    assert_eq!(ended.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn calls_now_and_then_keep_the_connection() {
    let server = serve(StubService::echo());
    let (conn, dials) = channel(&server, 10 * SECOND);
    for _ in 0..50 {
        call(&conn).await;
        sleep(9 * SECOND).await;
        assert_eq!(conn.state(), Ready);
    }
    assert_eq!(dials.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_cannot_connect_stops_trying_but_not_while_a_call_waits() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dials);
    let dialer = FnDialer::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) }
    });
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(dialer)
        .idle_timeout(60 * SECOND)
        .build()
        .expect("valid");
    let client = StubClient::new(conn.clone());
    let waiting = client.unary(msg("")).wait_for_ready(true);
    let waiting = waiting.timeout(Duration::from_secs(3600)).await;
    let status = waiting.expect_err("there is no server");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(conn.state(), TransientFailure);
    assert!(dials.load(Ordering::Relaxed) > 30);

    sleep(61 * SECOND).await;
    assert_eq!(conn.state(), Idle);
    let before = dials.load(Ordering::Relaxed);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(dials.load(Ordering::Relaxed), before);
    client.unary(msg("")).await.expect_err("it tries again");
    assert_eq!(dials.load(Ordering::Relaxed), before + 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_never_reach_a_server_count_until_they_end() {
    let server = serve(StubService::echo());
    let dials = Arc::new(AtomicUsize::new(0));
    let (counter, connector) = (Arc::clone(&dials), server.connector());
    let dialer = FnDialer::new(move |address| {
        let dial = connector.dial(address);
        let slow = counter.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if slow {
                sleep(15 * SECOND).await;
            }
            dial.await
        }
    });
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(dialer)
        .idle_timeout(10 * SECOND)
        .build()
        .expect("valid");
    let client = StubClient::new(conn.clone());
    let call = client.unary(msg("")).timeout(SECOND).await;
    let status = call.expect_err("the attempt takes longer");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // 10 s after that the attempt is given up.
    sleep(20 * SECOND).await;
    assert_eq!(conn.state(), Idle);
    client.unary(msg("")).await.expect("the second attempt");
    assert_eq!(dials.load(Ordering::Relaxed), 2);
}

/// Races idle mode against new calls: a call keeps the channel or connects again, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_fails_because_the_channel_goes_idle_at_that_moment() {
    let server = serve(StubService::echo());
    let (conn, dials) = channel(&server, Duration::from_millis(1));
    let calls: Vec<_> = (0..4_u64)
        .map(|caller| {
            let client = StubClient::new(conn.clone());
            tokio::spawn(async move {
                for call in 0..100_u64 {
                    // Most come 1 ms after the last, give or take what a timer does.
                    let pause = 900 + (caller * 37 + call * 61) % 700;
                    sleep(Duration::from_micros(pause * (1 + call % 3))).await;
                    if call % 2 == 0 {
                        client.unary(msg("")).await.expect("OK");
                    } else {
                        let (mut requests, mut responses) =
                            client.bidi_streaming().await.expect("a stream");
                        requests.send(msg("a")).await.expect("sent");
                        requests.close();
                        let echoed = responses.recv().await.expect("OK");
                        assert_eq!(echoed, Some(msg("a")));
                        assert_eq!(responses.recv().await.expect("OK"), None);
                    }
                }
            })
        })
        .collect();
    for calls in calls {
        soon(calls).await.expect("all calls are OK");
    }
    assert!(dials.load(Ordering::Relaxed) > 1, "it was idle in between");
    settle().await;
}
