//! Handlers that do not read a request to its end, and halves of a call that outlive them.
//!
//! Source: RFC 9113, section 8.1.

use std::sync::Mutex;

use rgrpc::{Code, Response, Status};
use rgrpc_e2e::{Message, STUB_CLIENT_STREAMING, StubService, framed, msg, serve, soon};
use rgrpc_test_support::{ErrorCode, Frame, WirePeer, data, grpc_request, settings, window_update};
use tokio::sync::oneshot;

/// More than the flow-control window of a stream on either engine.
const LONG: usize = 1536 * 1024;

fn long() -> Message {
    msg(vec![7; LONG])
}

#[tokio::test(start_paused = true)]
async fn a_response_longer_than_the_window_reaches_a_client_that_is_still_sending() {
    let service = StubService::new().client_streaming(|requests| async move {
        let mut requests = requests.into_message();
        requests.recv().await?;
        Ok(Response::new(long()))
    });
    let server = serve(service);
    let mut call = server.client().client_streaming().await.expect("a stream");
    // The server reads one of them. The client takes nothing of the response before it has sent
    // all.
    for _ in 0..10 {
        if soon(call.send(long())).await.is_err() {
            break;
        }
    }
    let response = soon(call.close_and_recv()).await.expect("a response");
    assert_eq!(response.message().body.len(), LONG);
}

#[tokio::test(start_paused = true)]
async fn messages_before_an_early_end_reach_a_client_that_is_still_sending() {
    let service = StubService::new().bidi_streaming(|_requests, mut responses| async move {
        responses.send(long()).await?;
        Err(Status::failed_precondition("enough"))
    });
    let server = serve(service);
    let (mut requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    for _ in 0..10 {
        if soon(requests.send(long())).await.is_err() {
            break;
        }
    }
    let mut received = Ok(None);
    while let Ok(message) = soon(responses.recv()).await.inspect_err(|status| {
        received = Err(status.clone());
    }) {
        received = Ok(message);
    }
    let status = received.expect_err("the call fails");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_drops_its_receiving_half_sends_to_a_client_that_is_still_sending() {
    let service = StubService::new().bidi_streaming(|requests, mut responses| async move {
        let mut requests = requests.into_message();
        requests.recv().await?;
        drop(requests);
        for _ in 0..3 {
            responses.send(long()).await?;
        }
        Ok(())
    });
    let server = serve(service);
    let (mut requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    for _ in 0..10 {
        soon(requests.send(long())).await.expect("the call goes on");
    }
    requests.close();
    for _ in 0..3 {
        let message = soon(responses.recv()).await.expect("OK");
        assert_eq!(message.expect("a message").body.len(), LONG);
    }
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

/// Answers a client-streaming call with 1,000 bytes, and reads nothing.
fn early_answer() -> StubService {
    StubService::new().client_streaming(async |_| Ok(Response::new(msg(vec![7; 1000]))))
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_request_gets_credit_as_long_as_the_response_waits_for_the_window() {
    let server = serve(early_answer());
    let small = settings().initial_window_size(100);
    let mut peer = WirePeer::client_with(server.io().await, small).await;
    let window = peer.announced_stream_window();
    peer.take_connection_window().await;
    peer.send(grpc_request(1, STUB_CLIENT_STREAMING)).await;
    peer.expect_headers(1).await;
    assert_eq!(peer.expect_data(1).await.payload.len(), 100);

    peer.send(data(1, vec![0; window]).split(16 * 1024)).await;
    peer.skip_to("credit for the request", |frame| match frame {
        Frame::WindowUpdate(update) if update.stream_id == 1 => Ok(()),
        other => Err(other),
    })
    .await;

    peer.send(window_update(1, 10_000)).await;
    let trailers = peer.skip_to("trailers", |frame| match frame {
        Frame::Headers(head) if head.end_stream => Ok(head),
        other => Err(other),
    });
    assert_eq!(trailers.await.get("grpc-status"), Some("0"));
    peer.expect_rst(1, ErrorCode::NO_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_that_fills_the_window_exactly_ends_before_the_request_does() {
    let server = serve(early_answer());
    let exact = settings().initial_window_size(framed(vec![7; 1000]).len() as u32);
    let mut peer = WirePeer::client_with(server.io().await, exact).await;
    peer.take_connection_window().await;
    peer.send(grpc_request(1, STUB_CLIENT_STREAMING)).await;
    peer.expect_headers(1).await;
    peer.expect_data(1).await;
    let trailers = peer.expect_headers(1).await;
    assert_eq!(trailers.get("grpc-status"), Some("0"));
    peer.expect_rst(1, ErrorCode::NO_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn frames_in_flight_to_calls_that_ended_early_do_not_end_the_connection() {
    let server = serve(early_answer());
    let mut peer = server.wire_client().await.housekeeping();
    // All the DATA is on its way when the client hears of the resets.
    let calls = (1..800).step_by(2);
    for id in calls.clone() {
        peer.send(grpc_request(id, STUB_CLIENT_STREAMING)).await;
        peer.skip_to("RST_STREAM", |frame| match frame {
            Frame::RstStream(reset) if reset.stream_id == id => Ok(()),
            other => Err(other),
        })
        .await;
    }
    for _ in 0..10 {
        for id in calls.clone() {
            peer.send(data(id, "x")).await;
        }
    }
    peer.send(grpc_request(801, STUB_CLIENT_STREAMING)).await;
    let trailers = peer.skip_to("trailers", |frame| match frame {
        Frame::Headers(head) if head.stream_id == 801 && head.end_stream => Ok(head),
        Frame::GoAway(goaway) => panic!("{goaway:?}"),
        other => Err(other),
    });
    assert_eq!(trailers.await.get("grpc-status"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn a_receiving_half_that_outlives_its_handler_is_told_that_the_call_has_ended() {
    let (sender, receiver) = oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let service = StubService::new().bidi_streaming(move |requests, _responses| {
        let sender = sender.lock().expect("no panic").take();
        async move {
            let mut requests = requests.into_message();
            tokio::spawn(async move {
                let received = requests.recv().await;
                let sent = sender.map(|sender| sender.send(received));
                sent.expect("called once").expect("the test waits");
            });
            Ok(())
        }
    });
    let server = serve(service);
    let (_requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    let received = soon(receiver).await.expect("the task ends");
    let status = received.expect_err("the call has ended");
    assert_eq!(status.code(), Code::Cancelled, "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_sending_half_that_outlives_its_handler_is_told_that_the_call_has_ended() {
    let (sender, receiver) = oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let service = StubService::new().server_streaming(move |_, mut responses| {
        let sender = sender.lock().expect("no panic").take();
        async move {
            tokio::spawn(async move {
                // As many as fit nowhere.
                let sent = loop {
                    if let Err(status) = responses.send(long()).await {
                        break status;
                    }
                };
                let told = sender.map(|sender| sender.send(sent));
                told.expect("called once").expect("the test waits");
            });
            Ok(())
        }
    });
    let server = serve(service);
    let mut responses = server
        .client()
        .server_streaming(msg(""))
        .await
        .expect("a stream");
    while let Some(message) = soon(responses.recv()).await.expect("OK") {
        assert_eq!(message.body.len(), LONG);
    }
    let status = soon(receiver).await.expect("the task ends");
    assert!(
        matches!(status.code(), Code::Cancelled | Code::Unavailable),
        "{status}"
    );
}
