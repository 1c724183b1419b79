//! Messages in DATA frames: any split, any padding, and what is no message.

use rgrpc::{Code, Status};
use rgrpc_e2e::{
    Message, STUB_BIDI_STREAMING, STUB_CLIENT_STREAMING, STUB_SERVER_STREAMING, STUB_UNARY,
    StubClient, StubService, encoded, framed, msg, native, scripted, serve, soon,
};
use rgrpc_test_support::{
    Data, ErrorCode, WirePeer, data, grpc_request, grpc_response, grpc_trailers, message_with,
};

/// Opens a stream and has it answered by the script; what the caller receives.
async fn received(script: impl AsyncFnOnce(&mut WirePeer)) -> (Vec<Message>, Option<Status>) {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let client = StubClient::new(conn);
        let mut responses = client.server_streaming(msg("")).await.expect("a stream");
        let mut messages = Vec::new();
        loop {
            match responses.recv().await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, None),
                Err(status) => return (messages, Some(status)),
            }
        }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    script(&mut peer).await;
    soon(call).await.expect("the call does not panic")
}

fn three_messages() -> Vec<u8> {
    [framed("one"), framed(""), framed("three")].concat()
}

fn are_three(messages: &[Message]) -> bool {
    messages == [msg("one"), msg(""), msg("three")]
}

/// The frames, each with what may stand between frames of DATA.
fn with_noise(frames: Vec<Data>) -> Vec<Data> {
    let noisy = frames.into_iter().flat_map(|frame| {
        let id = frame.stream_id;
        [data(id, ""), data(id, "").padded(3), frame.padded(5)]
    });
    noisy.collect()
}

#[tokio::test(start_paused = true)]
async fn the_client_finds_messages_in_any_frames() {
    let wire = three_messages();
    for size in 1..=wire.len() {
        let (messages, failure) = received(async |peer| {
            peer.send(grpc_response(1)).await;
            peer.send(data(1, &wire).split(size)).await;
            peer.send(grpc_trailers(1, 0)).await;
        })
        .await;
        assert!(failure.is_none(), "frames of {size}: {failure:?}");
        assert!(are_three(&messages), "frames of {size}: {messages:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_finds_messages_in_any_frames() {
    let wire = three_messages();
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    for (size, id) in (1..=wire.len()).zip((1..).step_by(2)) {
        peer.send(grpc_request(id, STUB_CLIENT_STREAMING)).await;
        peer.send(data(id, &wire).end_stream().split(size)).await;
        let response = peer.expect_response(id).await;
        assert_eq!(response.trailers.code, 0, "frames of {size}");
        assert_eq!(
            response.messages[0].body,
            encoded("onethree"),
            "frames of {size}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn padding_and_empty_frames_between_are_no_part_of_a_message() {
    let (messages, failure) = received(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(with_noise(data(1, three_messages()).split(4)))
            .await;
        peer.send(grpc_trailers(1, 0)).await;
    })
    .await;
    assert!(failure.is_none(), "{failure:?}");
    assert!(are_three(&messages), "{messages:?}");

    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_CLIENT_STREAMING)).await;
    peer.send(with_noise(data(1, three_messages()).split(4)))
        .await;
    peer.send(data(1, "").padded(9).end_stream()).await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.messages[0].body, encoded("onethree"));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_received_when_its_last_byte_is_there() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    let wire = [framed("one"), framed("two")].concat();
    let (first, rest) = wire.split_at(framed("one").len());
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    peer.send(data(1, &first[..first.len() - 1])).await;
    peer.assert_silent_until_ping().await;
    peer.send(data(1, [&first[first.len() - 1..], &rest[..3]].concat()))
        .await;
    peer.expect_headers(1).await;
    assert_eq!(peer.expect_message(1).await.body, encoded("one"));
    peer.assert_silent_until_ping().await;
    peer.send(data(1, &rest[3..]).end_stream()).await;
    assert_eq!(peer.expect_message(1).await.body, encoded("two"));
    assert_eq!(peer.expect_trailers(1).await.code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flag_that_is_neither_0_nor_1_is_internal() {
    for flag in [2, 0x80, 0xff] {
        let server = serve(StubService::echo());
        let mut peer = server.wire_client().await;
        peer.send(grpc_request(1, STUB_UNARY)).await;
        peer.send(data(1, message_with(flag, 0, b"")).end_stream())
            .await;
        assert_eq!(peer.expect_response(1).await.trailers.code, 13);

        let (messages, failure) = received(async |peer| {
            peer.send(grpc_response(1)).await;
            peer.send(data(
                1,
                [framed("one"), message_with(flag, 0, b"")].concat(),
            ))
            .await;
            peer.expect_rst(1, ErrorCode::CANCEL).await;
        })
        .await;
        assert_eq!(messages, [msg("one")]);
        assert_eq!(failure.expect("a failure").code(), Code::Internal);
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_message_without_an_encoding_is_internal() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    for (id, encoding) in [(1, None), (3, Some("identity"))] {
        let mut head = grpc_request(id, STUB_UNARY);
        if let Some(encoding) = encoding {
            head = head.field("grpc-encoding", encoding);
        }
        peer.send(head).await;
        peer.send(data(id, message_with(1, 2, b"xx")).end_stream())
            .await;
        let trailers = peer.expect_response(id).await.trailers;
        assert_eq!(trailers.code, 13, "{encoding:?}: {}", trailers.message);
    }

    let (_, failure) = received(async |peer| {
        peer.send(grpc_response(1)).await;
        peer.send(data(1, message_with(1, 2, b"xx"))).await;
    })
    .await;
    assert_eq!(failure.expect("a failure").code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_an_encoding_that_the_server_lacks_is_unimplemented() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    let head = grpc_request(1, STUB_UNARY).field("grpc-encoding", "snappy");
    peer.send(head).await;
    peer.send(data(1, message_with(1, 2, b"xx")).end_stream())
        .await;
    let trailers = peer.expect_response(1).await.trailers;
    assert_eq!(trailers.code, 12);
    assert!(
        trailers.message.contains("\"snappy\""),
        "{}",
        trailers.message
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_in_the_identity_encoding_is_plain() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    let head = grpc_request(1, STUB_UNARY).field("grpc-encoding", "identity");
    peer.send(head).await;
    peer.send(data(1, framed("plain")).end_stream()).await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.messages[0].body, encoded("plain"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_within_a_prefix_is_internal() {
    for length in 1..5 {
        let server = serve(StubService::echo());
        let mut peer = server.wire_client().await;
        peer.send(grpc_request(1, STUB_UNARY)).await;
        peer.send(data(1, &framed("x")[..length]).end_stream())
            .await;
        let trailers = peer.expect_response(1).await.trailers;
        assert_eq!(trailers.code, 13, "{length} bytes: {}", trailers.message);

        let (messages, failure) = received(async |peer| {
            peer.send(grpc_response(1)).await;
            peer.send(data(1, &framed("x")[..length])).await;
            peer.send(grpc_trailers(1, 0)).await;
        })
        .await;
        assert!(messages.is_empty());
        let failure = failure.expect("a failure");
        assert_eq!(failure.code(), Code::Internal, "{length} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_sent_without_a_wait_share_a_frame() {
    if !native() {
        // The h2 crate writes a frame for each.
        return;
    }
    let server = serve(
        StubService::new().server_streaming(|_, mut responses| async move {
            for message in ["one", "", "three"] {
                responses.send(msg(message)).await?;
            }
            Ok(())
        }),
    );
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_SERVER_STREAMING)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    peer.expect_headers(1).await;
    assert_eq!(peer.expect_data(1).await, data(1, three_messages()));
    assert_eq!(peer.expect_trailers(1).await.code, 0);

    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let client = StubClient::new(conn);
        let mut call = client.client_streaming().await.expect("a stream");
        for message in ["one", "", "three"] {
            call.send(msg(message)).await.expect("it is open");
        }
        call.close_and_recv().await
    });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    // The end of sending goes with them.
    let together = data(1, three_messages()).end_stream();
    assert_eq!(peer.expect_data(1).await, together);
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("done"))).await;
    peer.send(grpc_trailers(1, 0)).await;
    let response = soon(call).await.expect("the call does not panic");
    assert_eq!(response.expect("OK").message(), &msg("done"));
}
