//! The sizes that messages may have: defaults, options, and when they are checked.
//!
//! Source: grpc-go's tests `TestExceedMsgLimit`, `TestMaxMsgSizeClientDefault`,
//! `TestMaxMsgSizeClientAPI`, `TestMaxMsgSizeServerAPI`.

use bytes::Bytes;
use rgrpc::{
    BidiStreamingCall, Code, RawCodec, RecvStream, Request, Response, SendStream, Server, Status,
    UnaryCall,
};
use rgrpc_e2e::{
    STUB_CLIENT_STREAMING, STUB_UNARY, StubClient, StubService, TestServer, msg, new_server,
    scripted, serve, serve_with, soon, unary,
};
use rgrpc_test_support::{ErrorCode, data, grpc_request, grpc_response, message_with};

const MIB: usize = 1024 * 1024;

/// A server that echoes messages as bytes, so that their size is the body's.
fn raw_echo(server: Server) -> TestServer {
    async fn echo(
        requests: Request<RecvStream<Bytes>>,
        mut responses: SendStream<Bytes>,
    ) -> Result<(), Status> {
        let mut requests = requests.into_message();
        while let Some(message) = requests.recv().await? {
            responses.send(message).await?;
        }
        Ok(())
    }
    serve_with(server.unknown_service_handler(echo), StubService::new())
}

/// Sends one message of this size and has it echoed, within these limits of the call.
async fn echo(
    server: &TestServer,
    size: usize,
    (max_receive, max_send): (Option<usize>, Option<usize>),
) -> Result<Response<Bytes>, Status> {
    let conn = server.conn();
    let request = Request::new(Bytes::from(vec![7; size]));
    let mut call = UnaryCall::new(&conn, RawCodec, "/raw.Echo/Echo", request);
    if let Some(bytes) = max_receive {
        call = call.max_receive_message_size(bytes);
    }
    if let Some(bytes) = max_send {
        call = call.max_send_message_size(bytes);
    }
    soon(async { call.await }).await
}

async fn expect_exhausted(outcome: Result<Response<Bytes>, Status>, numbers: &str, option: &str) {
    let status = outcome.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains(numbers), "{status}");
    assert!(status.message().contains(option), "{status}");
}

#[tokio::test(start_paused = true)]
async fn four_mib_pass_both_ways_by_default() {
    let server = raw_echo(new_server());
    let response = echo(&server, 4 * MIB, (None, None)).await.expect("fits");
    assert_eq!(response.message().len(), 4 * MIB);
}

#[tokio::test(start_paused = true)]
async fn the_server_refuses_one_byte_more_by_default() {
    let server = raw_echo(new_server());
    let outcome = echo(&server, 4 * MIB + 1, (Some(usize::MAX), None)).await;
    expect_exhausted(outcome, "(4194305 vs. 4194304)", "max_receive_message_size").await;
}

#[tokio::test(start_paused = true)]
async fn the_client_refuses_one_byte_more_by_default() {
    let server = raw_echo(new_server().max_receive_message_size(usize::MAX));
    let outcome = echo(&server, 4 * MIB + 1, (None, None)).await;
    expect_exhausted(outcome, "(4194305 vs. 4194304)", "max_receive_message_size").await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_receive_limit_is_an_option() {
    let server = raw_echo(new_server().max_receive_message_size(100));
    echo(&server, 100, (None, None)).await.expect("fits");
    let outcome = echo(&server, 101, (None, None)).await;
    expect_exhausted(outcome, "(101 vs. 100)", "max_receive_message_size").await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_send_limit_is_an_option() {
    let server = raw_echo(new_server().max_send_message_size(100));
    echo(&server, 100, (None, None)).await.expect("fits");
    let outcome = echo(&server, 101, (None, None)).await;
    expect_exhausted(outcome, "(101 vs. 100)", "max_send_message_size").await;

    // Unary and client-streaming handlers return their message instead of sending it.
    let service = StubService::echo();
    let server = serve_with(new_server().max_send_message_size(100), service);
    let status = server
        .client()
        .unary(msg(vec![0; 100]))
        .await
        .expect_err("102 bytes with the field's tag and length");
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_calls_receive_limit_is_an_option() {
    let server = raw_echo(new_server());
    echo(&server, 100, (Some(100), None)).await.expect("fits");
    let outcome = echo(&server, 101, (Some(100), None)).await;
    expect_exhausted(outcome, "(101 vs. 100)", "max_receive_message_size").await;
}

#[tokio::test(start_paused = true)]
async fn a_calls_send_limit_is_an_option() {
    let server = raw_echo(new_server());
    echo(&server, 100, (None, Some(100))).await.expect("fits");
    let outcome = echo(&server, 101, (None, Some(100))).await;
    expect_exhausted(outcome, "(101 vs. 100)", "max_send_message_size").await;
}

#[tokio::test(start_paused = true)]
async fn limits_raised_on_both_sides_let_20_mib_pass() {
    let server = raw_echo(new_server().max_receive_message_size(20 * MIB));
    let response = echo(&server, 20 * MIB, (Some(20 * MIB), None))
        .await
        .expect("fits");
    assert_eq!(response.message().len(), 20 * MIB);
    assert!(response.message().iter().all(|byte| *byte == 7));
}

#[tokio::test(start_paused = true)]
async fn the_server_refuses_by_the_declared_length_alone() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    for (id, path) in [(1, STUB_UNARY), (3, STUB_CLIENT_STREAMING)] {
        peer.send(grpc_request(id, path)).await;
        peer.send(data(id, message_with(0, 4 * 1024 * 1024 + 1, b"")))
            .await;
        let trailers = peer.expect_response(id).await.trailers;
        assert_eq!(trailers.code, 8, "{}", trailers.message);
        peer.expect_rst(id, ErrorCode::NO_ERROR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_refuses_by_the_declared_length_alone_and_resets_the_stream() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(data(1, message_with(0, u32::MAX, b""))).await;
    let status = soon(call).await.expect("no panic").expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    peer.expect_rst(1, ErrorCode::CANCEL).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_send_limit_is_not_sent_and_the_stream_lives() {
    let server = raw_echo(new_server());
    let conn = server.conn();
    let call = BidiStreamingCall::<_, Bytes, Bytes, _>::new(&conn, RawCodec, "/raw.Echo/Echo");
    let call = call.max_send_message_size(3);
    let (mut requests, mut responses) = call.await.expect("a stream");
    let status = requests
        .send(Bytes::from("long"))
        .await
        .expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    requests.send(Bytes::from("ok")).await.expect("fits");
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), Some("ok".into()));
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn messages_before_the_one_that_is_too_large_are_received() {
    let server = raw_echo(new_server());
    let conn = server.conn();
    let call = BidiStreamingCall::<_, Bytes, Bytes, _>::new(&conn, RawCodec, "/raw.Echo/Echo");
    let call = call.max_receive_message_size(3);
    let (mut requests, mut responses) = call.await.expect("a stream");
    requests.send(Bytes::from("abc")).await.expect("sent");
    requests.send(Bytes::from("abcd")).await.expect("sent");
    assert_eq!(
        soon(responses.recv()).await.expect("OK"),
        Some("abc".into())
    );
    let status = soon(responses.recv()).await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(soon(responses.recv()).await.expect("told once"), None);
}
