//! The client's checks of a response, frame by frame: the wire peer is the server.
//!
//! Source: grpc-go `internal/transport/http2_client.go`, `operateHeaders`; its tests
//! `TestHTTPHeaderFrameErrorHandling*`, `TestHTTPServerSendsNonGRPCHeaderSurfaceFurtherData` and
//! `TestClientTransport_Handle1xxHeaders`.

use rgrpc::{Code, Status};
use rgrpc_e2e::{
    Outcome, StubClient, answer, expect_text, framed, native, scripted, soon, text, unary,
};
use rgrpc_test_support::{
    ErrorCode, Headers, WirePeer, data, grpc_response, grpc_trailers, headers, rst_stream,
    trailers_only,
};

/// Makes a unary call, answers its request by the script, and returns how the call ended.
async fn answered(script: impl AsyncFnOnce(&mut WirePeer)) -> (Outcome, WirePeer) {
    let (conn, mut server) = scripted();
    let call = unary(&StubClient::new(conn), "request");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    script(&mut peer).await;
    let outcome = soon(call).await.expect("the call does not panic");
    (outcome, peer)
}

/// The failure of a call that was answered with these frames.
async fn failure(script: impl AsyncFnOnce(&mut WirePeer)) -> Status {
    answered(script).await.0.expect_err("the call fails")
}

fn not_grpc_head(http_status: u16) -> Headers {
    headers(1)
        .status(http_status)
        .field("content-type", "text/html")
        .end_headers()
}

#[tokio::test(start_paused = true)]
async fn a_response_of_headers_message_and_trailers_is_ok() {
    let (outcome, _) = answered(async |peer| answer(peer, 1, "response").await).await;
    assert_eq!(text(outcome.expect("OK").message()), "response");
}

#[tokio::test(start_paused = true)]
async fn with_grpcs_content_type_the_http_status_is_ignored() {
    for http_status in [204, 404, 500] {
        let (outcome, _) = answered(async |peer| {
            let head = headers(1)
                .status(http_status)
                .field("content-type", "application/grpc+proto")
                .end_headers();
            peer.send(head).await;
            peer.send(data(1, framed("fine"))).await;
            peer.send(grpc_trailers(1, 0)).await;
        })
        .await;
        assert_eq!(
            text(outcome.expect("OK").message()),
            "fine",
            "{http_status}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_grpcs_content_type_the_http_status_decides() {
    for (http_status, code) in [
        (200, Code::Unknown),
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (418, Code::Unknown),
        (429, Code::Unavailable),
        (431, Code::Internal),
        (500, Code::Unknown),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
    ] {
        let status = failure(async |peer| {
            peer.send(not_grpc_head(http_status).end_stream()).await;
        })
        .await;
        assert_eq!(status.code(), code, "{http_status}");
        assert!(
            status.message().contains(&http_status.to_string()),
            "{status}"
        );
        assert!(status.message().contains("text/html"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_does_not_count_without_grpcs_content_type() {
    let status = failure(async |peer| {
        let head = not_grpc_head(503).field("grpc-status", "0").end_stream();
        peer.send(head).await;
    })
    .await;
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_foreign_response_is_shown_in_the_status() {
    let status = failure(async |peer| {
        peer.send(not_grpc_head(502)).await;
        peer.send(data(1, "<h1>Bad ")).await;
        peer.send(data(1, "Gateway</h1>").end_stream()).await;
    })
    .await;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().ends_with("data: \"<h1>Bad Gateway</h1>\""),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn of_a_long_foreign_body_1024_bytes_are_shown_and_the_stream_is_reset() {
    let (outcome, mut peer) = answered(async |peer| {
        peer.send(not_grpc_head(502)).await;
        peer.send(data(1, "x".repeat(1000))).await;
        peer.send(data(1, "x".repeat(1000))).await;
    })
    .await;
    let status = outcome.expect_err("the call fails");
    assert_eq!(
        status.message().matches('x').count() - "text".matches('x').count(),
        1024
    );
    peer.expect_rst(1, ErrorCode::PROTOCOL_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_without_http_status_and_without_content_type_fails() {
    let status = failure(async |peer| {
        peer.send(headers(1).field("x-a", "1").end_headers().end_stream())
            .await;
    })
    .await;
    assert!(
        matches!(status.code(), Code::Internal | Code::Unknown),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_garbled_http_status_fails_the_call() {
    let (outcome, mut peer) = answered(async |peer| {
        peer.send(
            headers(1)
                .field(":status", "ok")
                .field("content-type", "text/html")
                .end_headers()
                .end_stream(),
        )
        .await;
    })
    .await;
    let status = outcome.expect_err("malformed");
    if native() {
        assert_eq!(status.code(), Code::Internal, "{status}");
        peer.expect_rst(1, ErrorCode::PROTOCOL_ERROR).await;
    } else {
        // Malformed is a stream error, which an endpoint may make an error of the connection (RFC
        // 9113, 5.4.1), as the `h2` engine does.
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn informational_responses_are_skipped() {
    let (outcome, _) = answered(async |peer| {
        for http_status in [100, 103] {
            peer.send(headers(1).status(http_status).end_headers())
                .await;
        }
        answer(peer, 1, "after").await;
    })
    .await;
    assert_eq!(text(outcome.expect("OK").message()), "after");
}

#[tokio::test(start_paused = true)]
async fn an_informational_response_that_ends_the_stream_is_internal() {
    let status = failure(async |peer| {
        peer.send(headers(1).status(100).end_headers().end_stream())
            .await;
    })
    .await;
    assert_eq!(status.code(), Code::Internal, "{status}");
}

#[tokio::test(start_paused = true)]
async fn headers_in_mid_stream_that_do_not_end_it_are_internal_and_reset() {
    let (outcome, mut peer) = answered(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(data(1, framed("one"))).await;
        peer.send(grpc_response(1)).await;
    })
    .await;
    assert_eq!(outcome.expect_err("malformed").code(), Code::Internal);
    peer.expect_rst(1, ErrorCode::PROTOCOL_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn trailers_only_have_the_status_and_the_metadata() {
    let status = failure(async |peer| {
        let trailers = trailers_only(1, 5)
            .field("grpc-message", "no%20such%20thing")
            .field("x-why", "gone");
        peer.send(trailers).await;
    })
    .await;
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no such thing");
    assert_eq!(status.metadata().get("x-why"), Some("gone"));
}

#[tokio::test(start_paused = true)]
async fn trailers_without_a_status_are_unknown() {
    for trailers_only in [true, false] {
        let status = failure(async |peer| {
            if trailers_only {
                peer.send(grpc_response(1).end_stream()).await;
            } else {
                peer.send(grpc_response(1)).await;
                peer.send(headers(1).field("x-a", "1").end_headers().end_stream())
                    .await;
            }
        })
        .await;
        assert_eq!(
            status.code(),
            Code::Unknown,
            "trailers-only: {trailers_only}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_no_number_is_unknown() {
    for garbled in ["ok", "", "1x", "4294967296"] {
        let status = failure(async |peer| {
            peer.send(grpc_response(1)).await;
            let trailers = headers(1).field("grpc-status", garbled);
            peer.send(trailers.end_headers().end_stream()).await;
        })
        .await;
        assert_eq!(status.code(), Code::Unknown, "{garbled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_beyond_those_that_are_known_is_unknown_and_keeps_its_text() {
    let status = failure(async |peer| {
        peer.send(trailers_only(1, 17).field("grpc-message", "from the future"))
            .await;
    })
    .await;
    assert_eq!(status.code(), Code::Unknown);
    assert_eq!(status.message(), "from the future");
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_binary_value_in_headers_is_internal_and_reset() {
    let (outcome, mut peer) = answered(async |peer| {
        peer.send(grpc_response(1).field("x-data-bin", "!")).await;
    })
    .await;
    assert_eq!(outcome.expect_err("malformed").code(), Code::Internal);
    peer.expect_rst(1, ErrorCode::PROTOCOL_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_binary_value_in_trailers_is_internal() {
    let status = failure(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(data(1, framed("one"))).await;
        peer.send(grpc_trailers(1, 0).field("x-data-bin", "!"))
            .await;
    })
    .await;
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn data_that_ends_the_stream_without_trailers_is_internal() {
    let status = failure(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(data(1, framed("one")).end_stream()).await;
    })
    .await;
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(
        status.message(),
        "the server closed the stream without sending trailers"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_cut_off_by_the_status_is_internal() {
    let status = failure(async |peer| {
        peer.send(grpc_response(1)).await;
        let message = framed("cut off");
        peer.send(data(1, &message[..message.len() - 1])).await;
        peer.send(grpc_trailers(1, 0)).await;
    })
    .await;
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("unexpected EOF"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_more_than_a_message_that_is_cut_off_by_it() {
    let status = failure(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(data(1, &framed("cut off")[..6])).await;
        peer.send(grpc_trailers(1, 10)).await;
    })
    .await;
    assert_eq!(status.code(), Code::Aborted);
}

#[tokio::test(start_paused = true)]
async fn a_reset_maps_to_its_status() {
    for (code, expected) in [
        (ErrorCode::NO_ERROR, Code::Internal),
        (ErrorCode::PROTOCOL_ERROR, Code::Internal),
        (ErrorCode::INTERNAL_ERROR, Code::Internal),
        (ErrorCode::FLOW_CONTROL_ERROR, Code::Internal),
        (ErrorCode::SETTINGS_TIMEOUT, Code::Internal),
        (ErrorCode::STREAM_CLOSED, Code::Internal),
        (ErrorCode::FRAME_SIZE_ERROR, Code::Internal),
        (ErrorCode::CANCEL, Code::Cancelled),
        (ErrorCode::COMPRESSION_ERROR, Code::Internal),
        (ErrorCode::CONNECT_ERROR, Code::Internal),
        (ErrorCode::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (ErrorCode::INADEQUATE_SECURITY, Code::PermissionDenied),
        (ErrorCode::HTTP_1_1_REQUIRED, Code::Internal),
        (ErrorCode(0xfe), Code::Unknown),
    ] {
        for headers_first in [false, true] {
            let status = failure(async |peer| {
                if headers_first {
                    peer.send(grpc_response(1)).await;
                }
                peer.send(rst_stream(1, code)).await;
            })
            .await;
            assert_eq!(
                status.code(),
                expected,
                "{code}, headers first: {headers_first}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_the_trailers_changes_nothing() {
    let (outcome, _) = answered(async |peer| {
        answer(peer, 1, "whole").await;
        peer.send(rst_stream(1, ErrorCode::NO_ERROR)).await;
    })
    .await;
    assert_eq!(text(outcome.expect("OK").message()), "whole");
}

#[tokio::test(start_paused = true)]
async fn trailers_before_the_requests_end_make_the_client_stop_with_no_error() {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let client = StubClient::new(conn);
        let (requests, mut responses) = client.bidi_streaming().await?;
        let end = responses.recv().await;
        drop(requests);
        end
    });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    peer.send(trailers_only(1, 0)).await;
    assert_eq!(soon(call).await.expect("no panic").expect("OK"), None);
    peer.expect_rst(1, ErrorCode::NO_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_http2_fails_its_call_alone() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let first = unary(&client, "first");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let head = grpc_response(1).field("connection", "close");
    peer.send(head).await;
    let status = soon(first).await.expect("no panic").expect_err("malformed");
    assert_eq!(status.code(), Code::Internal, "{status}");
    peer.expect_rst(1, ErrorCode::PROTOCOL_ERROR).await;

    let second = unary(&client, "second");
    peer.expect_request(3).await;
    answer(&mut peer, 3, "fine").await;
    expect_text(second, "fine").await;
}
