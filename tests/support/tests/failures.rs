//! Failures of the peer: in time, at the place in the test, with the transcript.

use std::time::Duration;

use rgrpc_test_support::{
    ErrorCode, Event, Headers, WirePeer, data, grpc_request, grpc_response, grpc_trailers, headers,
    message, message_with, ping, rst_stream, settings, settings_ack, trailers_only,
};
use tokio::io::{DuplexStream, duplex};

fn pair() -> (WirePeer, WirePeer) {
    let (near, far) = duplex(1 << 16);
    (WirePeer::unshaken(near), WirePeer::unshaken(far))
}

/// The panic's text of a test that fails.
async fn failure(test: impl Future<Output: Send + 'static> + Send + 'static) -> String {
    let panic = tokio::spawn(test)
        .await
        .map(drop)
        .expect_err("the test should fail")
        .into_panic();
    *panic.downcast::<String>().expect("a formatted panic")
}

#[tokio::test]
async fn a_failure_names_the_place_the_expectation_and_the_transcript() {
    let (mut near, mut far) = pair();
    far.send(headers(1).status(200).end_headers()).await;
    near.send(ping(*b"01234567")).await;
    far.send(rst_stream(1, ErrorCode::CANCEL)).await;
    let text = failure(async move {
        near.expect_headers(1).await;
        near.expect_data(1).await;
    })
    .await;
    for part in [
        "failures.rs:",
        "expected DATA on stream 1",
        "instead: RST_STREAM stream=1 len=4 CANCEL",
        "-> PING stream=0 len=8 \"01234567\"",
        "<- HEADERS stream=1 len=13 END_HEADERS",
        ":status: 200",
        "<- RST_STREAM stream=1 len=4 CANCEL",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_waited_for_nothing_hears_what_comes_later() {
    let (mut near, mut far) = pair();
    assert_eq!(near.next_event().await, Event::Nothing);
    far.send(ping(*b"01234567")).await;
    near.expect_ping().await;
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_after_five_seconds() {
    let (mut near, _far) = pair();
    let start = tokio::time::Instant::now();
    let text = failure(async move { near.expect_ping().await }).await;
    assert!(text.contains("nothing came in time"), "{text}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn patience_bounds_an_unread_send() {
    let (near, _far) = duplex(16);
    let mut peer = WirePeer::unshaken(near).patience(Duration::from_secs(1));
    let start = tokio::time::Instant::now();
    let error = peer.try_send(data(1, [0; 100])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn the_end_of_the_connection_is_an_event_that_stays() {
    let (mut near, far) = pair();
    drop(far);
    assert_eq!(near.next_event().await, Event::Eof);
    near.expect_eof().await;
}

#[tokio::test]
async fn an_unfinished_frame_shows_in_the_transcript() {
    let (mut near, mut far) = pair();
    far.send_octets(b"\0\0\x08\x06").await;
    drop(far);
    near.expect_eof().await;
    let transcript = near.transcript().to_string();
    assert!(transcript.contains("4 octets into a frame"), "{transcript}");
}

#[tokio::test]
async fn silence_is_broken_by_any_frame_before_the_ack() {
    let (mut near, mut far) = pair();
    far.send(data(1, b"late")).await;
    far.send(ping(1u64.to_be_bytes()).ack()).await;
    let text = failure(async move { near.assert_silent_until_ping().await }).await;
    assert!(
        text.contains("instead: DATA stream=1 len=4 \"late\""),
        "{text}"
    );
}

#[tokio::test]
async fn housekeeping_hides_what_it_answers_and_strict_mode_does_not() {
    for keeps_house in [false, true] {
        let (near, mut far) = pair();
        let mut near = if keeps_house {
            near.housekeeping()
        } else {
            near
        };
        far.send(ping(*b"01234567")).await;
        far.send(rst_stream(1, ErrorCode::CANCEL)).await;
        if !keeps_house {
            near.expect_ping().await;
        }
        near.expect_rst(1, ErrorCode::CANCEL).await;
        drop(near);
        if keeps_house {
            far.expect_ping_ack(*b"01234567").await;
        }
        far.expect_eof().await;
    }
}

#[tokio::test]
async fn housekeeping_gives_the_windows_back_while_the_stream_is_open() {
    let (near, mut far) = pair();
    let mut near = near.housekeeping();
    far.send(data(1, b"four").padded(2)).await;
    far.send(data(1, b"end").end_stream()).await;
    near.expect_data(1).await;
    near.expect_data(1).await;
    drop(near);
    assert_eq!(far.expect_window_update(0).await.increment, 7);
    assert_eq!(far.expect_window_update(1).await.increment, 7);
    assert_eq!(far.expect_window_update(0).await.increment, 3);
    far.expect_eof().await;
}

#[tokio::test]
async fn a_truncated_message_fails_the_response() {
    let (mut near, mut far) = pair();
    far.send(grpc_response(1)).await;
    far.send(data(1, message_with(0, 10, b"short"))).await;
    far.send(grpc_trailers(1, 0)).await;
    let text = failure(async move { near.expect_response(1).await }).await;
    assert!(
        text.contains("instead: 10 octets of a truncated one"),
        "{text}"
    );
}

#[tokio::test]
async fn trailers_after_an_unread_message_fail() {
    let (mut near, mut far) = pair();
    far.send(data(1, [message(b"read"), message(b"unread")].concat()))
        .await;
    far.send(grpc_trailers(1, 0)).await;
    let text = failure(async move {
        near.expect_message(1).await;
        near.expect_trailers(1).await
    })
    .await;
    assert!(text.contains("instead: 11 octets of messages"), "{text}");
}

#[tokio::test]
async fn trailers_without_end_stream_or_status_fail() {
    let no_status = headers(1).end_headers().end_stream();
    let no_end = Headers {
        end_stream: false,
        ..trailers_only(1, 0)
    };
    for (frame, instead) in [
        (no_status, "no grpc-status"),
        (no_end, "without END_STREAM"),
    ] {
        let (mut near, mut far) = pair();
        far.send(frame).await;
        let text = failure(async move { near.expect_trailers(1).await }).await;
        assert!(text.contains(instead), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_preface_fails_the_handshake() {
    let (near, far): (DuplexStream, DuplexStream) = duplex(1 << 16);
    let mut client = WirePeer::unshaken(far);
    client
        .send_octets(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let text = failure(async move { WirePeer::server(near).await }).await;
    assert!(
        text.contains("expected the client's connection preface"),
        "{text}"
    );
    assert!(text.contains("GET / HTTP/1.1"), "{text}");
}

#[tokio::test]
async fn two_peers_shake_hands_and_keep_early_frames() {
    let (near, far) = duplex(1 << 16);
    let eager = async {
        let mut client = WirePeer::unshaken(near);
        client.send_preface().await;
        client.send(settings()).await;
        client.send(grpc_request(1, "/s/m").end_stream()).await;
        client.send(settings_ack()).await;
        client
    };
    let (_client, mut server) = tokio::join!(eager, WirePeer::server(far));
    assert_eq!(
        server.expect_request(1).await.headers.get(":path"),
        Some("/s/m")
    );
}
