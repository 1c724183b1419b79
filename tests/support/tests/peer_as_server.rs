//! The peer plays the server; the `h2` crate is the client.

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use rgrpc_test_support::{
    ErrorCode, WirePeer, data, goaway, grpc_response, grpc_trailers, headers, message,
    push_promise, rst_stream, settings, settings_ack, trailers_only,
};
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

struct Client {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn connect(io: DuplexStream) -> Self {
        let (requests, connection) = h2::client::handshake(io).await.unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    fn call(&mut self, body: Bytes) -> h2::client::ResponseFuture {
        let request = Request::post("http://localhost/s/m")
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (response, mut out) = self.requests.send_request(request, false).unwrap();
        out.send_data(body, true).unwrap();
        response
    }
}

async fn connect() -> (WirePeer, Client) {
    let (near, far) = duplex(1 << 20);
    tokio::join!(WirePeer::server(near), Client::connect(far))
}

#[tokio::test]
async fn a_call_reads_like_its_transcript() {
    let (mut peer, mut client) = connect().await;
    let response = client.call(message(b"ask"));

    let request = peer.expect_request(1).await;
    assert_eq!(request.headers.get(":path"), Some("/s/m"));
    assert_eq!(request.headers.get(":method"), Some("POST"));
    assert_eq!(request.messages[0].body, &b"ask"[..]);
    peer.send(grpc_response(1)).await;
    peer.send(data(1, message(b"answer"))).await;
    peer.send(grpc_trailers(1, 5).field("grpc-message", "no%20such"))
        .await;

    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), message(b"answer"));
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "5");
}

#[tokio::test]
async fn messages_are_put_together_from_any_data_frames() {
    let (mut peer, mut client) = connect().await;
    let _response = client.call([message(b"one"), message(b"two")].concat().into());
    peer.expect_headers(1).await;
    assert_eq!(peer.expect_message(1).await.body, &b"one"[..]);
    assert_eq!(peer.expect_message(1).await.body, &b"two"[..]);
    peer.expect_half_close(1).await;
}

#[tokio::test]
async fn trailers_only_is_one_frame() {
    let (mut peer, mut client) = connect().await;
    let response = client.call(Bytes::new());
    peer.expect_request(1).await;
    peer.send(trailers_only(1, 12)).await;
    let response = response.await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn informational_responses_come_before_the_head() {
    let (mut peer, mut client) = connect().await;
    let response = client.call(Bytes::new());
    peer.expect_request(1).await;
    peer.send(headers(1).status(103).field("link", "</x>").end_headers())
        .await;
    peer.send(trailers_only(1, 0)).await;
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_reset_reaches_the_caller_with_its_code() {
    let (mut peer, mut client) = connect().await;
    let response = client.call(Bytes::new());
    peer.expect_request(1).await;
    peer.send(rst_stream(1, ErrorCode::REFUSED_STREAM)).await;
    assert_eq!(
        response.await.unwrap_err().reason(),
        Some(h2::Reason::REFUSED_STREAM)
    );
}

#[tokio::test]
async fn a_dropped_call_is_reset_with_cancel() {
    let (mut peer, mut client) = connect().await;
    let response = client.call(Bytes::new());
    peer.expect_request(1).await;
    drop(response);
    peer.expect_rst(1, ErrorCode::CANCEL).await;
}

#[tokio::test]
async fn a_goaway_carries_its_code_and_debug_data() {
    let (mut peer, client) = connect().await;
    let too_many = goaway(0, ErrorCode::ENHANCE_YOUR_CALM).debug_data("too_many_pings");
    peer.send(too_many).await;
    let error = client.connection.await.unwrap().unwrap_err();
    assert!(error.is_go_away());
    assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
    assert!(error.to_string().contains("too_many_pings"), "{error}");
}

#[tokio::test]
async fn a_client_that_leaves_says_goaway_and_closes() {
    let (mut peer, client) = connect().await;
    drop(client.requests);
    peer.expect_goaway(ErrorCode::NO_ERROR).await;
    peer.expect_eof().await;
}

#[tokio::test]
async fn the_settings_exchange_may_be_the_tests() {
    let (near, far) = duplex(1 << 20);
    let mut peer = WirePeer::unshaken(near);
    let client = tokio::spawn(Client::connect(far));
    peer.expect_preface().await;
    peer.expect_settings().await;
    peer.send(settings().max_concurrent_streams(7).header_table_size(0))
        .await;
    peer.expect_settings_ack().await;
    peer.send(settings_ack()).await;

    let mut client = client.await.unwrap();
    let _response = client.call(Bytes::new());
    let request = peer.expect_headers(1).await;
    // With no table, the block has to begin with the size update that says so.
    assert_eq!(request.block.octets()[0], 0x20);
}

#[tokio::test]
async fn a_push_promise_to_a_client_that_allows_none_is_a_connection_error() {
    let (near, far) = duplex(1 << 20);
    let client = tokio::spawn(async move {
        let (requests, connection) = h2::client::Builder::new()
            .enable_push(false)
            .handshake(far)
            .await
            .unwrap();
        Client {
            requests,
            connection: tokio::spawn(connection),
        }
    });
    let mut peer = WirePeer::server(near).await;
    let mut client = client.await.unwrap();
    let _response = client.call(Bytes::new());
    peer.expect_request(1).await;
    peer.send(
        push_promise(1, 2)
            .field(":method", "GET")
            .field(":path", "/")
            .end_headers(),
    )
    .await;
    peer.expect_connection_error(ErrorCode::PROTOCOL_ERROR)
        .await;
}
