//! Calls with streams that are retried: what they send again, and when it is too late for that.
//!
//! Source: gRFC A6; grpc-go's tests `TestRetryStreaming`, `TestRetryTransparentWhenCommitted`,
//! `TestRetryBufferSize`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::{ClientConnBuilder, Code, Metadata, Response, Status, credentials};
use rgrpc_e2e::{
    Message, ScriptedServer, StubClient, StubService, TestServer, channel_builder, framed, msg,
    scripted_by, serve, soon, text,
};
use rgrpc_test_support::{
    ErrorCode, WirePeer, data, goaway, grpc_response, grpc_trailers, rst_stream, trailers_only,
};
use tokio::time::Instant;

const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

/// A service config for all methods: 4 attempts, 1 s before the second, then 2, 4 s.
const POLICY: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "8s",
    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}"#;

fn with_policy(builder: ClientConnBuilder) -> ClientConnBuilder {
    builder.default_service_config(POLICY)
}

/// A client of the server with the policy.
fn client(server: &TestServer) -> StubClient {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
    let conn = with_policy(builder.dialer(server.connector())).build();
    StubClient::new(conn.expect("a valid channel"))
}

/// A client with the policy, whose server is the wire peer.
fn scripted() -> (StubClient, ScriptedServer) {
    let (conn, server) = scripted_by("passthrough:///stub.test", with_policy);
    (StubClient::new(conn), server)
}

/// Reads a request of these messages, which is not ended; returns what it says of attempts before.
async fn expect_messages(peer: &mut WirePeer, id: u32, messages: &[&str]) -> Option<String> {
    let head = peer.expect_headers(id).await;
    for message in messages {
        expect_message(peer, id, message).await;
    }
    head.get(PREVIOUS_ATTEMPTS).map(ToOwned::to_owned)
}

async fn expect_message(peer: &mut WirePeer, id: u32, body: &str) {
    let message = peer.expect_message(id).await;
    assert_eq!(message.body, framed(body)[5..], "{id}");
}

/// Fails the first so many calls of every kind, then echoes.
fn failing(failures: usize) -> (StubService, Arc<Mutex<usize>>) {
    let calls = Arc::new(Mutex::new(0));
    let outcome = |calls: &Arc<Mutex<usize>>| {
        let calls = Arc::clone(calls);
        move || {
            let mut calls = calls.lock().expect("not poisoned");
            *calls += 1;
            if *calls <= failures {
                Err(Status::unavailable("busy"))
            } else {
                Ok(())
            }
        }
    };
    let (by_server, by_client, bidi) = (outcome(&calls), outcome(&calls), outcome(&calls));
    let service = StubService::new()
        .server_streaming(move |request, mut responses| {
            let outcome = by_server();
            async move {
                outcome?;
                responses.send(request.message()).await?;
                responses.send(request.message()).await
            }
        })
        .client_streaming(move |requests| {
            let outcome = by_client();
            async move {
                let mut requests = requests.into_message();
                let mut all = Message::default();
                while let Some(message) = requests.recv().await? {
                    all.body.extend(message.body);
                }
                outcome?;
                Ok(Response::new(all))
            }
        })
        .bidi_streaming(move |requests, mut responses| {
            let outcome = bidi();
            async move {
                outcome?;
                let mut requests = requests.into_message();
                while let Some(message) = requests.recv().await? {
                    responses.send(message).await?;
                }
                Ok(())
            }
        });
    (service, calls)
}

#[tokio::test(start_paused = true)]
async fn streaming_calls_of_every_kind_are_retried() {
    let (service, calls) = failing(2);
    let server = serve(service);
    let client = client(&server);
    let reset = || *calls.lock().expect("not poisoned") = 0;
    let begun = Instant::now();

    let mut responses = client.server_streaming(msg("a")).await.expect("a stream");
    let first = soon(responses.recv()).await.expect("OK").expect("one");
    assert_eq!(text(&first), "a");
    soon(responses.recv()).await.expect("OK").expect("another");
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    // After 1 s and 2 s, less a fifth.
    assert!(begun.elapsed() >= Duration::from_millis(2400));

    reset();
    let mut call = client.client_streaming().await.expect("a stream");
    for body in ["a", "b", "c"] {
        call.send(msg(body)).await.expect("sent");
    }
    let response = soon(call.close_and_recv()).await.expect("OK");
    assert_eq!(text(response.message()), "abc");

    reset();
    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    for body in ["a", "b"] {
        requests.send(msg(body)).await.expect("sent");
    }
    for body in ["a", "b"] {
        let message = soon(responses.recv()).await.expect("OK").expect("one");
        assert_eq!(text(&message), body);
    }
    // It has an answer, and goes on as any other.
    requests.send(msg("c")).await.expect("sent");
    let message = soon(responses.recv()).await.expect("OK").expect("one");
    assert_eq!(text(&message), "c");
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn all_messages_are_replayed_and_the_number_of_attempts_is_reported() {
    let (client, mut server) = scripted();
    let (mut requests, mut responses) = {
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.bidi_streaming().await }
        });
        let mut peer = server.accept().await;
        assert_eq!(expect_messages(&mut peer, 1, &[]).await, None);
        let (mut requests, responses) = soon(call).await.expect("no panic").expect("a stream");
        requests.send(msg("one")).await.expect("sent");
        requests.send(msg("two")).await.expect("sent");
        expect_message(&mut peer, 1, "one").await;
        expect_message(&mut peer, 1, "two").await;
        peer.send(trailers_only(1, 14)).await;
        let receiving = tokio::spawn(async move {
            let mut responses = responses;
            let message = responses.recv().await;
            (responses, message)
        });
        // The server has ended the call, and the client's half of it was still open.
        peer.expect_rst(1, ErrorCode::NO_ERROR).await;
        let previous = expect_messages(&mut peer, 3, &["one", "two"]).await;
        assert_eq!(previous.as_deref(), Some("1"));
        peer.send(grpc_response(3)).await;
        peer.send(data(3, framed("here"))).await;
        let (responses, message) = soon(receiving).await.expect("no panic");
        assert_eq!(text(&message.expect("OK").expect("one")), "here");
        requests.send(msg("three")).await.expect("sent");
        expect_message(&mut peer, 3, "three").await;
        // It has answered: this is no failure to be retried.
        peer.send(grpc_trailers(3, 14)).await;
        (requests, responses)
    };
    let status = soon(responses.recv()).await.expect_err("unavailable");
    assert_eq!(status.code(), Code::Unavailable);
    requests.send(msg("four")).await.expect_err("it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_half_close_is_replayed() {
    let (client, mut server) = scripted();
    let call = tokio::spawn(async move {
        let mut call = client.client_streaming().await?;
        call.send(msg("one")).await?;
        call.close_and_recv().await
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(trailers_only(1, 14)).await;
    // It goes up to its end.
    let again = peer.expect_request(3).await;
    assert_eq!(again.messages[0].body, framed("one")[5..]);
    peer.send(grpc_response(3)).await;
    peer.send(data(3, framed("done"))).await;
    peer.send(grpc_trailers(3, 0)).await;
    let response = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(text(response.message()), "done");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_sent_more_than_the_buffer_holds_is_not_retried() {
    let at_limit = framed("one").len();
    for (limit, made_again) in [(at_limit, true), (at_limit - 1, false)] {
        let (client, mut server) = scripted();
        let call = tokio::spawn(async move {
            let (mut requests, mut responses) = client
                .bidi_streaming()
                .max_retry_buffer_size(limit)
                .await
                .expect("a stream");
            requests.send(msg("one")).await.expect("sent");
            let message = responses.recv().await;
            drop(requests);
            message
        });
        let mut peer = server.accept().await;
        expect_messages(&mut peer, 1, &["one"]).await;
        peer.send(trailers_only(1, 14)).await;
        peer.expect_rst(1, ErrorCode::NO_ERROR).await;
        if made_again {
            expect_messages(&mut peer, 3, &["one"]).await;
            call.abort();
        } else {
            let status = soon(call).await.expect("no panic").expect_err("busy");
            assert_eq!(status.code(), Code::Unavailable);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_headers_is_final() {
    let (client, mut server) = scripted();
    let call = tokio::spawn(async move {
        let mut responses = client.server_streaming(msg("")).await?;
        responses.recv().await
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(grpc_trailers(1, 14)).await;
    let status = soon(call).await.expect("no panic").expect_err("busy");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.message().contains("attempts"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_reported_when_the_policy_allows_no_more() {
    let (service, calls) = failing(9);
    let server = serve(service);
    let client = client(&server);
    let mut responses = client.server_streaming(msg("")).await.expect("a stream");
    let status = soon(responses.recv()).await.expect_err("busy");
    assert_eq!(status.message(), "busy (the last of 4 attempts)");
    assert_eq!(*calls.lock().expect("not poisoned"), 4);
    assert_eq!(soon(responses.recv()).await.expect("it is told once"), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_only_sends_continues_on_the_next_attempt() {
    let (service, calls) = failing(1);
    let server = serve(service);
    let client = client(&server);
    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    tokio::time::sleep(Duration::from_millis(10)).await;
    // The first attempt has failed by now; sending waits for the second.
    for body in ["a", "b", "c"] {
        soon(requests.send(msg(body))).await.expect("sent");
    }
    requests.close();
    let mut echoed = String::new();
    while let Some(message) = soon(responses.recv()).await.expect("OK") {
        echoed.push_str(text(&message));
    }
    assert_eq!(echoed, "abc");
    assert_eq!(*calls.lock().expect("not poisoned"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_call_between_attempts() {
    let (service, calls) = failing(9);
    let server = serve(service);
    let client = client(&server);
    let call = client
        .server_streaming(msg(""))
        .timeout(Duration::from_millis(1500));
    let mut responses = call.await.expect("a stream");
    let status = soon(responses.recv()).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*calls.lock().expect("not poisoned"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_halves_are_dropped_between_attempts_is_not_retried() {
    let (service, calls) = failing(9);
    let server = serve(service);
    let client = client(&server);
    let mut responses = client.server_streaming(msg("")).await.expect("a stream");
    let waited = tokio::time::timeout(Duration::from_millis(500), responses.recv()).await;
    assert!(waited.is_err(), "it waits for the second attempt");
    drop(responses);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*calls.lock().expect("not poisoned"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_no_server_has_processed_is_retried_without_a_policy() {
    let (conn, mut server) = rgrpc_e2e::scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move {
        let mut call = client.client_streaming().await?;
        call.send(msg("one")).await?;
        call.close_and_recv().await
    });
    let mut old = server.accept().await;
    old.expect_request(1).await;
    // Above the last id: the server promises that it has not seen the call.
    old.send(goaway(0, ErrorCode::NO_ERROR)).await;
    let mut peer = server.accept().await;
    let request = peer.expect_request(1).await;
    assert_eq!(request.headers.get(PREVIOUS_ATTEMPTS), None);
    assert_eq!(request.messages[0].body, framed("one")[5..]);
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("done"))).await;
    peer.send(grpc_trailers(1, 0)).await;
    let response = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(text(response.message()), "done");
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_that_has_sent_too_much_is_unavailable() {
    let (conn, mut server) = rgrpc_e2e::scripted();
    let client = StubClient::new(conn.clone());
    let call = tokio::spawn(async move {
        let (mut requests, mut responses) =
            client.bidi_streaming().max_retry_buffer_size(0).await?;
        requests.send(msg("one")).await?;
        let message = responses.recv().await;
        drop(requests);
        message
    });
    let mut peer = server.accept().await;
    expect_messages(&mut peer, 1, &["one"]).await;
    peer.send(rst_stream(1, ErrorCode::REFUSED_STREAM)).await;
    let status = soon(call).await.expect("no panic").expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_with_ok_without_headers_is_not_retried() {
    let (client, mut server) = scripted();
    let call = tokio::spawn(async move {
        let mut responses = client.server_streaming(msg("")).await?;
        let message = responses.recv().await?;
        Ok::<_, Status>((message, responses.trailer().clone()))
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(trailers_only(1, 0).field("x-end", "well")).await;
    let (message, trailer): (_, Metadata) = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(message, None);
    assert_eq!(trailer.get("x-end"), Some("well"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_calls_whose_halves_are_in_tasks_of_their_own_none_is_lost() {
    const CALLS: usize = 200;
    const MESSAGES: usize = 20;
    let service = StubService::new().bidi_streaming(|requests, mut responses| async move {
        let is_first = requests.metadata().get(PREVIOUS_ATTEMPTS).is_none();
        let mut requests = requests.into_message();
        while let Some(message) = requests.recv().await? {
            if is_first {
                let mut trailers = Metadata::new();
                trailers
                    .append("grpc-retry-pushback-ms", "0")
                    .map_err(|error| Status::internal(error.to_string()))?;
                return Err(Status::unavailable("busy").with_metadata(trailers));
            }
            responses.send(message).await?;
        }
        Ok(())
    });
    let server = serve(service);
    let client = client(&server);
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let (mut requests, mut responses) = client.bidi_streaming().await?;
                let sending = tokio::spawn(async move {
                    for _ in 0..MESSAGES {
                        requests.send(msg("again")).await?;
                    }
                    requests.close();
                    Ok::<_, Status>(())
                });
                let mut received = 0;
                while responses.recv().await?.is_some() {
                    received += 1;
                }
                sending.await.expect("no panic")?;
                Ok::<usize, Status>(received)
            })
        })
        .collect();
    for call in calls {
        let received = soon(call).await.expect("no panic").expect("OK");
        assert_eq!(received, MESSAGES);
    }
}
