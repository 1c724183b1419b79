//! Hedged calls: the number of attempts, their times, and the commitment to one of them.
//!
//! Source: gRFC A6, "Hedging Policy"; grpc-go has none.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rgrpc::{ClientConn, ClientConnBuilder, Code, Metadata, Response, Status, credentials};
use rgrpc_e2e::{
    Message, ScriptedServer, StubClient, StubService, channel_builder, framed, msg, scripted_by,
    serve, settle, soon, text,
};
use rgrpc_test_support::{
    ErrorCode, Headers, WirePeer, data, grpc_response, grpc_trailers, rst_stream, trailers_only,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
const PUSHBACK: &str = "grpc-retry-pushback-ms";
const SECOND: Duration = Duration::from_secs(1);

/// A service config for all methods: three attempts, one each second; UNAVAILABLE is not fatal.
const POLICY: &str = r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {
    "maxAttempts": 3, "hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]
}}]}"#;

/// A channel with this service config and these options, whose server is the wire peer. The channel
/// must outlive the test's expectations of its connection.
fn hedged_by(
    config: &str,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> (ClientConn, ScriptedServer) {
    scripted_by("passthrough:///stub.test", |builder| {
        options(builder.default_service_config(config))
    })
}

fn hedged(config: &str) -> (ClientConn, ScriptedServer) {
    hedged_by(config, |builder| builder)
}

type Outcome = Result<Response<Message>, Status>;

fn unary(conn: &ClientConn) -> JoinHandle<Outcome> {
    let client = StubClient::new(conn.clone());
    tokio::spawn(async move { client.unary(msg("please")).await })
}

/// Reads an attempt of [`unary`]; returns the number of previous attempts that it carries.
async fn expect_attempt(peer: &mut WirePeer, id: u32) -> Option<String> {
    let request = peer.expect_request(id).await;
    assert_eq!(request.messages[0].body, framed("please")[5..]);
    let previous = request.headers.get(PREVIOUS_ATTEMPTS);
    previous.map(ToOwned::to_owned)
}

async fn answer(peer: &mut WirePeer, id: u32, body: &str) {
    peer.send(grpc_response(id)).await;
    peer.send(data(id, framed(body))).await;
    peer.send(grpc_trailers(id, 0)).await;
}

fn busy(id: u32) -> Headers {
    trailers_only(id, 14)
}

async fn succeeds(call: JoinHandle<Outcome>, expected: &str) {
    let response = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(text(response.message()), expected);
}

async fn fails(call: JoinHandle<Outcome>) -> Status {
    soon(call).await.expect("no panic").expect_err("it fails")
}

#[tokio::test(start_paused = true)]
async fn the_first_good_answer_commits_the_call_and_cancels_the_other_attempts() {
    let (conn, mut server) = hedged(POLICY);
    let begun = Instant::now();
    let call = unary(&conn);
    let mut peer = server.accept().await;
    let mut previous = Vec::new();
    let mut gaps = Vec::new();
    for id in [1, 3, 5] {
        previous.push(expect_attempt(&mut peer, id).await);
        gaps.push(begun.elapsed().as_secs());
    }
    assert_eq!(previous, [None, Some("1".into()), Some("2".into())]);
    assert_eq!(gaps, [0, 1, 2]);
    // Three are the most: nothing follows.
    tokio::time::sleep(10 * SECOND).await;
    answer(&mut peer, 3, "the second").await;
    succeeds(call, "the second").await;
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    peer.expect_rst(5, ErrorCode::CANCEL).await;
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_within_the_delay_sends_no_hedge() {
    let (conn, mut server) = hedged(POLICY);
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    answer(&mut peer, 1, "the first").await;
    succeeds(call, "the first").await;
    tokio::time::sleep(10 * SECOND).await;
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn headers_commit_a_hedged_call_even_if_it_then_fails() {
    let (conn, mut server) = hedged(POLICY);
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    expect_attempt(&mut peer, 3).await;
    peer.send(grpc_response(1)).await;
    peer.expect_rst(3, ErrorCode::CANCEL).await;
    peer.send(grpc_trailers(1, 14)).await;
    assert_eq!(fails(call).await.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_all_hedges_are_sent_at_once() {
    let config = r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 9}}]}"#;
    for (most, expected) in [(None, 5), (Some(2), 2)] {
        let copies = Arc::new(AtomicU32::new(0));
        let service = StubService::new().unary({
            let copies = Arc::clone(&copies);
            move |_| {
                copies.fetch_add(1, Ordering::Relaxed);
                pending()
            }
        });
        let server = serve(service);
        let builder = channel_builder("passthrough:///stub.test", credentials::insecure())
            .dialer(server.connector())
            .default_service_config(config);
        let builder = match most {
            Some(attempts) => builder.max_call_attempts(attempts),
            None => builder,
        };
        let call = unary(&builder.build().expect("a valid channel"));
        settle().await;
        assert_eq!(copies.load(Ordering::Relaxed), expected);
        call.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn hedging_can_be_disabled_for_the_channel() {
    let (conn, mut server) = hedged_by(POLICY, |builder| builder.disable_retry(true));
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    tokio::time::sleep(10 * SECOND).await;
    peer.assert_silent_until_ping().await;
    answer(&mut peer, 1, "").await;
    succeeds(call, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_non_fatal_failure_sends_the_next_hedge_at_once() {
    let (conn, mut server) = hedged(POLICY);
    let begun = Instant::now();
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    peer.send(busy(1)).await;
    assert_eq!(expect_attempt(&mut peer, 3).await.as_deref(), Some("1"));
    assert!(begun.elapsed() < SECOND / 10);
    // The delay goes on from there.
    assert_eq!(expect_attempt(&mut peer, 5).await.as_deref(), Some("2"));
    assert!((1000..1100).contains(&begun.elapsed().as_millis()));
    answer(&mut peer, 5, "the third").await;
    succeeds(call, "the third").await;
    peer.expect_rst(3, ErrorCode::CANCEL).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_reported_when_all_hedges_fail() {
    let (conn, mut server) = hedged(POLICY);
    let call = unary(&conn);
    let mut peer = server.accept().await;
    for id in [1, 3, 5] {
        expect_attempt(&mut peer, id).await;
    }
    for id in [3, 1] {
        peer.send(busy(id)).await;
    }
    settle().await;
    assert!(!call.is_finished());
    peer.send(busy(5).field("grpc-message", "so busy")).await;
    let status = fails(call).await;
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "so busy (the last of 3 attempts)");
}

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_ends_the_call_and_the_other_attempts() {
    let (conn, mut server) = hedged(POLICY);
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    expect_attempt(&mut peer, 3).await;
    peer.send(trailers_only(3, 13).field("grpc-message", "broken"))
        .await;
    let status = fails(call).await;
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "broken")
    );
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    tokio::time::sleep(10 * SECOND).await;
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn pushback_can_set_the_time_of_the_next_hedge() {
    let (conn, mut server) = hedged(POLICY);
    let begun = Instant::now();
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    peer.send(busy(1).field(PUSHBACK, "2500")).await;
    expect_attempt(&mut peer, 3).await;
    assert!((2500..2600).contains(&begun.elapsed().as_millis()));
    expect_attempt(&mut peer, 5).await;
    assert!((3500..3600).contains(&begun.elapsed().as_millis()));
    answer(&mut peer, 3, "").await;
    succeeds(call, "").await;
}

#[tokio::test(start_paused = true)]
async fn pushback_can_forbid_further_hedges() {
    let (conn, mut server) = hedged(POLICY);
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    expect_attempt(&mut peer, 3).await;
    peer.send(busy(3).field(PUSHBACK, "-1")).await;
    tokio::time::sleep(10 * SECOND).await;
    peer.assert_silent_until_ping().await;
    // Those that were sent still count.
    answer(&mut peer, 1, "the first").await;
    succeeds(call, "the first").await;

    let call = unary(&conn);
    expect_attempt(&mut peer, 5).await;
    peer.send(busy(5).field(PUSHBACK, "-1").field("grpc-message", "busy"))
        .await;
    assert_eq!(fails(call).await.message(), "busy");
}

#[tokio::test(start_paused = true)]
async fn throttling_allows_the_first_attempt_alone() {
    let config = POLICY.replacen(
        '{',
        r#"{"retryThrottling": {"maxTokens": 2, "tokenRatio": 1}, "#,
        1,
    );
    let (conn, mut server) = hedged(&config);
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    // One of two tokens is left: half.
    peer.send(busy(1)).await;
    assert_eq!(fails(call).await.code(), Code::Unavailable);

    let call = unary(&conn);
    expect_attempt(&mut peer, 3).await;
    tokio::time::sleep(10 * SECOND).await;
    peer.assert_silent_until_ping().await;
    answer(&mut peer, 3, "").await;
    succeeds(call, "").await;

    // The success gave the token back.
    let call = unary(&conn);
    expect_attempt(&mut peer, 5).await;
    expect_attempt(&mut peer, 7).await;
    answer(&mut peer, 7, "").await;
    succeeds(call, "").await;
}

#[tokio::test(start_paused = true)]
async fn one_deadline_bounds_all_attempts() {
    let (conn, mut server) = hedged(POLICY);
    let client = StubClient::new(conn.clone());
    let timeout = 3 * SECOND / 2;
    let call = tokio::spawn(async move { client.unary(msg("please")).timeout(timeout).await });
    let mut peer = server.accept().await;
    let begun = Instant::now();
    expect_attempt(&mut peer, 1).await;
    expect_attempt(&mut peer, 3).await;
    assert_eq!(fails(call).await.code(), Code::DeadlineExceeded);
    assert!((1500..1600).contains(&begun.elapsed().as_millis()));
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    peer.expect_rst(3, ErrorCode::CANCEL).await;
    tokio::time::sleep(10 * SECOND).await;
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_cancels_all_attempts() {
    let (conn, mut server) = hedged(POLICY);
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    expect_attempt(&mut peer, 3).await;
    call.abort();
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    peer.expect_rst(3, ErrorCode::CANCEL).await;
    tokio::time::sleep(10 * SECOND).await;
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_no_server_has_processed_is_retried_as_the_same_attempt() {
    let (conn, mut server) = hedged(POLICY);
    let call = unary(&conn);
    let mut peer = server.accept().await;
    expect_attempt(&mut peer, 1).await;
    peer.send(rst_stream(1, ErrorCode::REFUSED_STREAM)).await;
    assert_eq!(expect_attempt(&mut peer, 3).await, None);
    assert_eq!(expect_attempt(&mut peer, 5).await.as_deref(), Some("1"));
    answer(&mut peer, 5, "").await;
    succeeds(call, "").await;
}

#[tokio::test(start_paused = true)]
async fn handlers_of_other_attempts_are_cancelled_at_the_commit() {
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let service = StubService::new().unary(move |request| {
        let ended = ended.clone();
        async move {
            let context = request.context().expect("a call").clone();
            let previous = request.metadata().get(PREVIOUS_ATTEMPTS);
            let previous: u32 = previous.map_or(0, |text| text.parse().expect("a number"));
            if previous == 2 {
                return Ok(Response::new(request.into_message()));
            }
            tokio::spawn(async move {
                context.done().await;
                ended.send(previous).expect("the test waits");
            });
            pending().await
        }
    });
    let server = serve(service);
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .default_service_config(POLICY)
        .build()
        .expect("a valid channel");
    succeeds(unary(&conn), "please").await;
    let mut lost = vec![soon(ends.recv()).await, soon(ends.recv()).await];
    lost.sort_unstable();
    assert_eq!(lost, [Some(0), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_stream_go_to_all_hedges_until_one_answers() {
    let (conn, mut server) = hedged(POLICY);
    let client = StubClient::new(conn.clone());
    let call = tokio::spawn(async move { client.bidi_streaming().await });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    let (mut requests, mut responses) = soon(call).await.expect("no panic").expect("a stream");
    requests.send(msg("one")).await.expect("sent");
    assert_eq!(peer.expect_message(1).await.body, framed("one")[5..]);
    let receiving = tokio::spawn(async move {
        let message = responses.recv().await;
        (responses, message)
    });
    // The second attempt has it, too.
    let second = peer.expect_headers(3).await;
    assert_eq!(second.get(PREVIOUS_ATTEMPTS), Some("1"));
    assert_eq!(peer.expect_message(3).await.body, framed("one")[5..]);
    requests.send(msg("two")).await.expect("sent");
    for id in [1, 3] {
        assert_eq!(peer.expect_message(id).await.body, framed("two")[5..]);
    }
    peer.send(grpc_response(3)).await;
    peer.send(data(3, framed("hello"))).await;
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    let (mut responses, message) = soon(receiving).await.expect("no panic");
    assert_eq!(text(&message.expect("OK").expect("one")), "hello");
    requests.send(msg("three")).await.expect("sent");
    assert_eq!(peer.expect_message(3).await.body, framed("three")[5..]);
    requests.close();
    peer.expect_half_close(3).await;
    let mut end = Metadata::new();
    end.append("x-end", "well").expect("valid");
    peer.send(grpc_trailers(3, 0).field("x-end", "well")).await;
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    assert_eq!(responses.trailer(), &end);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_exceeds_the_buffer_is_committed_to_the_first_attempt() {
    let (conn, mut server) = hedged(POLICY);
    let client = StubClient::new(conn.clone());
    let call = tokio::spawn(async move { client.bidi_streaming().max_retry_buffer_size(0).await });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    let (mut requests, mut responses) = soon(call).await.expect("no panic").expect("a stream");
    let receiving = tokio::spawn(async move { responses.recv().await });
    peer.expect_headers(3).await;
    requests.send(msg("one")).await.expect("sent");
    assert_eq!(peer.expect_message(1).await.body, framed("one")[5..]);
    let cancelled = peer.skip_to("RST_STREAM", |frame| match frame {
        rgrpc_test_support::Frame::RstStream(reset) => Ok(reset),
        other => Err(other),
    });
    assert_eq!(cancelled.await, rst_stream(3, ErrorCode::CANCEL));
    tokio::time::sleep(10 * SECOND).await;
    peer.assert_silent_until_ping().await;
    answer(&mut peer, 1, "here").await;
    let message = soon(receiving).await.expect("no panic").expect("OK");
    assert_eq!(text(&message.expect("one")), "here");
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_both_kinds_is_refused() {
    let config = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "8s",
        "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
    }, "hedgingPolicy": {"maxAttempts": 2}}]}"#;
    let error = channel_builder("localhost", credentials::insecure())
        .default_service_config(config)
        .build()
        .expect_err("both");
    let text = error.to_string();
    let expected =
        "methodConfig[0].hedgingPolicy: a method with a retryPolicy cannot have a hedgingPolicy";
    assert!(text.contains(expected), "{text}");
}
