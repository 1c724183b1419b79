//! GOAWAY and refused streams: what goes on, what goes elsewhere, what is retried.
//!
//! Source: gRFC A6 (transparent retries, which are bounded by an option here); grpc-go's
//! `TestServerGoAwayPendingRPC`, `TestGoAwayThenClose`,
//! `TestDetailedGoAwayErrorOnAbruptClosePropagatesToRPCError`.

use std::cell::Cell;
use std::time::Duration;

use rgrpc::{ClientConn, Code};
use rgrpc_e2e::{
    ScriptedServer, StubClient, answer, expect_text, framed, msg, scripted, scripted_by, settle,
    soon, unary,
};
use rgrpc_test_support::{ErrorCode, Event, Frame, WirePeer, goaway, rst_stream, settings};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn after_goaway_running_calls_end_well_and_new_ones_go_to_a_new_connection() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let running = unary(&client, "running");
    let mut old = server.accept().await;
    old.expect_request(1).await;
    old.send(goaway(1, ErrorCode::NO_ERROR)).await;
    old.assert_silent_until_ping().await;

    let later = unary(&client, "later");
    let mut new = server.accept().await;
    new.expect_request(1).await;
    answer(&mut new, 1, "from the new one").await;
    expect_text(later, "from the new one").await;

    answer(&mut old, 1, "from the old one").await;
    expect_text(running, "from the old one").await;
    // Nothing keeps the old connection.
    old.skip_to("GOAWAY", |frame| match frame {
        Frame::GoAway(goaway) => Ok(goaway),
        other => Err(other),
    })
    .await;
    old.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_graceful_shutdown_in_two_goaways_loses_no_call() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let running = unary(&client, "running");
    let mut old = server.accept().await;
    old.expect_request(1).await;
    old.send(goaway((1 << 31) - 1, ErrorCode::NO_ERROR)).await;
    old.assert_silent_until_ping().await;
    old.send(goaway(1, ErrorCode::NO_ERROR)).await;
    answer(&mut old, 1, "in time").await;
    expect_text(running, "in time").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_gets_through_to_its_end_on_a_connection_that_goes_away() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move { client.bidi_streaming().await });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    let (mut requests, mut responses) = soon(call).await.expect("no panic").expect("a stream");
    peer.send(goaway(1, ErrorCode::NO_ERROR)).await;
    peer.assert_silent_until_ping().await;
    requests.send(msg("still")).await.expect("sent");
    assert_eq!(peer.expect_message(1).await.body, framed("still")[5..]);
    answer(&mut peer, 1, "here").await;
    assert_eq!(soon(responses.recv()).await.expect("OK"), Some(msg("here")));
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_above_the_last_id_is_retried_on_a_new_connection() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let first = unary(&client, "first");
    let mut old = server.accept().await;
    old.expect_request(1).await;
    let second = unary(&client, "second");
    old.expect_request(3).await;
    old.send(goaway(1, ErrorCode::NO_ERROR)).await;

    let mut new = server.accept().await;
    let again = new.expect_request(1).await;
    assert_eq!(again.messages[0].body, framed("second")[5..]);
    answer(&mut new, 1, "second answer").await;
    expect_text(second, "second answer").await;
    answer(&mut old, 1, "first answer").await;
    expect_text(first, "first answer").await;
}

/// A channel to a scripted server that repeats a refused call this often.
fn repeating(retries: u16) -> (ClientConn, ScriptedServer) {
    scripted_by("passthrough:///stub.test", |builder| {
        builder.max_transparent_retries(retries)
    })
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_retried_up_to_the_bound_and_then_unavailable() {
    for retries in [0, 1, 4] {
        let (conn, mut server) = repeating(retries);
        let client = StubClient::new(conn);
        let call = unary(&client, "please");
        let mut peer = server.accept().await;
        for n in 0..=u32::from(retries) {
            let id = 2 * n + 1;
            let again = peer.expect_request(id).await;
            assert_eq!(again.messages[0].body, framed("please")[5..]);
            peer.send(rst_stream(id, ErrorCode::REFUSED_STREAM)).await;
        }
        let status = soon(call).await.expect("no panic").expect_err("refused");
        assert_eq!(status.code(), Code::Unavailable);
        let expected = format!("refused it {} times", retries + 1);
        assert!(status.message().contains(&expected), "{status}");
        peer.assert_silent_until_ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_several_connections_have_not_taken_up_ends_well_on_the_next() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "please");
    for _ in 0..5 {
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        peer.send(goaway(0, ErrorCode::NO_ERROR)).await;
    }
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    answer(&mut peer, 1, "at last").await;
    expect_text(call, "at last").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_for_ever_is_not_hammered_and_the_deadline_ends_the_call() {
    let (conn, mut server) = repeating(u16::MAX);
    // Kept, so that the connection outlives the call.
    let client = StubClient::new(conn.clone());
    let call = tokio::spawn(async move {
        let call = client.unary(msg("please"));
        call.timeout(Duration::from_secs(10)).await
    });
    let mut peer = server.accept().await;
    let refusals = Cell::new(0);
    let refusing = async {
        for id in (1..).step_by(2) {
            peer.expect_request(id).await;
            peer.send(rst_stream(id, ErrorCode::REFUSED_STREAM)).await;
            refusals.set(refusals.get() + 1);
        }
    };
    tokio::select! {
        outcome = call => {
            let status = outcome.expect("no panic").expect_err("the deadline");
            assert_eq!(status.code(), Code::DeadlineExceeded);
        }
        () = refusing => {}
    }
    drop(conn);
    let refusals = refusals.get();
    // Nine in the first 1.3 s, then at most two a second.
    assert!((10..=9 + 2 * 9).contains(&refusals), "{refusals}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_refused_once_can_succeed() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "please");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(rst_stream(1, ErrorCode::REFUSED_STREAM)).await;
    peer.expect_request(3).await;
    answer(&mut peer, 3, "granted").await;
    expect_text(call, "granted").await;
}

#[tokio::test(start_paused = true)]
async fn other_resets_are_not_retried() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "once");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(rst_stream(1, ErrorCode::INTERNAL_ERROR)).await;
    soon(call).await.expect("no panic").expect_err("reset");
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_streaming_call_is_retried_up_to_the_bound_and_then_unavailable() {
    let (conn, mut server) = repeating(3);
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move {
        let (_requests, mut responses) = client.bidi_streaming().await?;
        responses.recv().await
    });
    let mut peer = server.accept().await;
    for id in [1, 3, 5, 7] {
        peer.expect_headers(id).await;
        peer.send(rst_stream(id, ErrorCode::REFUSED_STREAM)).await;
    }
    let status = soon(call).await.expect("no panic").expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_been_processed_is_not_retried() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "once");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    // It is at or below the last id.
    peer.send(goaway(1, ErrorCode::NO_ERROR)).await;
    drop(peer);
    let status = soon(call).await.expect("no panic").expect_err("lost");
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_after_goaway_says_its_code_and_debug_data() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "doomed");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let goaway = goaway(1, ErrorCode::ENHANCE_YOUR_CALM).debug_data("too_many_pings");
    peer.send(goaway).await;
    drop(peer);
    let status = soon(call).await.expect("no panic").expect_err("lost");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("ENHANCE_YOUR_CALM"), "{status}");
    assert!(status.message().contains("too_many_pings"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_goaway_while_idle_sends_the_next_call_to_a_new_connection() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "one");
    let mut old = server.accept().await;
    old.expect_request(1).await;
    answer(&mut old, 1, "one").await;
    expect_text(call, "one").await;
    old.send(goaway(1, ErrorCode::NO_ERROR)).await;

    let call = unary(&client, "two");
    let mut new = server.accept().await;
    new.expect_request(1).await;
    answer(&mut new, 1, "two").await;
    expect_text(call, "two").await;
}

/// A channel to a server that the test plays, with this policy.
fn with_policy(policy: &str) -> (ClientConn, ScriptedServer) {
    let config = format!(r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#);
    scripted_by("passthrough:///stub.test", |builder| {
        let builder = builder.default_service_config(config);
        builder.max_transparent_retries(u16::MAX)
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_as_soon_as_it_is_there_is_connected_to_with_backoff() {
    for policy in ["pick_first", "round_robin"] {
        let (conn, mut server) = with_policy(policy);
        let client = StubClient::new(conn);
        let call = {
            let client = client.clone();
            tokio::spawn(async move { client.unary(msg("")).wait_for_ready(true).await })
        };
        let begun = Instant::now();
        let mut times = Vec::new();
        for _ in 0..16 {
            let peer = WirePeer::server_with(server.io().await, settings()).await;
            times.push(begun.elapsed().as_secs_f64());
            let mut peer = peer.housekeeping();
            peer.send(goaway(0, ErrorCode::NO_ERROR)).await;
            tokio::spawn(async move { while let Event::Frame(_) = peer.next_event().await {} });
        }
        // Ten without backoff, as often as a call is retried that is refused. Then 1 s, 1.6 s, 2.56
        // s and so on, within a fifth, and perhaps the call's own pause.
        assert!(times[10] < 5.0, "{policy}: {times:?}");
        let mut expected = 1.0;
        for gap in times[10..].windows(2).map(|two| two[1] - two[0]) {
            let range = 0.79 * expected..1.21 * expected + 1.6;
            assert!(range.contains(&gap), "{policy}: {times:?}");
            expected *= 1.6;
        }
        settle().await;
        let next = unary(&client, "");
        let status = soon(next).await.expect("no panic").expect_err("backoff");
        assert_eq!(status.code(), Code::Unavailable);
        let text =
            "the connection ended before it was of use: GOAWAY with code: NO_ERROR (attempt ";
        assert!(status.message().contains(text), "{policy}: {status}");
        // It is well again.
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        answer(&mut peer, 1, "at last").await;
        expect_text(call, "at last").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_goes_away_after_a_call_is_replaced_at_once() {
    for policy in ["pick_first", "round_robin"] {
        let (conn, mut server) = with_policy(policy);
        let client = StubClient::new(conn);
        let begun = Instant::now();
        for round in 0..20 {
            let call = unary(&client, "");
            let mut peer = server.accept().await;
            peer.expect_request(1).await;
            if round % 2 == 0 {
                answer(&mut peer, 1, "").await;
                peer.send(goaway(1, ErrorCode::NO_ERROR)).await;
            } else {
                peer.send(goaway(1, ErrorCode::NO_ERROR)).await;
                answer(&mut peer, 1, "").await;
            }
            expect_text(call, "").await;
            settle().await;
        }
        assert!(begun.elapsed() < Duration::from_millis(500), "{policy}");
    }
}
