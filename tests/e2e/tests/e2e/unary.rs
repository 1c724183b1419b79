//! Unary calls, and the rule of exactly one message in each direction.
//!
//! Source: "statuscodes" of the gRPC documents for the codes; grpc-go's tests
//! `TestUnaryRPC_ServerSendsOnlyTrailersWithOK` and `TestUnaryRPC_ServerCallSendMsgTwice`.

use rgrpc::{Code, Response};
use rgrpc_e2e::{
    Outcome, STUB_SERVER_STREAMING, STUB_UNARY, StubClient, StubService, expect_text, framed, msg,
    scripted, serve, soon, text, unary,
};
use rgrpc_test_support::{
    ErrorCode, WirePeer, data, grpc_request, grpc_response, grpc_trailers, trailers_only,
};

/// Makes a unary call and answers its request by the script.
async fn answered(script: impl AsyncFnOnce(&mut WirePeer)) -> Outcome {
    let (conn, mut server) = scripted();
    let call = unary(&StubClient::new(conn), "request");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    script(&mut peer).await;
    soon(call).await.expect("the call does not panic")
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_with_its_response() {
    let server = serve(StubService::echo());
    let response = server.client().unary(msg("hello")).await.expect("OK");
    assert_eq!(text(response.message()), "hello");
}

#[tokio::test(start_paused = true)]
async fn an_empty_message_is_a_message() {
    let server = serve(StubService::echo());
    let response = server.client().unary(msg("")).await.expect("OK");
    assert_eq!(text(response.message()), "");
}

#[tokio::test(start_paused = true)]
async fn ok_without_a_response_is_unimplemented() {
    let status = answered(async |peer| peer.send(trailers_only(1, 0)).await)
        .await
        .expect_err("no response");
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    let status = answered(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(grpc_trailers(1, 0)).await;
    })
    .await
    .expect_err("no response");
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
}

#[tokio::test(start_paused = true)]
async fn two_responses_are_unimplemented() {
    let status = answered(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(data(1, framed("one"))).await;
        peer.send(data(1, framed("two"))).await;
        peer.send(grpc_trailers(1, 0)).await;
    })
    .await
    .expect_err("two responses");
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_response_wins() {
    let status = answered(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(data(1, framed("one"))).await;
        peer.send(grpc_trailers(1, 8).field("grpc-message", "full"))
            .await;
    })
    .await
    .expect_err("the status");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "full");
}

#[tokio::test(start_paused = true)]
async fn a_response_is_not_final_before_the_status() {
    let (conn, mut server) = scripted();
    let call = unary(&StubClient::new(conn), "q");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("response"))).await;
    peer.assert_silent_until_ping().await;
    assert!(!call.is_finished());
    peer.send(grpc_trailers(1, 0)).await;
    expect_text(call, "response").await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_message_is_unimplemented() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    for (id, path) in [(1, STUB_UNARY), (3, STUB_SERVER_STREAMING)] {
        peer.send(grpc_request(id, path).end_stream()).await;
        let trailers = peer.expect_response(id).await.trailers;
        assert_eq!(trailers.code, 12, "{path}: {}", trailers.message);
        assert!(
            trailers.message.contains("no message"),
            "{}",
            trailers.message
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_two_messages_is_unimplemented() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    for (id, path) in [(1, STUB_UNARY), (3, STUB_SERVER_STREAMING)] {
        peer.send(grpc_request(id, path)).await;
        peer.send(data(id, framed("one"))).await;
        peer.send(data(id, framed("two")).end_stream()).await;
        let trailers = peer.expect_response(id).await.trailers;
        assert_eq!(trailers.code, 12, "{path}: {}", trailers.message);
        assert!(
            trailers.message.contains("more than one"),
            "{}",
            trailers.message
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_message_is_refused_before_the_client_ends_its_stream() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("one"))).await;
    peer.send(data(1, framed("two"))).await;
    assert_eq!(peer.expect_response(1).await.trailers.code, 12);
    peer.expect_rst(1, ErrorCode::NO_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_breaks_off_never_reaches_the_handler() {
    let service = StubService::new().unary(async |_| panic!("the handler was called"));
    let server = serve(service);
    let mut peer = server.wire_client().await;
    let message = framed("cut off");
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, &message[..message.len() - 1]).end_stream())
        .await;
    let trailers = peer.expect_response(1).await.trailers;
    assert_eq!(trailers.code, 13, "{}", trailers.message);
    assert!(
        trailers.message.contains("unexpected EOF"),
        "{}",
        trailers.message
    );
}

#[tokio::test(start_paused = true)]
async fn the_headers_go_with_the_response_and_not_before_it() {
    let (proceed, wait) = tokio::sync::watch::channel(false);
    let service = StubService::new().unary(move |request| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|proceed| *proceed)
                .await
                .expect("the test lives");
            Ok(Response::new(request.into_message()))
        }
    });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("a")).end_stream()).await;
    peer.assert_silent_until_ping().await;
    proceed.send_replace(true);
    assert_eq!(peer.expect_response(1).await.messages.len(), 1);
}
