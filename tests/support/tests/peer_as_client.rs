//! The peer plays the client; the `h2` crate is the server.

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use rgrpc_test_support::{
    ErrorCode, RawFrame, WireFrame, WirePeer, connected_pair, continuation, data, grpc_request,
    headers, hpack, message, ping, rst_stream, settings, settings_ack, window_update,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::task::JoinHandle;

/// Serves a connection: each call gets its own request body back, and `grpc-status: 0`.
async fn echo(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let Ok(mut connection) = h2::server::handshake(io).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(echo_call(request, respond));
    }
}

async fn echo_call(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    let mut received = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        received.extend_from_slice(&chunk);
    }
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let mut out = respond.send_response(head, false)?;
    out.send_data(received.into(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    out.send_trailers(trailers)
}

/// A strict peer and the server that it talks to.
async fn connect() -> (WirePeer, JoinHandle<()>) {
    let (near, server) = serve();
    (WirePeer::client(near).await, server)
}

fn serve() -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = duplex(1 << 20);
    (near, tokio::spawn(echo(far)))
}

#[tokio::test]
async fn the_windows_that_the_server_announces_are_known_and_need_no_expectation() {
    for (stream, connection) in [(65_535, 65_535), (100_000, 1_000_000)] {
        let (near, far) = duplex(1 << 20);
        let server = async move {
            let mut builder = h2::server::Builder::new();
            builder
                .initial_window_size(stream)
                .initial_connection_window_size(connection);
            let mut server = builder.handshake::<_, Bytes>(far).await.expect("HTTP/2");
            while let Some(Ok((request, respond))) = server.accept().await {
                tokio::spawn(echo_call(request, respond));
            }
        };
        let _server = tokio::spawn(server);
        let mut peer = WirePeer::client(near).await;
        assert_eq!(peer.announced_stream_window(), stream as usize);
        assert_eq!(peer.take_connection_window().await, connection);
        peer.send(grpc_request(1, "/s/m")).await;
        peer.send(data(1, message(b"")).end_stream()).await;
        // A frame that is there already is kept.
        peer.expect_headers(1).await;
        assert_eq!(peer.take_connection_window().await, 65_535);
        assert_eq!(peer.expect_message(1).await.body, b""[..]);
    }
}

#[tokio::test]
async fn a_call_reads_like_its_transcript() {
    let (mut peer, _server) = connect().await;
    peer.send(grpc_request(1, "/grpc.testing.TestService/EmptyCall"))
        .await;
    peer.send(data(1, message(b"hello")).end_stream()).await;

    let response = peer.expect_headers(1).await;
    assert_eq!(response.get(":status"), Some("200"));
    assert!(!response.end_stream);
    assert_eq!(peer.expect_data(1).await.payload, message(b"hello"));
    let trailers = peer.expect_trailers(1).await;
    assert_eq!((trailers.code, trailers.message.as_str()), (0, ""));
    peer.assert_silent_until_ping().await;
}

#[tokio::test]
async fn a_call_goes_over_tcp_too() {
    let (near, far) = connected_pair().await.unwrap();
    let _server = tokio::spawn(echo(far));
    let mut peer = WirePeer::client(near).await;
    peer.send(grpc_request(1, "/s/m").end_stream()).await;
    peer.expect_headers(1).await;
}

#[tokio::test]
async fn housekeeping_keeps_a_call_beyond_the_windows_short() {
    let (near, _server) = serve();
    let mut peer = WirePeer::client(near).await.housekeeping();
    let sent = vec![7; 200_000];
    peer.send(grpc_request(1, "/s/m")).await;
    // The server's windows hold 65,535 octets: send what they take, and let them be given back.
    let mut rest = message(&sent);
    while !rest.is_empty() {
        let part = rest.split_to(rest.len().min(60_000));
        let last = rest.is_empty();
        let part = data(1, part);
        peer.send(if last { part.end_stream() } else { part }.split(16_384))
            .await;
        peer.assert_silent_until_ping().await;
    }
    let response = peer.expect_response(1).await;
    assert_eq!(response.messages.len(), 1);
    assert_eq!(response.messages[0].body, sent);
    assert_eq!(response.trailers.code, 0);
}

#[tokio::test]
async fn a_header_block_may_be_cut_into_continuations() {
    let (mut peer, _server) = connect().await;
    peer.send(grpc_request(1, "/s/m").cut([5, 0, 10]).end_stream())
        .await;
    assert_eq!(peer.expect_response(1).await.trailers.code, 0);
}

#[tokio::test]
async fn a_header_block_may_be_left_open_and_go_on_by_hand() {
    let (mut peer, _server) = connect().await;
    let head = grpc_request(1, "/s/m").end_stream();
    let block = hpack::encode(head.fields());
    peer.send(headers(1).raw_block(&block[..7]).end_stream())
        .await;
    peer.send(continuation(1, &block[7..]).end_headers()).await;
    peer.expect_headers(1).await;
}

#[tokio::test]
async fn frames_inside_an_open_header_block_are_a_connection_error() {
    let (mut peer, server) = connect().await;
    peer.send(headers(1).method("POST")).await;
    peer.send(data(1, b"")).await;
    peer.expect_connection_error(ErrorCode::PROTOCOL_ERROR)
        .await;
    server.await.unwrap();
}

#[tokio::test]
async fn a_declared_length_beyond_the_limit_is_a_frame_size_error() {
    let (mut peer, _server) = connect().await;
    peer.send(ping(*b"01234567").raw().declared_length(16_385))
        .await;
    peer.expect_goaway(ErrorCode::FRAME_SIZE_ERROR).await;
    peer.expect_eof().await;
}

#[tokio::test]
async fn unknown_frames_and_a_reserved_bit_are_ignored() {
    let (mut peer, _server) = connect().await;
    peer.send(RawFrame::new(0xbb, 0xff, 0, b"what")).await;
    peer.send(ping(*b"reserved").raw().reserved_bit()).await;
    peer.expect_ping_ack(*b"reserved").await;
    peer.assert_silent_until_ping().await;
}

#[tokio::test]
async fn octets_that_are_no_preface_end_the_connection() {
    let (near, _server) = serve();
    let mut peer = WirePeer::unshaken(near);
    peer.send_octets(b"GET / HTTP/1.1\r\n\r\n").await;
    peer.expect_settings().await;
    peer.expect_closed().await;
}

#[tokio::test]
async fn the_settings_exchange_may_be_the_tests() {
    let (near, _server) = serve();
    let mut peer = WirePeer::unshaken(near);
    peer.send_preface().await;
    peer.send(settings().initial_window_size(3)).await;
    peer.expect_settings().await;
    peer.expect_settings_ack().await;
    peer.send(settings_ack()).await;

    // The server may send three octets, and no more until the window grows.
    peer.send(grpc_request(1, "/s/m")).await;
    peer.send(data(1, b"abcdef").end_stream()).await;
    peer.expect_headers(1).await;
    assert_eq!(peer.expect_data(1).await.payload, &b"abc"[..]);
    peer.assert_silent_until_ping().await;
    peer.send(window_update(1, 100)).await;
    assert_eq!(peer.expect_data(1).await.payload, &b"def"[..]);
    peer.expect_trailers(1).await;
}

#[tokio::test]
async fn a_reset_stream_is_silent() {
    let (mut peer, _server) = connect().await;
    peer.send(grpc_request(1, "/s/m")).await;
    peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
    peer.assert_silent_until_ping().await;
    peer.send(grpc_request(3, "/s/m").end_stream()).await;
    peer.expect_headers(3).await;
}

#[tokio::test]
async fn the_servers_stream_error_is_a_rst() {
    let (mut peer, _server) = connect().await;
    // A request may not carry a connection-specific field (RFC 9113 section 8.2.2).
    peer.send(
        grpc_request(1, "/s/m")
            .field("connection", "close")
            .end_stream(),
    )
    .await;
    peer.expect_rst(1, ErrorCode::PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn a_flood_reads_its_answers_meanwhile() {
    let (near, far) = duplex(1 << 10);
    let _server = tokio::spawn(echo(far));
    let mut peer = WirePeer::client(near).await;
    assert_eq!(peer.flood(ping(*b"01234567"), 1_000).await, 1_000);
    for _ in 0..1_000 {
        peer.expect_ping_ack(*b"01234567").await;
    }
    peer.assert_silent_until_ping().await;
}

#[tokio::test]
async fn a_flood_ends_when_the_other_side_has_had_enough() {
    let (mut peer, _server) = connect().await;
    let frames: Vec<RawFrame> = vec![headers(1).raw(), continuation(1, [0; 0]).raw()];
    peer.send(&frames[0]).await;
    peer.flood(&frames[1], 1_000_000).await;
    peer.expect_connection_error(ErrorCode::ENHANCE_YOUR_CALM)
        .await;
}

#[tokio::test]
async fn a_half_closed_connection_can_still_be_read() {
    let (mut peer, server) = connect().await;
    peer.send(ping(*b"farewell")).await;
    peer.half_close().await.unwrap();
    peer.expect_ping_ack(*b"farewell").await;
    peer.expect_closed().await;
    server.await.unwrap();
}
