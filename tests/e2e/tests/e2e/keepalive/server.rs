//! Keepalive of a server and its policy on PINGs, against scripted clients in virtual time.

use std::time::Duration;

use rgrpc::keepalive::{EnforcementPolicy, ServerParameters};
use rgrpc::{Code, Response, Server, Status, Transport, credentials};
use rgrpc_e2e::{
    STUB_UNARY, StubClient, StubService, TestServer, channel_builder, framed, log, msg, new_server,
    serve_with, soon, unary,
};
use rgrpc_test_support::{ErrorCode, Frame, GoAway, WirePeer, data, grpc_request, ping, settings};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A server of the native transport.
fn native() -> Server {
    new_server().transport(Transport::Native)
}

/// Nothing but what a test sets.
fn off() -> ServerParameters {
    ServerParameters {
        time: Duration::MAX,
        ..ServerParameters::default()
    }
}

/// A client that answers nothing which the test does not answer.
async fn silent_client(server: &TestServer) -> WirePeer {
    let peer = WirePeer::client_with(server.io().await, settings()).await;
    peer.patience(3_600 * SECOND)
}

/// Makes a unary call.
async fn call(peer: &mut WirePeer, id: u32, body: &str) {
    peer.send(grpc_request(id, STUB_UNARY)).await;
    peer.send(data(id, framed(body)).end_stream()).await;
}

/// Reads on to the next GOAWAY, and skips other frames.
async fn next_goaway(peer: &mut WirePeer) -> GoAway {
    peer.skip_to("GOAWAY", |frame| match frame {
        Frame::GoAway(goaway) => Ok(goaway),
        other => Err(other),
    })
    .await
}

/// The connection has ended for too many PINGs.
async fn expect_too_many_pings(peer: &mut WirePeer) {
    let goaway = next_goaway(peer).await;
    assert_eq!(goaway.code, ErrorCode::ENHANCE_YOUR_CALM);
    assert_eq!(goaway.debug_data, "too_many_pings");
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn the_third_strike_ends_the_connection_and_cancels_its_calls() {
    let log = log();
    let (service, mut hangs) = StubService::hanging();
    let server = serve_with(native(), service);
    let mut peer = server.wire_client().await;
    call(&mut peer, 1, "hang").await;
    hangs.begun().await;
    // The first is never a strike.
    for n in 0..3 {
        peer.send(ping([n; 8])).await;
        peer.expect_ping_ack([n; 8]).await;
        sleep(SECOND).await;
    }
    peer.send(ping([3; 8])).await;
    expect_too_many_pings(&mut peer).await;
    hangs.dropped().await;
    let lines = log.take();
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(line.starts_with("WARN"), "{line}");
    assert!(line.contains("too many PINGs"), "{line}");
    assert!(line.contains("keepalive_enforcement"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn responses_clear_the_strikes() {
    let server = serve_with(native(), StubService::echo());
    let mut peer = server.wire_client().await;
    for n in 0..40_u32 {
        peer.send(ping([7; 8])).await;
        peer.expect_ping_ack([7; 8]).await;
        if n % 3 == 2 {
            let id = 2 * n + 1;
            call(&mut peer, id, "clear").await;
            peer.expect_response(id).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_calls_pings_need_the_permission_of_the_policy() {
    for (permit_without_stream, is_permitted) in [(false, false), (true, true)] {
        let policy = EnforcementPolicy {
            min_time: 10 * SECOND,
            permit_without_stream,
        };
        let server = serve_with(native().keepalive_enforcement(policy), StubService::echo());
        let mut peer = server.wire_client().await;
        for n in 0..10 {
            peer.send(ping([n; 8])).await;
            if n == 3 && !is_permitted {
                expect_too_many_pings(&mut peer).await;
                break;
            }
            peer.expect_ping_ack([n; 8]).await;
            sleep(10 * SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_loses_its_connection_and_its_calls() {
    let (service, mut hangs) = StubService::hanging();
    let keepalive = ServerParameters {
        time: 30 * SECOND,
        timeout: 5 * SECOND,
        ..ServerParameters::default()
    };
    let server = serve_with(native().keepalive(keepalive), service);
    let mut peer = silent_client(&server).await;
    let begun = Instant::now();
    call(&mut peer, 1, "hang").await;
    hangs.begun().await;
    let opaque = peer
        .skip_to("PING", |frame| match frame {
            Frame::Ping(ping) => Ok(ping.opaque),
            other => Err(other),
        })
        .await;
    assert_eq!(opaque, [0; 8]);
    assert_eq!(begun.elapsed().as_secs(), 30);
    hangs.dropped().await;
    assert_eq!(begun.elapsed().as_secs(), 35);
    peer.expect_goaway(ErrorCode::NO_ERROR).await;
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn by_default_a_client_without_calls_is_pinged_after_two_hours() {
    let server = serve_with(native(), StubService::echo());
    let mut peer = silent_client(&server).await.patience(10_000 * SECOND);
    let begun = Instant::now();
    peer.skip_to("PING", |frame| match frame {
        Frame::Ping(ping) => Ok(ping),
        other => Err(other),
    })
    .await;
    assert_eq!(begun.elapsed().as_secs(), 7_200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_calls_for_long_is_closed_gracefully() {
    let keepalive = ServerParameters {
        max_connection_idle: Some(60 * SECOND),
        ..off()
    };
    let server = serve_with(native().keepalive(keepalive), StubService::echo());
    let mut peer = server.wire_client().await.patience(3_600 * SECOND);
    let begun = Instant::now();
    for n in 0..3 {
        sleep(50 * SECOND).await;
        let id = 2 * n + 1;
        call(&mut peer, id, "busy").await;
        peer.expect_response(id).await;
    }
    let first = next_goaway(&mut peer).await;
    assert_eq!(begun.elapsed().as_secs(), 3 * 50 + 60);
    assert_eq!(first.debug_data, "max_idle");
    assert_eq!(first.code, ErrorCode::NO_ERROR);
    assert_eq!(first.last_stream_id, (1 << 31) - 1);
    let last = next_goaway(&mut peer).await;
    assert_eq!(last.last_stream_id, 5);
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_longer_than_the_bound_on_idleness_is_no_idleness() {
    let keepalive = ServerParameters {
        max_connection_idle: Some(60 * SECOND),
        ..off()
    };
    let service = StubService::new().unary(|_| async {
        sleep(600 * SECOND).await;
        Ok(Response::new(msg("done")))
    });
    let server = serve_with(native().keepalive(keepalive), service);
    let mut peer = server.wire_client().await.patience(3_600 * SECOND);
    call(&mut peer, 1, "slow").await;
    peer.expect_response(1).await;
    let ended = Instant::now();
    assert_eq!(next_goaway(&mut peer).await.debug_data, "max_idle");
    assert_eq!(ended.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn at_its_age_a_connection_drains_and_calls_end_within_the_grace() {
    let (service, mut hangs) = StubService::hanging();
    let keepalive = ServerParameters {
        max_connection_age: Some(100 * SECOND),
        max_connection_age_grace: Some(20 * SECOND),
        ..off()
    };
    let server = serve_with(native().keepalive(keepalive), service);
    let mut peer = server.wire_client().await.patience(3_600 * SECOND);
    let begun = Instant::now();
    call(&mut peer, 1, "hang").await;
    hangs.begun().await;
    let first = next_goaway(&mut peer).await;
    let age = begun.elapsed();
    assert!((90 * SECOND..=111 * SECOND).contains(&age), "{age:?}");
    assert_eq!(first.debug_data, "max_age");
    assert_eq!(first.last_stream_id, (1 << 31) - 1);
    assert_eq!(next_goaway(&mut peer).await.last_stream_id, 1);
    hangs.dropped().await;
    let end = begun.elapsed() - age;
    assert_eq!(end.as_secs(), 20);
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn the_ages_of_connections_differ() {
    let keepalive = ServerParameters {
        max_connection_age: Some(1_000 * SECOND),
        ..off()
    };
    let server = serve_with(native().keepalive(keepalive), StubService::echo());
    let begun = Instant::now();
    let mut ages = Vec::new();
    for _ in 0..10 {
        let mut peer = server.wire_client().await.patience(3_600 * SECOND);
        ages.push(tokio::spawn(async move {
            next_goaway(&mut peer).await;
            begun.elapsed()
        }));
    }
    let mut all = Vec::new();
    for age in ages {
        all.push(age.await.expect("no panic"));
    }
    all.sort();
    let (first, last) = (all[0], all[9]);
    assert!(first >= 900 * SECOND && last <= 1_101 * SECOND, "{all:?}");
    assert!(last - first > SECOND, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_of_ours_loses_no_call_to_the_age_of_its_connections() {
    let keepalive = ServerParameters {
        max_connection_age: Some(5 * SECOND),
        max_connection_age_grace: Some(5 * SECOND),
        ..off()
    };
    let service = StubService::new().unary(|_| async {
        sleep(SECOND / 4).await;
        Ok(Response::new(msg("done")))
    });
    let server = serve_with(native().keepalive(keepalive), service);
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .build()
        .expect("a valid channel");
    let client = StubClient::new(conn);
    let begun = Instant::now();
    while begun.elapsed() < 120 * SECOND {
        let call = unary(&client, "whatever the connection's age");
        soon(call)
            .await
            .expect("no panic")
            .expect("no call is lost");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_grace_are_unavailable_and_report_the_age() {
    let keepalive = ServerParameters {
        max_connection_age: Some(10 * SECOND),
        max_connection_age_grace: Some(SECOND),
        ..off()
    };
    let (service, _hangs) = StubService::hanging();
    let server = serve_with(native().keepalive(keepalive), service);
    let status: Status = soon(unary(&server.client(), "hang"))
        .await
        .expect("no panic")
        .expect_err("too long");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("max_age"), "{status}");
}
