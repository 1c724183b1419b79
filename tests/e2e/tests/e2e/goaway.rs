//! GOAWAY and refused streams: what goes on, what goes elsewhere, what is made again.
//!
//! Source: gRFC A6 (transparent retries); grpc-go's `TestServerGoAwayPendingRPC`,
//! `TestGoAwayThenClose`, `TestDetailedGoAwayErrorOnAbruptClosePropagatesToRPCError`.

use rgrpc::Code;
use rgrpc_e2e::{StubClient, answer, expect_text, framed, msg, scripted, soon, unary};
use rgrpc_test_support::{ErrorCode, Frame, goaway, rst_stream};

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
async fn a_call_above_the_last_id_is_made_again_on_a_new_connection() {
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

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_made_again_once_and_then_unavailable() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "please");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(rst_stream(1, ErrorCode::REFUSED_STREAM)).await;
    let again = peer.expect_request(3).await;
    assert_eq!(again.messages[0].body, framed("please")[5..]);
    peer.send(rst_stream(3, ErrorCode::REFUSED_STREAM)).await;
    let status = soon(call)
        .await
        .expect("no panic")
        .expect_err("refused twice");
    assert_eq!(status.code(), Code::Unavailable);
    peer.assert_silent_until_ping().await;
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
async fn other_resets_are_not_made_again() {
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
async fn a_refused_call_with_streams_is_made_again_once_and_then_unavailable() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move {
        let (_requests, mut responses) = client.bidi_streaming().await?;
        responses.recv().await
    });
    let mut peer = server.accept().await;
    for id in [1, 3] {
        peer.expect_headers(id).await;
        peer.send(rst_stream(id, ErrorCode::REFUSED_STREAM)).await;
    }
    let status = soon(call).await.expect("no panic").expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_been_processed_is_not_made_again() {
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
