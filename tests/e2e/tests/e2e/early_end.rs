//! Handlers that end a call before the request has ended, and halves of a call that outlive them.
//!
//! Source: RFC 9113, section 8.1.

use std::sync::Mutex;

use rgrpc::{Code, Response, Status};
use rgrpc_e2e::{Message, StubService, msg, serve, soon};
use tokio::sync::oneshot;

/// More than the flow-control window of a stream.
const LONG: usize = 200 * 1024;

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
    // The server reads one of them. The client takes nothing of the response before it has sent all.
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
