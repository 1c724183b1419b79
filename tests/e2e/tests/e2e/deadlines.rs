//! Deadlines on both sides, in virtual time.
//!
//! Source: grpc-go's tests `TestRPCTimeout`, `TestZeroSecondTimeout`, `TestLargeTimeout`,
//! `TestServerSendsRSTAfterDeadlineToMisbehavedClient`.

use std::future::pending;
use std::time::Duration;

use rgrpc::{Code, Request, Response, Status, credentials};
use rgrpc_e2e::{
    FnDialer, HangWatch, STUB_BIDI_STREAMING, STUB_CLIENT_STREAMING, STUB_SERVER_STREAMING,
    STUB_UNARY, StubClient, StubService, TestServer, answer, channel_builder, framed, msg,
    scripted, serve, soon, text,
};
use rgrpc_test_support::{
    ErrorCode, Frame, WirePeer, data, grpc_request, grpc_response, rst_stream, settings,
};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_millis(100);

/// A server whose methods never return, and the watch of its handlers.
fn hanging() -> (TestServer, HangWatch) {
    let (service, watch) = StubService::hanging();
    (serve(service), watch)
}

/// Checks that a call ended with the deadline, when it did, and that its handler is gone.
async fn expect_exceeded(status: Status, begun: Instant, mut watch: HangWatch) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    let took = begun.elapsed();
    assert!(
        (TIMEOUT..TIMEOUT + Duration::from_millis(10)).contains(&took),
        "{took:?}"
    );
    watch.begun().await;
    watch.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_ends_at_its_deadline_and_its_handler_is_dropped() {
    let (server, watch) = hanging();
    let begun = Instant::now();
    let client = server.client();
    let outcome = soon(async { client.unary(msg("")).timeout(TIMEOUT).await }).await;
    expect_exceeded(outcome.expect_err("too late"), begun, watch).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_streaming_call_ends_at_its_deadline_and_its_handler_is_dropped() {
    let (server, watch) = hanging();
    let begun = Instant::now();
    let client = server.client();
    let call = client.server_streaming(msg("")).timeout(TIMEOUT);
    let mut responses = call.await.expect("a stream");
    let status = soon(responses.recv()).await.expect_err("too late");
    expect_exceeded(status, begun, watch).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_streaming_call_ends_at_its_deadline_and_its_handler_is_dropped() {
    let (server, watch) = hanging();
    let begun = Instant::now();
    let client = server.client();
    let call = client.client_streaming().timeout(TIMEOUT);
    let mut call = call.await.expect("a stream");
    call.send(msg("one")).await.expect("sent");
    let status = soon(call.close_and_recv()).await.expect_err("too late");
    expect_exceeded(status, begun, watch).await;
}

#[tokio::test(start_paused = true)]
async fn a_bidi_call_ends_at_its_deadline_and_its_handler_is_dropped() {
    let (server, watch) = hanging();
    let begun = Instant::now();
    let client = server.client();
    let call = client.bidi_streaming().timeout(TIMEOUT);
    let (mut requests, mut responses) = call.await.expect("a stream");
    requests.send(msg("one")).await.expect("sent");
    let status = soon(responses.recv()).await.expect_err("too late");
    assert_eq!(responses.recv().await.expect("told once"), None);
    let sent = requests.send(msg("two")).await.expect_err("over");
    assert_eq!(sent.code(), Code::DeadlineExceeded);
    expect_exceeded(status, begun, watch).await;
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_a_call_at_its_deadline_by_itself() {
    for path in [
        STUB_UNARY,
        STUB_SERVER_STREAMING,
        STUB_CLIENT_STREAMING,
        STUB_BIDI_STREAMING,
    ] {
        let (server, mut watch) = hanging();
        let mut peer = server.wire_client().await;
        let begun = Instant::now();
        peer.send(grpc_request(1, path).field("grpc-timeout", "100m"))
            .await;
        peer.send(data(1, framed("")).end_stream()).await;
        watch.begun().await;
        assert_eq!(peer.expect_response(1).await.trailers.code, 4, "{path}");
        assert!(begun.elapsed() >= TIMEOUT, "{path}");
        watch.dropped().await;
        peer.assert_silent_until_ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_a_call_whose_request_never_comes_whole() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY).field("grpc-timeout", "100m"))
        .await;
    assert_eq!(peer.expect_response(1).await.trailers.code, 4);
    peer.expect_rst(1, ErrorCode::NO_ERROR).await;
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_reported_after_sent_headers() {
    let service = StubService::new().bidi_streaming(|_, mut responses| async move {
        responses.send(msg("one")).await?;
        pending().await
    });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    let head = grpc_request(1, STUB_BIDI_STREAMING).field("grpc-timeout", "100m");
    peer.send(head.end_stream()).await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.messages.len(), 1);
    assert_eq!(response.trailers.code, 4);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_resets_a_stream_whose_messages_wait_for_the_window() {
    let service = StubService::new().bidi_streaming(|_, mut responses| async move {
        loop {
            responses.send(msg(vec![0; 1024])).await?;
        }
    });
    let server = serve(service);
    let small = settings().initial_window_size(4096);
    // Without housekeeping no window is given back.
    let mut peer = WirePeer::client_with(server.io().await, small).await;
    let head = grpc_request(1, STUB_BIDI_STREAMING).field("grpc-timeout", "100m");
    peer.send(head.end_stream()).await;
    let reset = peer.skip_to("RST_STREAM", |frame| match frame {
        Frame::RstStream(reset) => Ok(reset),
        other => Err(other),
    });
    assert_eq!(reset.await, rst_stream(1, ErrorCode::CANCEL));
}

#[tokio::test(start_paused = true)]
async fn the_client_ends_a_call_at_its_deadline_by_itself() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move { client.unary(msg("")).timeout(TIMEOUT).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    let status = soon(call).await.expect("no panic").expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn the_client_ends_an_unpolled_stream_at_its_deadline() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn.clone());
    let call = tokio::spawn(async move { client.bidi_streaming().timeout(TIMEOUT).await });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    let halves = soon(call).await.expect("no panic").expect("a stream");
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    drop(halves);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_a_stream_though_messages_flow() {
    let service = StubService::new().server_streaming(|_, mut responses| async move {
        loop {
            responses.send(msg("tick")).await?;
            tokio::time::sleep(TIMEOUT / 10).await;
        }
    });
    let server = serve(service);
    let client = server.client();
    let call = client.server_streaming(msg("")).timeout(TIMEOUT);
    let mut responses = call.await.expect("a stream");
    let begun = Instant::now();
    let status = loop {
        match soon(responses.recv()).await {
            Ok(message) => assert_eq!(message, Some(msg("tick"))),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(begun.elapsed() < TIMEOUT * 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_arrives_before_the_deadline_is_received_before_the_failure() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move {
        let mut responses = client.server_streaming(msg("")).timeout(TIMEOUT).await?;
        let first = responses.recv().await?;
        Ok::<_, Status>((first, responses.recv().await))
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("in time"))).await;
    let (first, second) = soon(call).await.expect("no panic").expect("a stream");
    assert_eq!(first, Some(msg("in time")));
    assert_eq!(second.expect_err("late").code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_fails_before_anything_is_sent() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let warm = tokio::spawn({
        let client = client.clone();
        async move { client.bidi_streaming().await }
    });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    let _stream = soon(warm).await.expect("no panic").expect("a stream");

    let zero = Duration::ZERO;
    let status = client.unary(msg("")).timeout(zero).await.expect_err("zero");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let call = client.server_streaming(msg("")).timeout(zero);
    assert_eq!(call.await.expect_err("zero").code(), Code::DeadlineExceeded);
    let call = client.client_streaming().timeout(zero);
    assert_eq!(call.await.expect_err("zero").code(), Code::DeadlineExceeded);
    let call = client.bidi_streaming().deadline(Instant::now());
    assert_eq!(call.await.expect_err("zero").code(), Code::DeadlineExceeded);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_huge_timeout_is_as_good_as_none() {
    let server = serve(StubService::echo());
    let client = server.client();
    for timeout in [
        Duration::MAX,
        Duration::from_secs(u64::from(u32::MAX)),
        Duration::from_secs(3600 * 24 * 365 * 100),
    ] {
        let response = client.unary(msg("x")).timeout(timeout).await.expect("OK");
        assert_eq!(text(response.message()), "x");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_bounds_the_earliest_holds() {
    let late = Duration::from_secs(3600);
    for (request, call) in [(TIMEOUT, late), (late, TIMEOUT)] {
        let (server, watch) = hanging();
        let begun = Instant::now();
        let client = server.client();
        let request = Request::new(msg("")).with_timeout(request);
        let call = client.unary(request).timeout(call).timeout(late);
        let status = soon(async { call.await }).await.expect_err("too late");
        expect_exceeded(status, begun, watch).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_the_deadline_of_its_call() {
    let (tell, mut told) = unbounded_channel();
    let service = StubService::new().unary(move |request| {
        let context = request.context().expect("in a handler");
        assert_eq!(request.deadline(), context.deadline());
        let left = context.deadline().map(|deadline| deadline - Instant::now());
        tell.send(left).expect("the test lives");
        async move { Ok(Response::new(request.into_message())) }
    });
    let server = serve(service);
    let client = server.client();
    client.unary(msg("")).timeout(TIMEOUT).await.expect("OK");
    assert_eq!(told.recv().await, Some(Some(TIMEOUT)));
    client.unary(msg("")).await.expect("OK");
    assert_eq!(told.recv().await, Some(None));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_while_connecting() {
    let conn = channel_builder("passthrough:///nowhere", credentials::insecure())
        .dialer(FnDialer::new(|_| pending()))
        .build()
        .expect("a valid target");
    let client = StubClient::new(conn);
    for wait_for_ready in [false, true] {
        let begun = Instant::now();
        let call = client
            .unary(msg(""))
            .timeout(TIMEOUT)
            .wait_for_ready(wait_for_ready);
        let status = soon(async { call.await }).await.expect_err("too late");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert_eq!(begun.elapsed().as_millis(), 100);
        let call = client
            .bidi_streaming()
            .timeout(TIMEOUT)
            .wait_for_ready(wait_for_ready);
        let status = soon(async { call.await }).await.expect_err("too late");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_while_sending_waits_for_the_window() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move {
        let (mut requests, _responses) = client.bidi_streaming().timeout(TIMEOUT).await?;
        loop {
            requests.send(msg(vec![0; 16 * 1024])).await?;
        }
        #[allow(unreachable_code, reason = "it says what the block's output is")]
        Ok::<(), Status>(())
    });
    // A peer that does not keep house gives no window back.
    let _peer = WirePeer::server(server.io().await).await;
    let status = soon(call).await.expect("no panic").expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test(start_paused = true)]
async fn the_servers_reset_at_the_deadline_is_deadline_exceeded_and_before_it_cancelled() {
    for (wait, code) in [
        (Duration::ZERO, Code::Cancelled),
        (TIMEOUT, Code::DeadlineExceeded),
    ] {
        let (conn, mut server) = scripted();
        let client = StubClient::new(conn);
        let call = tokio::spawn(async move { client.unary(msg("")).timeout(TIMEOUT).await });
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        tokio::time::sleep(wait).await;
        peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
        let status = soon(call).await.expect("no panic").expect_err("reset");
        assert_eq!(status.code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_after_the_end_changes_nothing() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn({
        let client = client.clone();
        async move {
            let mut responses = client.server_streaming(msg("")).timeout(TIMEOUT).await?;
            let first = responses.recv().await?;
            Ok::<_, Status>((first, responses.recv().await, responses))
        }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    answer(&mut peer, 1, "a").await;
    let (first, end, mut responses) = soon(call).await.expect("no panic").expect("OK");
    assert_eq!((first, end.expect("OK")), (Some(msg("a")), None));
    tokio::time::sleep(TIMEOUT * 2).await;
    assert_eq!(responses.recv().await.expect("still OK"), None);
    drop(responses);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_not_undone_by_the_deadline() {
    let service = StubService::new().unary(|request| async move {
        tokio::time::sleep(TIMEOUT - Duration::from_millis(1)).await;
        Ok(Response::new(request.into_message()))
    });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY).field("grpc-timeout", "100m"))
        .await;
    peer.send(data(1, framed("")).end_stream()).await;
    assert_eq!(peer.expect_response(1).await.trailers.code, 0);
    tokio::time::sleep(TIMEOUT).await;
    peer.assert_silent_until_ping().await;
}
