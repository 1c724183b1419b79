//! A call's cancel handle: before the call, in each of its stages, and after it.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::{CancelHandle, Code, Response, Status};
use rgrpc_e2e::{
    StubClient, StubService, answer, framed, msg, scripted, scripted_by, serve, settle, soon, text,
};
use rgrpc_test_support::{ErrorCode, data, grpc_response, grpc_trailers, settings, trailers_only};

#[track_caller]
fn assert_cancelled(status: &Status) {
    assert_eq!(status.code(), Code::Cancelled, "{status}");
    assert!(status.message().contains("cancel handle"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_handle_was_used_before_sends_nothing() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let service = StubService::new().unary(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Response::new(request.into_message())) }
    });
    let server = serve(service);
    let client = server.client();
    let handle = CancelHandle::new();
    // Once before the channel has been used, and once with a connection.
    for calls_before in [0, 1] {
        handle.cancel();
        handle.cancel();
        assert!(handle.is_cancelled());
        let unary = client.unary(msg("")).cancel_handle(&handle);
        assert_cancelled(&unary.await.expect_err("cancelled"));
        let server_streaming = client.server_streaming(msg("")).cancel_handle(&handle);
        assert_cancelled(&server_streaming.await.expect_err("cancelled"));
        let client_streaming = client.client_streaming().cancel_handle(&handle);
        assert_cancelled(&client_streaming.await.expect_err("cancelled"));
        let bidi_streaming = client.bidi_streaming().cancel_handle(&handle);
        assert_cancelled(&bidi_streaming.await.expect_err("cancelled"));
        settle().await;
        assert_eq!(calls.load(Ordering::Relaxed), calls_before);
        client.unary(msg("")).await.expect("other calls go on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_in_flight_is_cancelled_from_another_thread() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let handle = CancelHandle::new();
    let call = tokio::spawn({
        let handle = handle.clone();
        async move { client.unary(msg("")).cancel_handle(&handle).await }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let thread = std::thread::spawn(move || handle.cancel());
    thread.join().expect("no panic");
    assert_cancelled(&soon(call).await.expect("no panic").expect_err("cancelled"));
    peer.expect_rst(1, ErrorCode::CANCEL).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_stream_is_cancelled_and_says_so_before_messages_that_have_come() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let handle = CancelHandle::new();
    let call = tokio::spawn({
        let handle = handle.clone();
        async move {
            client
                .server_streaming(msg(""))
                .cancel_handle(&handle)
                .await
        }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let mut responses = soon(call).await.expect("no panic").expect("a stream");
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("one"))).await;
    peer.send(data(1, framed("two"))).await;
    let first = soon(responses.recv()).await.expect("OK").expect("one");
    assert_eq!(text(&first), "one");
    handle.cancel();
    assert_cancelled(&soon(responses.recv()).await.expect_err("cancelled"));
    assert_eq!(soon(responses.recv()).await.expect("it was told"), None);
    peer.expect_rst(1, ErrorCode::CANCEL).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_stream_is_cancelled_while_it_sends_and_while_it_waits() {
    for waits in [false, true] {
        let (conn, mut server) = scripted();
        let client = StubClient::new(conn);
        let handle = CancelHandle::new();
        let call = tokio::spawn({
            let handle = handle.clone();
            async move { client.client_streaming().cancel_handle(&handle).await }
        });
        let mut peer = server.accept().await;
        peer.expect_headers(1).await;
        let mut call = soon(call).await.expect("no panic").expect("a stream");
        if waits {
            let response = tokio::spawn(call.close_and_recv());
            assert!(peer.expect_data(1).await.end_stream);
            handle.cancel();
            let response = soon(response).await.expect("no panic");
            assert_cancelled(&response.expect_err("cancelled"));
        } else {
            handle.cancel();
            assert_cancelled(&soon(call.send(msg(""))).await.expect_err("cancelled"));
            assert_cancelled(&soon(call.close_and_recv()).await.expect_err("cancelled"));
        }
        peer.expect_rst(1, ErrorCode::CANCEL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bidi_stream_is_cancelled_with_and_without_a_waiting_half() {
    for answered in [false, true] {
        let (conn, mut server) = scripted();
        let client = StubClient::new(conn);
        let handle = CancelHandle::new();
        let call = tokio::spawn({
            let handle = handle.clone();
            async move { client.bidi_streaming().cancel_handle(&handle).await }
        });
        let mut peer = server.accept().await;
        peer.expect_headers(1).await;
        let (mut requests, mut responses) = soon(call).await.expect("no panic").expect("a stream");
        if answered {
            peer.send(grpc_response(1)).await;
            assert!(soon(responses.header()).await.get("content-type").is_some());
        }
        // Nobody polls a half.
        handle.cancel();
        peer.expect_rst(1, ErrorCode::CANCEL).await;
        assert_cancelled(&soon(requests.send(msg(""))).await.expect_err("cancelled"));
        assert_cancelled(&soon(responses.recv()).await.expect_err("cancelled"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_for_the_window_is_cancelled() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let handle = CancelHandle::new();
    let call = tokio::spawn({
        let handle = handle.clone();
        async move {
            let call = client.bidi_streaming().cancel_handle(&handle).await;
            let (mut requests, _responses) = call?;
            loop {
                requests.send(msg(vec![0; 64 * 1024])).await?;
            }
            #[allow(unreachable_code)]
            Ok::<_, Status>(())
        }
    });
    let small = settings().initial_window_size(1024);
    let mut peer = server.accept_with(small).await;
    peer.expect_headers(1).await;
    settle().await;
    handle.cancel();
    assert_cancelled(&soon(call).await.expect("no panic").expect_err("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_used_after_the_end_changes_nothing() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let handle = CancelHandle::new();
    let call = tokio::spawn({
        let handle = handle.clone();
        async move {
            let response = client.unary(msg("")).cancel_handle(&handle).await?;
            let call = client.bidi_streaming().cancel_handle(&handle).await;
            let (mut requests, mut responses) = call?;
            requests.send(msg("")).await?;
            let status = responses.recv().await.expect_err("NOT_FOUND");
            handle.cancel();
            // The call's own status.
            let late = requests.send(msg("")).await.expect_err("it has ended");
            Ok::<_, Status>((response, status, late, responses.recv().await?))
        }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    answer(&mut peer, 1, "one").await;
    peer.expect_headers(3).await;
    peer.expect_message(3).await;
    peer.send(trailers_only(3, 5)).await;
    let (response, status, late, after) = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(text(response.message()), "one");
    assert_eq!(status.code(), Code::NotFound);
    assert_ne!(late.code(), Code::Cancelled, "{late}");
    assert_eq!(after, None);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_handle_cancels_nothing() {
    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.bidi_streaming().cancel_handle(&CancelHandle::new());
    let (mut requests, mut responses) = call.await.expect("a stream");
    requests.send(msg("a")).await.expect("sent");
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), Some(msg("a")));
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn one_handle_cancels_all_calls_that_have_it_and_no_other() {
    let service = StubService::new()
        .unary(async |request| match request.message().body.is_empty() {
            true => pending().await,
            false => Ok(Response::new(request.into_message())),
        })
        .bidi_streaming(async |_, _| pending().await);
    let server = serve(service);
    let client = server.client();
    let handle = CancelHandle::new();
    let unary = tokio::spawn({
        let (client, handle) = (client.clone(), handle.clone());
        async move { client.unary(msg("")).cancel_handle(&handle).await }
    });
    let call = client.bidi_streaming().cancel_handle(&handle);
    let (_requests, mut responses) = call.await.expect("a stream");
    let (_requests, mut other) = client.bidi_streaming().await.expect("a stream");
    settle().await;
    handle.cancel();
    assert_cancelled(&soon(unary).await.expect("no panic").expect_err("cancelled"));
    assert_cancelled(&soon(responses.recv()).await.expect_err("cancelled"));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), other.recv())
            .await
            .is_err()
    );
    client.unary(msg("a")).await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_connection_is_cancelled() {
    let (conn, _server) = scripted();
    let client = StubClient::new(conn);
    for waits in [false, true] {
        let handle = CancelHandle::new();
        let unary = tokio::spawn({
            let (client, handle) = (client.clone(), handle.clone());
            async move {
                let call = client.unary(msg("")).wait_for_ready(waits);
                call.cancel_handle(&handle).await.map(drop)
            }
        });
        let stream = tokio::spawn({
            let (client, handle) = (client.clone(), handle.clone());
            async move {
                let call = client.bidi_streaming().wait_for_ready(waits);
                call.cancel_handle(&handle).await.map(drop)
            }
        });
        settle().await;
        handle.cancel();
        for call in [unary, stream] {
            assert_cancelled(&soon(call).await.expect("no panic").expect_err("cancelled"));
        }
    }
}

const RETRIES: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "1s",
    "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}"#;

const HEDGES: &str = r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {
    "maxAttempts": 4, "hedgingDelay": "1s"
}}]}"#;

#[tokio::test(start_paused = true)]
async fn no_attempt_follows_a_cancellation() {
    for streams in [false, true] {
        let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
            builder.default_service_config(RETRIES)
        });
        let client = StubClient::new(conn.clone());
        let handle = CancelHandle::new();
        let call = tokio::spawn({
            let handle = handle.clone();
            async move {
                if streams {
                    let call = client.server_streaming(msg("")).cancel_handle(&handle);
                    call.await?.recv().await.map(drop)
                } else {
                    let call = client.unary(msg("")).cancel_handle(&handle);
                    call.await.map(drop)
                }
            }
        });
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        peer.send(trailers_only(1, 14)).await;
        settle().await;
        handle.cancel();
        assert_cancelled(&soon(call).await.expect("no panic").expect_err("cancelled"));
        tokio::time::sleep(Duration::from_secs(5)).await;
        peer.assert_silent_until_ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_hedges_are_cancelled_and_none_follows() {
    for streams in [false, true] {
        let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
            builder.default_service_config(HEDGES)
        });
        let client = StubClient::new(conn.clone());
        let handle = CancelHandle::new();
        let call = tokio::spawn({
            let handle = handle.clone();
            async move {
                if streams {
                    let call = client.server_streaming(msg("")).cancel_handle(&handle);
                    call.await?.recv().await.map(drop)
                } else {
                    let call = client.unary(msg("")).cancel_handle(&handle);
                    call.await.map(drop)
                }
            }
        });
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        peer.expect_request(3).await;
        handle.cancel();
        assert_cancelled(&soon(call).await.expect("no panic").expect_err("cancelled"));
        for stream in [1, 3] {
            peer.expect_rst(stream, ErrorCode::CANCEL).await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        peer.assert_silent_until_ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_tells_its_hook_and_the_handler() {
    let (service, mut watch) = StubService::hanging();
    let server = serve(service);
    let client = server.client();
    let handle = CancelHandle::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let call = tokio::spawn({
        let handle = handle.clone();
        async move {
            let call = client.unary(msg("")).cancel_handle(&handle);
            let call = call.on_finish(move |outcome| {
                let _ = tell.send(outcome.err().map(Status::code));
            });
            call.await
        }
    });
    watch.begun().await;
    handle.cancel();
    watch.dropped().await;
    assert_eq!(soon(told.recv()).await, Some(Some(Code::Cancelled)));
    assert_cancelled(&soon(call).await.expect("no panic").expect_err("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_came_first_stays() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn.clone());
    let handle = CancelHandle::new();
    let call = tokio::spawn({
        let handle = handle.clone();
        async move {
            let call = client.server_streaming(msg("")).cancel_handle(&handle);
            let mut responses = call.await?;
            while responses.recv().await?.is_some() {}
            handle.cancel();
            Ok::<_, Status>((responses.trailer().clone(), responses.recv().await?))
        }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(grpc_trailers(1, 0).field("x-end", "well")).await;
    let (trailer, after) = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(trailer.get("x-end"), Some("well"));
    assert_eq!(after, None);
    peer.assert_silent_until_ping().await;
}
