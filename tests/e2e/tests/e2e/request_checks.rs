//! The server's checks of request headers, field by field: the wire peer is the client.
//!
//! Source: grpc-go `internal/transport/http2_server.go`, `operateHeaders`; its tests
//! `TestHeadersCausingStreamError` and `TestHeadersHTTPStatusGRPCStatus`.

use rgrpc::Response;
use rgrpc_e2e::{STUB_UNARY, StubService, TestServer, encoded, framed, msg, serve};
use rgrpc_test_support::{
    ErrorCode, Frame, Headers, WirePeer, data, grpc_request, headers, rst_stream,
};

/// A request head, to which a test adds the fields under test.
fn head(fields: impl FnOnce(Headers) -> Headers) -> Headers {
    head_of("POST", fields)
}

fn head_of(method: &str, fields: impl FnOnce(Headers) -> Headers) -> Headers {
    let pseudo = headers(1)
        .method(method)
        .scheme("http")
        .path(STUB_UNARY)
        .authority("localhost");
    fields(pseudo).grpc().end_headers()
}

/// Sends a head without END_STREAM, and expects an answer of one HEADERS frame. Then expects that
/// the client need not end the stream.
async fn expect_rejection(head: Headers, http_status: &str, grpc_status: u32) {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(head).await;
    let answer = peer.expect_headers(1).await;
    assert!(answer.end_stream, "one HEADERS frame is the answer");
    assert_eq!(answer.get(":status"), Some(http_status));
    assert_eq!(answer.get("content-type"), Some("application/grpc"));
    assert_eq!(answer.get("grpc-status"), Some(&*grpc_status.to_string()));
    assert!(!answer.get("grpc-message").unwrap_or_default().is_empty());
    peer.expect_rst(1, ErrorCode::NO_ERROR).await;
    expect_alive(&mut peer, 3).await;
}

/// Expects the stream error, and that the connection is none the worse for it.
async fn expect_reset(head: Headers) {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(head).await;
    peer.expect_rst(1, ErrorCode::PROTOCOL_ERROR).await;
    expect_alive(&mut peer, 3).await;
}

async fn expect_alive(peer: &mut WirePeer, stream_id: u32) {
    peer.send(grpc_request(stream_id, STUB_UNARY)).await;
    peer.send(data(stream_id, framed("alive")).end_stream())
        .await;
    let response = peer.expect_response(stream_id).await;
    assert_eq!(response.trailers.code, 0);
    assert_eq!(response.messages[0].body, encoded("alive"));
}

/// Sends a whole call with this head, and expects it to be answered well.
async fn expect_accepted(server: &TestServer, head: Headers) -> Vec<u8> {
    let mut peer = server.wire_client().await;
    peer.send(head).await;
    peer.send(data(1, framed("ok")).end_stream()).await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.trailers.code, 0, "{}", response.trailers.message);
    response.messages[0].body.to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_content_type_that_is_not_grpcs_is_http_415_and_invalid_argument() {
    for content_type in ["text/html", "application/json", "application/grpcfoo", ""] {
        let head = head(|head| head.field("content-type", content_type));
        expect_rejection(head, "415", 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_content_type_is_http_415_and_invalid_argument() {
    let head = headers(1)
        .method("POST")
        .scheme("http")
        .path(STUB_UNARY)
        .authority("localhost")
        .end_headers();
    expect_rejection(head, "415", 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_content_type_of_grpc_with_subtype_or_parameters_is_accepted() {
    let server = serve(StubService::echo());
    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc+unheard-of",
        "application/grpc;charset=utf-8",
    ] {
        let head = head(|head| head.field("content-type", content_type));
        expect_accepted(&server, head).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_other_than_post_is_http_405_and_internal() {
    for method in ["GET", "PUT"] {
        expect_rejection(head_of(method, |head| head), "405", 13).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_timeout_is_http_400_and_internal() {
    for timeout in [
        "",
        "1",
        "S",
        "soon",
        "1s",
        "-1S",
        "+1S",
        "1.5S",
        "123456789n",
        " 1S",
    ] {
        let head = head(|head| head.field("grpc-timeout", timeout));
        expect_rejection(head, "400", 13).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_is_deadline_exceeded_at_once() {
    for timeout in ["0n", "0S", "00000000H"] {
        let head = head(|head| head.field("grpc-timeout", timeout));
        expect_rejection(head, "200", 4).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_any_unit_and_of_eight_digits_is_accepted() {
    let server = serve(StubService::echo());
    for timeout in ["99999999n", "1000000u", "1000m", "1S", "1M", "99999999H"] {
        let head = head(|head| head.field("grpc-timeout", timeout));
        expect_accepted(&server, head).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_binary_value_that_is_not_base64_is_http_400_and_internal() {
    for value in ["!", "A", "ab=c", "AA==,!"] {
        let head = head(|head| head.field("x-data-bin", value));
        expect_rejection(head, "400", 13).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_host_fields_are_http_400_and_internal() {
    let head = head(|head| head.field("host", "a").field("host", "b"));
    expect_rejection(head, "400", 13).await;
}

#[tokio::test(start_paused = true)]
async fn two_authorities_end_the_stream() {
    expect_reset(head(|head| head.authority("another"))).await;
}

#[tokio::test(start_paused = true)]
async fn connection_specific_fields_end_the_stream() {
    for (name, value) in [
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ] {
        expect_reset(head(|head| head.field(name, value))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_te_is_accepted() {
    let server = serve(StubService::echo());
    let head = headers(1)
        .method("POST")
        .scheme("http")
        .path(STUB_UNARY)
        .authority("localhost")
        .field("content-type", "application/grpc")
        .end_headers();
    expect_accepted(&server, head).await;
}

#[tokio::test(start_paused = true)]
async fn host_stands_in_for_a_missing_authority_and_yields_to_one() {
    let service = StubService::new().unary(async |request| {
        let metadata = request.metadata();
        assert!(metadata.get("host").is_none());
        Ok(Response::new(msg(metadata
            .get(":authority")
            .unwrap_or("none"))))
    });
    let server = serve(service);
    let both = head(|head| head.field("host", "from-host"));
    assert_eq!(expect_accepted(&server, both).await, encoded("localhost"));
    let host = headers(1)
        .method("POST")
        .scheme("http")
        .path(STUB_UNARY)
        .field("content-type", "application/grpc")
        .field("host", "from-host")
        .end_headers();
    assert_eq!(expect_accepted(&server, host).await, encoded("from-host"));
}

#[tokio::test(start_paused = true)]
async fn the_first_check_that_fails_answers() {
    let head = head_of("GET", |head| {
        head.field("grpc-timeout", "soon")
            .field("content-type", "text/plain")
    });
    expect_rejection(head, "415", 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_that_has_ended_needs_no_reset() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    let head = head(|head| head.field("content-type", "text/html"));
    peer.send(head.end_stream()).await;
    assert!(peer.expect_headers(1).await.end_stream);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn an_even_stream_id_is_a_connection_error() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(2, STUB_UNARY)).await;
    peer.expect_connection_error(ErrorCode::PROTOCOL_ERROR)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_id_below_an_earlier_one_is_a_connection_error() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(5, STUB_UNARY)).await;
    peer.send(rst_stream(5, ErrorCode::CANCEL)).await;
    peer.send(grpc_request(3, STUB_UNARY)).await;
    peer.skip_to("GOAWAY", |frame| match frame {
        Frame::GoAway(goaway) => Ok(goaway),
        other => Err(other),
    })
    .await;
}
