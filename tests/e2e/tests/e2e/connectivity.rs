//! The states of a channel: which follows which, and how they are watched, waited for and hurried.
//!
//! Source: `doc/connectivity-semantics-and-api.md`; gRFC A62; grpc-go's `TestStateTransitions_*`,
//! `TestResetConnectBackoff`.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};
use rgrpc::io::{Connected, Dial, Peer};
use rgrpc::{BackoffConfig, ClientConn, ClientConnBuilder, Code, ConnectivityState, credentials};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, channel_builder, msg, scripted, serve, settle,
    soon, unary,
};
use rgrpc_test_support::{ErrorCode, goaway};
use tokio::io::duplex;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn dialing(dialer: impl Dial) -> ClientConn {
    dialing_with(dialer, |builder| builder)
}

fn dialing_with(
    dialer: impl Dial,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> ClientConn {
    let builder = channel_builder("passthrough:///backend.test:1", credentials::insecure());
    options(builder.dialer(dialer))
        .build()
        .expect("valid options")
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "the cable is unplugged")
}

/// A dialer that takes a moment, so that watchers see every state, and fails the first `failures`
/// times. Where it says when it was asked.
fn failing(failures: usize, server: &TestServer) -> (impl Dial, Arc<Mutex<Vec<Instant>>>) {
    let times = Arc::new(Mutex::new(Vec::new()));
    let (record, connector) = (Arc::clone(&times), server.connector());
    let dialer = FnDialer::new(move |address| {
        let mut times = record.lock().expect("not poisoned");
        times.push(Instant::now());
        let fails = times.len() <= failures;
        let dial = connector.dial(address);
        async move {
            settle().await;
            if fails { Err(refused()) } else { dial.await }
        }
    });
    (dialer, times)
}

/// A dialer that never gets anywhere, and counts how often it was asked.
fn refusing() -> (impl Dial, Arc<AtomicUsize>) {
    let dials = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dials);
    let dialer = FnDialer::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async {
            settle().await;
            Err(refused())
        }
    });
    (dialer, dials)
}

/// The states that the channel is in from now on.
fn record(conn: &ClientConn) -> Arc<Mutex<Vec<ConnectivityState>>> {
    let states = Arc::new(Mutex::new(vec![conn.state()]));
    let (record, conn) = (Arc::clone(&states), conn.clone());
    tokio::spawn(async move {
        let mut state = conn.state();
        loop {
            state = conn.wait_for_state_change(state).await;
            record.lock().expect("not poisoned").push(state);
        }
    });
    states
}

/// Waits until the channel is in this state.
async fn reached(conn: &ClientConn, expected: ConnectivityState) {
    soon(async {
        let mut state = conn.state();
        while state != expected {
            state = conn.wait_for_state_change(state).await;
        }
    })
    .await;
    settle().await;
}

#[track_caller]
fn assert_states(states: &Mutex<Vec<ConnectivityState>>, expected: &[ConnectivityState]) {
    assert_eq!(*states.lock().expect("not poisoned"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_channel_stays_idle_until_it_is_told_to_connect() {
    let server = serve(StubService::echo());
    let (dialer, times) = failing(0, &server);
    let conn = dialing(dialer);
    let states = record(&conn);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(times.lock().expect("not poisoned").len(), 0);
    conn.connect().expect("in a runtime");
    reached(&conn, Ready).await;
    assert_states(&states, &[Idle, Connecting, Ready]);
    StubClient::new(conn).unary(msg("")).await.expect("OK");
    assert_eq!(times.lock().expect("not poisoned").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_an_idle_channel_through_connecting_to_ready() {
    let server = serve(StubService::echo());
    let (dialer, _) = failing(0, &server);
    let conn = dialing(dialer);
    let states = record(&conn);
    StubClient::new(conn.clone())
        .unary(msg(""))
        .await
        .expect("OK");
    settle().await;
    assert_states(&states, &[Idle, Connecting, Ready]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_lasts_through_further_attempts_until_one_succeeds() {
    let server = serve(StubService::echo());
    let (dialer, times) = failing(3, &server);
    let conn = dialing(dialer);
    let states = record(&conn);
    conn.connect().expect("in a runtime");
    reached(&conn, Ready).await;
    assert_eq!(times.lock().expect("not poisoned").len(), 4);
    assert_states(&states, &[Idle, Connecting, TransientFailure, Ready]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_or_says_nothing_is_a_failure() {
    for hangs_up in [true, false] {
        let conn = dialing(FnDialer::new(move |address| async move {
            settle().await;
            let (ours, theirs) = duplex(1024);
            if !hangs_up {
                tokio::spawn(async move {
                    let _kept = theirs;
                    pending::<()>().await;
                });
            }
            let peer = Peer::new(address.clone(), address);
            Ok(Connected::new(Box::new(ours), peer))
        }));
        let states = record(&conn);
        conn.connect().expect("in a runtime");
        reached(&conn, TransientFailure).await;
        assert_states(&states, &[Idle, Connecting, TransientFailure]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_loses_its_connection_is_idle_until_it_is_needed() {
    let (conn, mut server) = scripted();
    let states = record(&conn);
    conn.connect().expect("in a runtime");
    let peer = server.accept().await;
    reached(&conn, Ready).await;
    drop(peer);
    reached(&conn, Idle).await;
    sleep(Duration::from_secs(3600)).await;
    assert_states(&states, &[Idle, Connecting, Ready, Idle]);

    conn.connect().expect("in a runtime");
    let _peer = server.accept().await;
    reached(&conn, Ready).await;
    assert_states(&states, &[Idle, Connecting, Ready, Idle, Connecting, Ready]);
}

#[tokio::test(start_paused = true)]
async fn goaway_makes_a_channel_idle_with_and_without_calls() {
    for with_call in [false, true] {
        let (conn, mut server) = scripted();
        conn.connect().expect("in a runtime");
        let mut peer = server.accept().await;
        reached(&conn, Ready).await;
        let mut last_id = 0;
        let client = StubClient::new(conn.clone());
        let call = with_call.then(|| unary(&client, ""));
        if with_call {
            peer.expect_request(1).await;
            last_id = 1;
        }
        peer.send(goaway(last_id, ErrorCode::NO_ERROR)).await;
        reached(&conn, Idle).await;
        if let Some(call) = call {
            assert!(!call.is_finished(), "its connection takes no new calls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn closing_is_the_last_change_and_wakes_waiting_tasks() {
    let server = serve(StubService::echo());
    for connects in [false, true] {
        let conn = server.conn();
        if connects {
            let in_time = Instant::now() + SECOND;
            conn.wait_ready(in_time).await.expect("it connects");
        }
        let from = conn.state();
        let waiting = tokio::spawn({
            let conn = conn.clone();
            async move { conn.wait_for_state_change(from).await }
        });
        settle().await;
        assert!(!waiting.is_finished());
        conn.close();
        assert_eq!(conn.state(), Shutdown);
        assert_eq!(soon(waiting).await.expect("no panic"), Shutdown);

        conn.connect().expect("it does nothing");
        conn.reset_connect_backoff();
        let change = conn.wait_for_state_change(Shutdown);
        timeout(Duration::from_secs(3600), change)
            .await
            .expect_err("nothing follows");
        assert_eq!(conn.wait_for_state_change(from).await, Shutdown);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_misses_nothing_when_it_is_taken_up_again() {
    let server = serve(StubService::echo());
    let (dialer, _) = failing(0, &server);
    let conn = dialing(dialer);
    let change = conn.wait_for_state_change(Idle);
    timeout(SECOND, change).await.expect_err("it stays idle");
    conn.connect().expect("in a runtime");
    assert_eq!(soon(conn.wait_for_state_change(Idle)).await, Connecting);
    drop(conn.wait_for_state_change(Connecting));
    sleep(SECOND).await;
    assert_eq!(conn.wait_for_state_change(Connecting).await, Ready);
    assert_eq!(conn.wait_for_state_change(Idle).await, Ready, "at once");
}

#[test]
fn connecting_outside_of_a_runtime_is_an_error() {
    let conn = dialing(FnDialer::new(|_| pending()));
    let status = conn.connect().expect_err("there is no runtime");
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("tokio runtime"), "{status}");
    assert_eq!(conn.state(), Idle);
}

#[tokio::test(start_paused = true)]
async fn a_reset_cuts_a_wait_of_120_s_and_makes_the_next_begin_at_1_s() {
    let server = serve(StubService::echo());
    let (dialer, times) = failing(usize::MAX, &server);
    let conn = dialing_with(dialer, |builder| builder.idle_timeout(None));
    conn.connect().expect("in a runtime");
    let attempts = || times.lock().expect("not poisoned").len();
    // By then each wait is one of 96 s at least.
    sleep(Duration::from_secs(1000)).await;
    let before = attempts();
    while attempts() == before {
        sleep(SECOND).await;
    }
    let before = attempts();
    sleep(10 * SECOND).await;
    assert_eq!(attempts(), before, "it waits");
    conn.reset_connect_backoff();
    settle().await;
    assert_eq!(attempts(), before + 1);
    assert_eq!(conn.state(), TransientFailure);
    sleep(SECOND + Duration::from_millis(10)).await;
    assert_eq!(attempts(), before + 2, "1 s after the attempt");
}

#[tokio::test(start_paused = true)]
async fn a_reset_during_an_attempt_makes_the_next_wait_begin_at_1_s() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&times);
    let dialer = FnDialer::new(move |_| {
        record.lock().expect("not poisoned").push(Instant::now());
        async {
            sleep(5 * SECOND).await;
            Err(refused())
        }
    });
    let conn = dialing(dialer);
    conn.connect().expect("in a runtime");
    let attempts = || times.lock().expect("not poisoned").len();
    while attempts() < 8 {
        sleep(SECOND).await;
    }
    conn.reset_connect_backoff();
    while attempts() < 9 {
        sleep(SECOND).await;
    }
    let times = times.lock().expect("not poisoned");
    let [.., eighth, ninth] = times[..] else {
        unreachable!("there are nine");
    };
    assert_eq!(
        (ninth - eighth).as_secs(),
        6,
        "5 s the attempt, 1 s the wait"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_without_a_wait_changes_nothing() {
    let server = serve(StubService::echo());
    let (dialer, times) = failing(1, &server);
    let conn = dialing(dialer);
    conn.reset_connect_backoff();
    assert_eq!(conn.state(), Idle);
    conn.connect().expect("in a runtime");
    reached(&conn, Ready).await;
    conn.reset_connect_backoff();
    settle().await;
    assert_eq!(conn.state(), Ready);
    let times = times.lock().expect("not poisoned");
    assert_eq!((times[1] - times[0]).as_secs(), 1, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_ready_connects_and_outlasts_failures() {
    let server = serve(StubService::echo());
    let (dialer, _) = failing(3, &server);
    let conn = dialing(dialer);
    let begun = Instant::now();
    let deadline = begun + 60 * SECOND;
    conn.wait_ready(deadline).await.expect("the fourth attempt");
    assert_eq!(conn.state(), Ready);
    assert!((4..8).contains(&begun.elapsed().as_secs()), "{begun:?}");
    // Once it is so, even a deadline that has passed is met.
    conn.wait_ready(begun).await.expect("it is ready");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_while_waiting_for_ready_says_why_the_last_attempt_failed() {
    let (dialer, dials) = refusing();
    let conn = dialing(dialer);
    let deadline = Instant::now() + 10 * SECOND;
    let status = conn.wait_ready(deadline).await.expect_err("no server");
    assert_eq!(Instant::now().duration_since(deadline).as_secs(), 0);
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let attempt = format!("attempt {}", dials.load(Ordering::Relaxed));
    for part in [
        "passthrough:///backend.test:1",
        "not ready in time",
        "the cable is unplugged",
        &attempt,
    ] {
        assert!(status.message().contains(part), "{part}: {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_while_waiting_for_ready_says_that_no_attempt_has_ended() {
    let conn = dialing(FnDialer::new(|_| pending()));
    let deadline = Instant::now() + 5 * SECOND;
    let status = conn.wait_ready(deadline).await.expect_err("no answer");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let text = status.message();
    assert!(
        text.contains("it is CONNECTING, and no attempt to connect has failed"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_ready_ends_when_the_channel_is_closed() {
    let (dialer, _) = refusing();
    let conn = dialing(dialer);
    let waiting = tokio::spawn({
        let conn = conn.clone();
        async move { conn.wait_ready(Instant::now() + 60 * SECOND).await }
    });
    sleep(5 * SECOND).await;
    conn.close();
    let status = soon(waiting).await.expect("no panic").expect_err("closed");
    assert_eq!(status.code(), Code::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn the_backoff_is_as_the_option_says() {
    let server = serve(StubService::echo());
    let (dialer, times) = failing(5, &server);
    let conn = dialing_with(dialer, |builder| {
        builder.connect_backoff(BackoffConfig {
            base_delay: Duration::from_millis(100),
            multiplier: 2.0,
            jitter: 0.0,
            max_delay: Duration::from_millis(400),
        })
    });
    let in_time = Instant::now() + 10 * SECOND;
    conn.wait_ready(in_time).await.expect("the sixth attempt");
    let times = times.lock().expect("not poisoned");
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    for (gap, expected) in gaps.zip([100, 200, 400, 400, 400]) {
        // The attempt itself takes a moment.
        let gap = gap.as_millis();
        assert!((expected..expected + 10).contains(&gap), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_may_take_as_long_as_the_option_says() {
    let conn = dialing_with(FnDialer::new(|_| pending()), |builder| {
        let backoff = BackoffConfig {
            base_delay: Duration::from_millis(100),
            ..Default::default()
        };
        let timeout = Duration::from_millis(2500);
        builder
            .connect_backoff(backoff)
            .min_connect_timeout(timeout)
    });
    let begun = Instant::now();
    let status = StubClient::new(conn)
        .unary(msg(""))
        .await
        .expect_err("no answer");
    assert!((2500..2510).contains(&begun.elapsed().as_millis()));
    let cause = "connecting took longer than 2.5 s; the option is min_connect_timeout";
    assert!(status.message().contains(cause), "{status}");
}

#[test]
fn a_backoff_that_makes_no_sense_makes_no_channel() {
    let backoff = BackoffConfig {
        multiplier: 0.5,
        ..Default::default()
    };
    let error = channel_builder("localhost", credentials::insecure())
        .connect_backoff(backoff)
        .build()
        .expect_err("waits would become shorter");
    assert_eq!(
        error.to_string(),
        "multiplier: at least 1 is expected, got 0.5; the option is connect_backoff"
    );
}

#[tokio::test]
async fn the_debug_text_of_a_channel_has_its_state_and_its_subchannels_with_their_connections() {
    let server = serve(StubService::echo());
    let conn = dialing(server.connector());
    let text = format!("{conn:?}");
    let expected = r#"ClientConn { target: "passthrough:///backend.test:1", state: Idle, "#;
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("subchannels: []"), "{text}");
    let client = StubClient::new(conn.clone());
    client.unary(msg([])).await.expect("OK");
    let text = format!("{conn:?}");
    for part in [
        "state: Ready, subchannels: [Subchannel { id: ",
        "backend.test:1",
        "takes_calls: true, waiting_calls: 0",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    conn.close();
    let text = format!("{conn:?}");
    assert!(text.contains("state: Shutdown, subchannels: []"), "{text}");
}
