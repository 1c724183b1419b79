//! Calls with streams of messages: order, ends, and what each half may still do after them.

use rgrpc::{Code, Response, Status};
use rgrpc_e2e::{
    Message, STUB_BIDI_STREAMING, STUB_CLIENT_STREAMING, StubClient, StubService, framed, msg,
    scripted, serve, soon, text,
};
use rgrpc_test_support::{
    ErrorCode, data, grpc_request, grpc_response, grpc_trailers, rst_stream, trailers_only,
};
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test(start_paused = true)]
async fn a_server_streams_messages_in_order_and_then_ends() {
    let server = serve(StubService::echo());
    let mut responses = server
        .client()
        .server_streaming(msg("abc"))
        .await
        .expect("a stream");
    for expected in ["a", "b", "c"] {
        let message = responses.recv().await.expect("OK").expect("a message");
        assert_eq!(text(&message), expected);
    }
    assert_eq!(responses.recv().await.expect("OK"), None);
    assert_eq!(responses.recv().await.expect("still OK"), None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_streams_nothing_ends_well() {
    let server = serve(StubService::echo());
    let mut responses = server
        .client()
        .server_streaming(msg(""))
        .await
        .expect("a stream");
    assert_eq!(responses.recv().await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn a_client_streams_messages_in_order_and_has_one_response() {
    let server = serve(StubService::echo());
    let mut call = server.client().client_streaming().await.expect("a stream");
    for part in ["a", "b", "c"] {
        call.send(msg(part)).await.expect("sent");
    }
    let response = call.close_and_recv().await.expect("OK");
    assert_eq!(text(response.message()), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_stream_nothing() {
    let server = serve(StubService::echo());
    let call = server.client().client_streaming().await.expect("a stream");
    let response = call.close_and_recv().await.expect("OK");
    assert_eq!(text(response.message()), "");
}

#[tokio::test(start_paused = true)]
async fn both_sides_talk_in_turns() {
    let server = serve(StubService::echo());
    let (mut requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    for number in 0..10 {
        let message = msg(number.to_string());
        requests.send(&message).await.expect("sent");
        assert_eq!(soon(responses.recv()).await.expect("OK"), Some(message));
    }
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_ready_before_the_servers_headers() {
    // The server sends nothing until it has received a message.
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let (mut requests, mut responses) = StubClient::new(conn).bidi_streaming().await?;
        requests.send(msg("first")).await?;
        requests.close();
        responses.recv().await
    });
    let mut peer = server.accept().await;
    let request = peer.expect_request(1).await;
    assert_eq!(request.messages.len(), 1);
    peer.send(trailers_only(1, 0)).await;
    assert_eq!(soon(call).await.expect("no panic").expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_message_reaches_the_server_at_once() {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move { StubClient::new(conn).bidi_streaming().await });
    let mut peer = server.accept().await;
    assert!(!peer.expect_headers(1).await.end_stream);
    let _halves = soon(call).await.expect("no panic").expect("a stream");
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn closing_sends_one_empty_data_frame_and_is_idempotent() {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let (mut requests, responses) = StubClient::new(conn).bidi_streaming().await?;
        requests.close();
        requests.close();
        Ok::<_, Status>((requests, responses))
    });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    let end = peer.expect_data(1).await;
    assert!(end.end_stream && end.payload.is_empty());
    let _halves = soon(call).await.expect("no panic").expect("a stream");
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn sending_after_close_is_internal_and_sends_nothing() {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let (mut requests, responses) = StubClient::new(conn).bidi_streaming().await?;
        requests.close();
        let sent = requests.send(msg("late")).await;
        Ok::<_, Status>((sent, requests, responses))
    });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    assert!(peer.expect_data(1).await.end_stream);
    let (sent, _requests, _responses) = soon(call).await.expect("no panic").expect("a stream");
    assert_eq!(sent.expect_err("too late").code(), Code::Internal);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_comes_while_the_client_receives_is_its_result() {
    let service = StubService::new().bidi_streaming(|requests, mut responses| async move {
        let mut requests = requests.into_message();
        while let Some(message) = requests.recv().await? {
            if text(&message) == "stop" {
                return Err(Status::failed_precondition("asked to stop"));
            }
            responses.send(message).await?;
        }
        Ok(())
    });
    let server = serve(service);
    let (mut requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    let receiving = tokio::spawn(async move {
        let first = responses.recv().await;
        (first, responses.recv().await, responses.recv().await)
    });
    requests.send(msg("go")).await.expect("sent");
    requests.send(msg("stop")).await.expect("sent");
    let (first, second, after) = soon(receiving).await.expect("no panic");
    assert_eq!(first.expect("OK"), Some(msg("go")));
    assert_eq!(
        second.expect_err("the end").code(),
        Code::FailedPrecondition
    );
    assert_eq!(after.expect("the status is told once"), None);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_ends_the_call_though_the_client_still_sends() {
    let service = StubService::new().client_streaming(|requests| async move {
        let mut requests = requests.into_message();
        let first = requests.recv().await?.unwrap_or_default();
        Ok(Response::new(first))
    });
    let server = serve(service);
    let mut call = server.client().client_streaming().await.expect("a stream");
    call.send(msg("first")).await.expect("sent");
    let (mut requests, mut responses) = call.split();
    let response = soon(responses.recv()).await.expect("a message");
    assert_eq!(response, Some(msg("first")));
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    let late = async {
        // Messages sent now are lost; sooner or later sending fails.
        while requests.send(msg("more")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(late).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_only_response_wins() {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let call = StubClient::new(conn).client_streaming().await?;
        call.close_and_recv().await
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("response"))).await;
    peer.send(grpc_trailers(1, 13)).await;
    let status = soon(call).await.expect("no panic").expect_err("failed");
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_client_stream_that_is_answered_wrongly_often_is_unimplemented() {
    for responses in [0, 2] {
        let (conn, mut server) = scripted();
        let call = tokio::spawn(async move {
            let call = StubClient::new(conn).client_streaming().await?;
            call.close_and_recv().await
        });
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        peer.send(grpc_response(1)).await;
        for _ in 0..responses {
            peer.send(data(1, framed("response"))).await;
        }
        peer.send(grpc_trailers(1, 0)).await;
        let status = soon(call)
            .await
            .expect("no panic")
            .expect_err("cardinality");
        assert_eq!(status.code(), Code::Unimplemented, "{responses} responses");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_messages_until_the_client_breaks_off() {
    for (broken, code) in [
        // Half a message, then the end.
        (Broken::CutOff, Code::Internal),
        // The client cancels in the middle of a message.
        (Broken::Reset, Code::Cancelled),
    ] {
        let (seen, mut told) = unbounded_channel();
        let service = StubService::new().client_streaming(move |requests| {
            let seen = seen.clone();
            async move {
                // On a task of its own, as the handler is dropped when the call is cancelled.
                tokio::spawn(async move {
                    let mut requests = requests.into_message();
                    loop {
                        let received = requests.recv().await;
                        let ended = !matches!(received, Ok(Some(_)));
                        seen.send(received).expect("the test lives");
                        if ended {
                            return;
                        }
                    }
                })
                .await
                .expect("the task does not panic");
                Ok(Response::new(msg("")))
            }
        });
        let server = serve(service);
        let mut peer = server.wire_client().await;
        peer.send(grpc_request(1, STUB_CLIENT_STREAMING)).await;
        peer.send(data(1, framed("whole"))).await;
        let received = soon(told.recv()).await.expect("told").expect("OK");
        assert_eq!(received, Some(msg("whole")));
        let half = data(1, &framed("half")[..7]);
        match broken {
            Broken::CutOff => peer.send(half.end_stream()).await,
            Broken::Reset => {
                peer.send(half).await;
                peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
            }
        }
        let end = soon(told.recv()).await.expect("told");
        assert_eq!(end.expect_err("broken off").code(), code);
    }
}

#[derive(Clone, Copy)]
enum Broken {
    CutOff,
    Reset,
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_no_message_of_its_type_is_internal_on_both_sides() {
    // A field of length 9 in three bytes.
    let garbage = rgrpc_test_support::message([0x0a, 9, b'x']);
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    peer.send(data(1, &garbage)).await;
    assert_eq!(peer.expect_response(1).await.trailers.code, 13);

    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let mut responses = StubClient::new(conn).server_streaming(msg("")).await?;
        responses.recv().await
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(data(1, &garbage)).await;
    let status = soon(call).await.expect("no panic").expect_err("garbage");
    assert_eq!(status.code(), Code::Internal);
    peer.expect_rst(1, ErrorCode::CANCEL).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_answer_before_it_reads() {
    let service = StubService::new().bidi_streaming(|requests, mut responses| async move {
        responses.send(msg("welcome")).await?;
        let mut requests = requests.into_message();
        let mut count = 0;
        while requests.recv().await?.is_some() {
            count += 1;
        }
        responses.send(msg(format!("{count} messages"))).await
    });
    let server = serve(service);
    let (mut requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    let welcome = soon(responses.recv()).await.expect("OK");
    assert_eq!(welcome, Some(msg("welcome")));
    for _ in 0..3 {
        requests.send(Message::default()).await.expect("sent");
    }
    requests.close();
    let summary = soon(responses.recv()).await.expect("OK");
    assert_eq!(summary, Some(msg("3 messages")));
}
