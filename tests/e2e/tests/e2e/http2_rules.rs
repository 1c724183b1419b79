//! Rules of HTTP/2 that h2spec cannot check here, because a gRPC server turns its requests away
//! before they matter (see `tests/h2spec/expected`): they are checked on calls that were let in.
//!
//! Source: RFC 9113, sections 5.1, 6.5.3, 6.9 and 8.1.

use rgrpc_e2e::{
    STUB_BIDI_STREAMING, STUB_SERVER_STREAMING, StubService, TestServer, framed, msg, native, serve,
};
use rgrpc_test_support::{
    Dependency, ErrorCode, Frame, RawFrame, Settings, WireFrame, WirePeer, data, grpc_request,
    headers, priority, rst_stream, setting, settings, window_update,
};

/// A server whose bidi method never ends by itself, and a client that has called it on stream 1
/// with this much content announced.
async fn with_open_call(content_length: Option<&str>) -> (TestServer, WirePeer) {
    let (service, mut watch) = StubService::hanging();
    let server = serve(service);
    let mut peer = WirePeer::client(server.io().await).await;
    peer.take_connection_window().await;
    let mut request = grpc_request(1, STUB_BIDI_STREAMING);
    if let Some(length) = content_length {
        request = request.field("content-length", length);
    }
    peer.send(request).await;
    watch.begun().await;
    (server, peer)
}

#[tokio::test(start_paused = true)]
async fn a_stream_error_is_answered_with_the_code_of_the_rfc() {
    let mut bad: Vec<(&str, Option<&str>, Vec<RawFrame>, ErrorCode)> = vec![
        (
            "DATA after RST_STREAM",
            None,
            [rst_stream(1, ErrorCode::CANCEL).raw(), data(1, "x").raw()].to_vec(),
            ErrorCode::STREAM_CLOSED,
        ),
        (
            "HEADERS after RST_STREAM",
            None,
            [
                rst_stream(1, ErrorCode::CANCEL).raw(),
                grpc_request(1, STUB_BIDI_STREAMING).raw(),
            ]
            .to_vec(),
            ErrorCode::STREAM_CLOSED,
        ),
        (
            "a window beyond 2^31-1",
            None,
            [
                window_update(1, 0x7fff_ffff).raw(),
                window_update(1, 0x7fff_ffff).raw(),
            ]
            .to_vec(),
            ErrorCode::FLOW_CONTROL_ERROR,
        ),
        (
            "a second HEADERS without END_STREAM",
            None,
            headers(1).field("x-a", "1").end_headers().to_raw(),
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "less content than content-length",
            Some("100"),
            data(1, framed("x")).end_stream().to_raw(),
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "more content than content-length in two frames",
            Some("8"),
            [
                data(1, framed("x")).raw(),
                data(1, framed("x")).end_stream().raw(),
            ]
            .to_vec(),
            ErrorCode::PROTOCOL_ERROR,
        ),
    ];
    if native() {
        // The `h2` crate takes them for trailers like any.
        let trailers = headers(1).method("POST").end_headers().end_stream();
        bad.push((
            "a pseudo-header among trailers",
            None,
            trailers.to_raw(),
            ErrorCode::PROTOCOL_ERROR,
        ));
    }
    for (what, content_length, frames, code) in bad {
        let (_server, mut peer) = with_open_call(content_length).await;
        peer.send(frames).await;
        peer.skip_to(what, |frame| match frame {
            Frame::RstStream(reset) if reset.stream_id == 1 && reset.code == code => Ok(()),
            // An endpoint may make a stream error one of the connection (section 5.4.1), and the
            // `h2` engine does, with a code of its own in one case.
            Frame::GoAway(goaway)
                if !native() && [code, ErrorCode::PROTOCOL_ERROR].contains(&goaway.code) =>
            {
                Ok(())
            }
            other => Err(other),
        })
        .await;
    }
}

/// A client with this initial window that has called a method which answers 1 KiB, and has read the
/// response's headers.
async fn with_response(initial_window: Settings) -> (TestServer, WirePeer) {
    let server = serve(
        StubService::new().server_streaming(|_, mut responses| async move {
            responses.send(msg(vec![7; 1024])).await
        }),
    );
    let mut peer = WirePeer::client(server.io().await).await;
    peer.take_connection_window().await;
    peer.send(initial_window).await;
    peer.expect_settings_ack().await;
    peer.send(grpc_request(1, STUB_SERVER_STREAMING)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    peer.expect_headers(1).await;
    (server, peer)
}

#[tokio::test(start_paused = true)]
async fn window_updates_and_priorities_count_though_the_request_has_ended() {
    let (_server, mut peer) = with_response(settings().initial_window_size(0)).await;
    peer.assert_silent_until_ping().await;
    let on = Dependency {
        stream_id: 0,
        exclusive: false,
        weight: 255,
    };
    peer.send(priority(1, on)).await;
    peer.assert_silent_until_ping().await;
    peer.send(window_update(1, 1)).await;
    assert_eq!(peer.expect_data(1).await.payload.len(), 1);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_setting_that_comes_twice_the_last_counts() {
    let twice = settings()
        .entry(setting::INITIAL_WINDOW_SIZE, 100)
        .entry(setting::INITIAL_WINDOW_SIZE, 1);
    let (_server, mut peer) = with_response(twice).await;
    assert_eq!(peer.expect_data(1).await.payload.len(), 1);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_window_that_settings_make_negative_has_to_be_made_up_for() {
    let (_server, mut peer) = with_response(settings().initial_window_size(3)).await;
    assert_eq!(peer.expect_data(1).await.payload.len(), 3);
    // 3 - 3 + (2 - 3) = -1
    peer.send(settings().initial_window_size(2)).await;
    peer.expect_settings_ack().await;
    peer.send(window_update(1, 1)).await;
    peer.assert_silent_until_ping().await;
    peer.send(window_update(1, 1)).await;
    assert_eq!(peer.expect_data(1).await.payload.len(), 1);
}
