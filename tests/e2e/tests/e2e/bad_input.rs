//! Garbage ends its connection, or its stream, and nothing else.

use rgrpc::Code;
use rgrpc_e2e::{
    STUB_BIDI_STREAMING, STUB_UNARY, StubClient, StubService, TestServer, answer, expect_text,
    framed, hang, msg, native, scripted, serve, settle, soon, unary,
};
use rgrpc_test_support::{
    ErrorCode, Event, Frame, PREFACE, RawFrame, WireFrame, WirePeer, continuation, data,
    grpc_request, grpc_response, headers, kind, ping, push_promise, rst_stream, settings,
    window_update,
};

/// Expects the other side to close the connection, and skips all frames before.
async fn expect_closed(peer: &mut WirePeer, what: &str) {
    loop {
        match peer.next_event().await {
            Event::Frame(_) => {}
            Event::Eof | Event::Broken(_) => return,
            Event::Nothing => panic!("{what}: the connection stays open: {peer:?}"),
        }
    }
}

async fn expect_serving(server: &TestServer, what: &str) {
    let client = server.client();
    let outcome = soon(async { client.unary(msg("alive")).await }).await;
    outcome.unwrap_or_else(|status| panic!("after {what}: {status}"));
}

fn pseudo_random(length: usize) -> Vec<u8> {
    // xorshift: the same octets in every run.
    let mut state: u32 = 0x9e37_79b9;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[tokio::test(start_paused = true)]
async fn an_invalid_preface_closes_the_connection() {
    let server = serve(StubService::echo());
    let bystander = server.client();
    bystander.unary(msg("")).await.expect("OK");
    for (what, octets) in [
        (
            "HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(),
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaa".to_vec(),
        ),
        ("zeros", vec![0; 100]),
        ("noise", pseudo_random(10_000)),
        (
            "a preface with one wrong octet",
            [&PREFACE[..23], b"!", &[0; 9]].concat(),
        ),
    ] {
        let mut peer = WirePeer::unshaken(server.io().await);
        peer.send_octets(octets).await;
        expect_closed(&mut peer, what).await;
        bystander.unary(msg("")).await.expect("OK");
        expect_serving(&server, what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_after_the_preface_closes_the_connection() {
    let server = serve(StubService::echo());
    let bystander = server.client();
    let frames: [(&str, Vec<u8>); 3] = [
        ("noise", pseudo_random(20_000)),
        ("HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n".repeat(100)),
        ("SETTINGS of five octets", {
            RawFrame::new(kind::SETTINGS, 0, 0, [0; 5])
                .encode()
                .to_vec()
        }),
    ];
    for (what, octets) in frames {
        let mut peer = WirePeer::unshaken(server.io().await);
        peer.send_octets([&PREFACE[..], &octets].concat()).await;
        expect_closed(&mut peer, what).await;
        bystander.unary(msg("")).await.expect("OK");
        expect_serving(&server, what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_break_the_connections_rules_end_it_and_its_calls_alone() {
    let (hang, mut watch) = hang();
    let server = serve(StubService::echo().bidi_streaming(move |_, _| {
        let hang = hang.clone();
        async move { match hang.forever().await {} }
    }));
    let bystander = server.client();
    bystander.unary(msg("")).await.expect("OK");
    let frames: Vec<(&str, Vec<RawFrame>)> = vec![
        ("DATA on stream 0", data(0, "x").to_raw()),
        ("DATA on a stream that is not open", data(7, "x").to_raw()),
        ("HEADERS on stream 0", headers(0).end_headers().to_raw()),
        (
            "HPACK that is none",
            headers(3).raw_block([0xff; 20]).end_headers().to_raw(),
        ),
        ("CONTINUATION of nothing", continuation(1, "").to_raw()),
        (
            "a frame inside a header block",
            [
                grpc_request(3, "/s/m").cut([3]).to_raw()[0].clone(),
                ping([0; 8]).raw(),
            ]
            .to_vec(),
        ),
        (
            "PUSH_PROMISE by a client",
            push_promise(1, 2).end_headers().to_raw(),
        ),
        (
            "RST_STREAM on stream 0",
            rst_stream(0, ErrorCode::CANCEL).to_raw(),
        ),
        (
            "RST_STREAM of an idle stream",
            rst_stream(9, ErrorCode::CANCEL).to_raw(),
        ),
        (
            "PING of seven octets",
            ping([0; 8]).raw().payload([0; 7]).to_raw(),
        ),
        ("PING on a stream", ping([0; 8]).raw().stream(1).to_raw()),
        ("WINDOW_UPDATE by zero", window_update(0, 0).to_raw()),
        (
            "a connection window beyond 2^31-1",
            [window_update(0, 0x7fff_ffff), window_update(0, 0x7fff_ffff)]
                .map(|f| f.raw())
                .to_vec(),
        ),
        (
            "a stream window by SETTINGS beyond 2^31-1",
            settings().initial_window_size(1 << 31).to_raw(),
        ),
        ("SETTINGS on a stream", settings().raw().stream(1).to_raw()),
        (
            "a frame larger than allowed",
            RawFrame::new(kind::DATA, 0, 1, vec![0; 16_385]).to_raw(),
        ),
    ];
    for (what, frames) in frames {
        let mut peer = server.wire_client().await;
        peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
        watch.begun().await;
        peer.send(frames).await;
        expect_closed(&mut peer, what).await;
        watch.dropped().await;
        bystander.unary(msg("")).await.expect("OK");
        expect_serving(&server, what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_break_a_streams_rules_leave_the_connections_other_calls_alone() {
    let (hang, mut watch) = hang();
    let server = serve(StubService::echo().bidi_streaming(move |_, _| {
        let hang = hang.clone();
        async move { match hang.forever().await {} }
    }));
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    watch.begun().await;
    let bad: Vec<(&str, u32, Vec<RawFrame>)> = vec![
        (
            "no method",
            5,
            headers(5)
                .path(STUB_UNARY)
                .scheme("http")
                .end_headers()
                .to_raw(),
        ),
        (
            "a pseudo-header after a field",
            9,
            grpc_request(9, STUB_UNARY).path("/again").to_raw(),
        ),
    ];
    for (what, id, frames) in bad {
        peer.send(frames).await;
        let reset = peer.skip_to(what, |frame| match frame {
            Frame::RstStream(reset) if reset.stream_id == id => Ok(reset),
            other => Err(other),
        });
        assert_eq!(reset.await.code, ErrorCode::PROTOCOL_ERROR, "{what}");
    }
    peer.send(grpc_request(11, STUB_UNARY)).await;
    peer.send(data(11, framed("alive")).end_stream()).await;
    assert_eq!(peer.expect_response(11).await.trailers.code, 0);
    assert!(watch.is_quiet(), "the call on stream 1 was disturbed");
}

#[tokio::test(start_paused = true)]
async fn field_names_that_cannot_be_reach_no_handler_and_harm_no_other_connection() {
    let service = StubService::echo().bidi_streaming(|_, _| async { panic!("it was called") });
    let server = serve(service);
    let bystander = server.client();
    bystander.unary(msg("")).await.expect("OK");
    let heads = [
        grpc_request(1, STUB_BIDI_STREAMING).field("X-Case", "1"),
        headers(1)
            .field(":mine", "1")
            .method("POST")
            .path(STUB_BIDI_STREAMING)
            .grpc()
            .end_headers(),
    ];
    for head in heads {
        let mut peer = server.wire_client().await;
        peer.send(head).await;
        if native() {
            peer.expect_rst(1, ErrorCode::PROTOCOL_ERROR).await;
            peer.send(grpc_request(3, STUB_UNARY)).await;
            peer.send(data(3, framed("alive")).end_stream()).await;
            assert_eq!(peer.expect_response(3).await.trailers.code, 0);
        } else {
            // Malformed is a stream error, which an endpoint may make an error of the connection
            // (RFC 9113, 5.4.1), as the `h2` engine does.
            peer.expect_connection_error(ErrorCode::PROTOCOL_ERROR)
                .await;
        }
        bystander.unary(msg("")).await.expect("OK");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_an_unknown_type_is_ignored() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    for (kind, id) in [(0xb, 0), (0xfa, 0), (0xfa, 1), (0xfa, 99)] {
        peer.send(RawFrame::new(kind, 0xff, id, b"whatever")).await;
    }
    peer.send(data(1, framed("")).end_stream()).await;
    assert_eq!(peer.expect_response(1).await.trailers.code, 0);
}

#[tokio::test(start_paused = true)]
async fn connections_that_break_off_anywhere_are_harmless() {
    let server = serve(StubService::echo());
    let bystander = server.client();
    let request = grpc_request(1, STUB_UNARY).raw().encode();
    let whole = [
        &PREFACE[..],
        &settings().raw().encode(),
        &request,
        &data(1, framed("hello")).end_stream().raw().encode(),
    ]
    .concat();
    for length in (0..whole.len()).step_by(7) {
        let mut peer = WirePeer::unshaken(server.io().await);
        peer.send_octets(&whole[..length]).await;
        drop(peer);
        bystander.unary(msg("")).await.expect("OK");
    }
    settle().await;
    // Nothing of them is left.
    drop(bystander);
    soon(server.handle().graceful_stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_closes_its_sending_direction_gets_no_call_stuck() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.half_close().await.expect("closed");
    expect_closed(&mut peer, "a half-open connection").await;
    soon(server.handle().graceful_stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_talks_garbage_makes_calls_unavailable_and_is_left() {
    for (what, octets) in [
        (
            "HTTP/1.1",
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(),
        ),
        ("noise", pseudo_random(10_000)),
        ("nothing", Vec::new()),
    ] {
        let (conn, mut server) = scripted();
        let client = StubClient::new(conn);
        let call = unary(&client, "");
        let mut peer = WirePeer::unshaken(server.io().await);
        peer.expect_preface().await;
        peer.send_octets(octets).await;
        drop(peer);
        let status = soon(call).await.expect("no panic").expect_err("garbage");
        assert_eq!(status.code(), Code::Unavailable, "{what}: {status}");

        // The next connection is as good as any.
        let call = tokio::spawn(async move { client.unary(msg("")).wait_for_ready(true).await });
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        answer(&mut peer, 1, "").await;
        expect_text(call, "").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_the_connections_rules_makes_its_calls_unavailable() {
    let frames: Vec<(&str, Vec<RawFrame>)> = vec![
        ("DATA on stream 0", data(0, "x").to_raw()),
        (
            "HPACK that is none",
            headers(1).raw_block([0xff; 20]).end_headers().to_raw(),
        ),
        (
            "PUSH_PROMISE though it is off",
            push_promise(1, 2).end_headers().to_raw(),
        ),
        ("WINDOW_UPDATE by zero", window_update(0, 0).to_raw()),
        ("an even stream", grpc_response(2).to_raw()),
    ];
    for (what, frames) in frames {
        let (conn, mut server) = scripted();
        let client = StubClient::new(conn);
        let call = unary(&client, "");
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        peer.send(frames).await;
        let status = soon(call).await.expect("no panic").expect_err("broken");
        assert_eq!(status.code(), Code::Unavailable, "{what}: {status}");
        expect_closed(&mut peer, what).await;
    }
}
