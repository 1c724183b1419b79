//! Dropping is cancelling: what the server sees of it, and what becomes of the handler.

use rgrpc::{Code, Response, Status};
use rgrpc_e2e::{
    STUB_BIDI_STREAMING, STUB_SERVER_STREAMING, STUB_UNARY, StubClient, StubService, answer,
    framed, hang, msg, native, scripted, serve, soon, unary,
};
use rgrpc_test_support::{
    ErrorCode, Event, Frame, WirePeer, data, grpc_request, grpc_response, grpc_trailers,
    rst_stream, settings,
};
use tokio::sync::mpsc::unbounded_channel;

/// Drops the rest of what the stream carried and expects its reset.
async fn expect_cancelled(peer: &mut WirePeer, stream_id: u32) {
    let reset = peer.skip_to("RST_STREAM", |frame| match frame {
        Frame::RstStream(reset) => Ok(reset),
        other => Err(other),
    });
    assert_eq!(reset.await, rst_stream(stream_id, ErrorCode::CANCEL));
}

/// Expects the client to close the connection, and skips all frames before.
async fn expect_closed(peer: &mut WirePeer) {
    loop {
        match peer.next_event().await {
            Event::Frame(_) => {}
            Event::Eof | Event::Broken(_) => return,
            Event::Nothing => panic!("the connection stays open: {peer:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_unary_calls_future_resets_its_stream() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    call.abort();
    peer.expect_rst(1, ErrorCode::CANCEL).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_either_half_of_a_stream_resets_it() {
    for half in ["send", "receive"] {
        let (conn, mut server) = scripted();
        let client = StubClient::new(conn);
        let call = tokio::spawn(async move { client.bidi_streaming().await });
        let mut peer = server.accept().await;
        peer.expect_headers(1).await;
        let (mut requests, mut responses) = soon(call).await.expect("no panic").expect("a stream");
        if half == "send" {
            drop(requests);
            let status = soon(responses.recv()).await.expect_err("cancelled");
            assert_eq!(status.code(), Code::Cancelled);
        } else {
            drop(responses);
            let status = soon(requests.send(msg(""))).await.expect_err("cancelled");
            assert_eq!(status.code(), Code::Cancelled);
        }
        peer.expect_rst(1, ErrorCode::CANCEL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_other_streaming_calls_resets_them() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let calls = tokio::spawn(async move {
        let responses = client.server_streaming(msg("")).await?;
        Ok::<_, Status>((responses, client.client_streaming().await?))
    });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    peer.skip_to("the second call", |frame| match frame {
        Frame::Headers(head) if head.stream_id == 3 => Ok(head),
        other => Err(other),
    })
    .await;
    let (responses, requests) = soon(calls).await.expect("no panic").expect("streams");
    drop(responses);
    expect_cancelled(&mut peer, 1).await;
    drop(requests);
    expect_cancelled(&mut peer, 3).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_sending_half_that_was_closed_cancels_nothing() {
    let server = serve(StubService::echo());
    let (mut requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    requests.send(msg("one")).await.expect("sent");
    requests.close();
    drop(requests);
    assert_eq!(soon(responses.recv()).await.expect("OK"), Some(msg("one")));
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn dropping_halves_after_the_end_sends_nothing() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn({
        let client = client.clone();
        async move {
            let (mut requests, mut responses) = client.bidi_streaming().await?;
            requests.close();
            responses.recv().await
        }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(grpc_trailers(1, 0)).await;
    assert_eq!(soon(call).await.expect("no panic").expect("OK"), None);
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_unary_call_drops_its_handler() {
    let (service, mut watch) = StubService::hanging();
    let server = serve(service);
    let client = server.client();
    let call = unary(&client, "");
    watch.begun().await;
    call.abort();
    watch.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_stream_drops_its_handler() {
    let (hang, mut watch) = hang();
    let service = StubService::new().bidi_streaming(move |_, mut responses| {
        let hang = hang.clone();
        async move {
            responses.send(msg("one")).await?;
            match hang.forever().await {}
        }
    });
    let server = serve(service);
    let (requests, mut responses) = server.client().bidi_streaming().await.expect("a stream");
    assert_eq!(soon(responses.recv()).await.expect("OK"), Some(msg("one")));
    watch.begun().await;
    drop(responses);
    watch.dropped().await;
    drop(requests);
}

#[tokio::test(start_paused = true)]
async fn a_reset_by_the_client_drops_a_handler_that_waits_for_a_message() {
    let (tell, mut told) = unbounded_channel();
    struct Tell(tokio::sync::mpsc::UnboundedSender<&'static str>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    let service = StubService::new().bidi_streaming(move |requests, _| {
        let guard = Tell(tell.clone());
        async move {
            let mut requests = requests.into_message();
            let _ = guard.0.send("waits");
            while requests.recv().await?.is_some() {}
            Ok(())
        }
    });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    assert_eq!(soon(told.recv()).await, Some("waits"));
    peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
    assert_eq!(soon(told.recv()).await, Some("dropped"));
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_reset_names_the_side_that_sent_it() {
    let (conn, mut scripted) = scripted();
    let call = unary(&StubClient::new(conn), "");
    let mut peer = scripted.accept().await;
    peer.expect_request(1).await;
    peer.send(rst_stream(1, ErrorCode::INTERNAL_ERROR)).await;
    let status = soon(call).await.expect("no panic").expect_err("reset");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(
        status.message(),
        "the server reset the stream: INTERNAL_ERROR"
    );

    let (tell, mut told) = unbounded_channel();
    let service = StubService::new().bidi_streaming(move |requests, mut responses| {
        let tell = tell.clone();
        async move {
            responses.send(msg("welcome")).await?;
            let mut requests = requests.into_message();
            let received = requests.recv().await;
            let _ = tell.send(received.expect_err("reset"));
            Ok(())
        }
    });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    peer.expect_headers(1).await;
    peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
    let status = soon(told.recv()).await.expect("told");
    assert_eq!(status.code(), Code::Cancelled);
    assert_eq!(status.message(), "the client reset the stream: CANCEL");
}

#[tokio::test(start_paused = true)]
async fn a_reset_by_the_client_drops_a_handler_that_waits_for_the_window() {
    let (hang, mut watch) = hang();
    let service = StubService::new().server_streaming(move |_, mut responses| {
        let hang = hang.clone();
        async move {
            let flood = async {
                while responses.send(msg(vec![0; 1024])).await.is_ok() {}
                std::future::pending().await
            };
            tokio::select! {
                never = hang.forever() => match never {},
                never = flood => never,
            }
        }
    });
    let server = serve(service);
    // Without housekeeping no window is given back.
    let small = settings().initial_window_size(4096);
    let mut peer = WirePeer::client_with(server.io().await, small).await;
    peer.send(grpc_request(1, STUB_SERVER_STREAMING)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    watch.begun().await;
    peer.skip_to("the first DATA", |frame| match frame {
        Frame::Data(data) => Ok(data),
        other => Err(other),
    })
    .await;
    peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
    watch.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn work_that_a_handler_spawned_learns_that_the_call_has_ended() {
    let (tell, mut told) = unbounded_channel();
    let (hang, mut watch) = hang();
    let service = StubService::new().unary(move |request| {
        let tell = tell.clone();
        let hang = hang.clone();
        async move {
            let context = request.context().expect("in a handler").clone();
            assert!(!context.is_done());
            tokio::spawn(async move {
                context.done().await;
                assert!(context.is_done());
                context.done().await;
                let _ = tell.send(());
            });
            if request.message().body.is_empty() {
                match hang.forever().await {}
            }
            Ok(Response::new(request.into_message()))
        }
    });
    let server = serve(service);
    let client = server.client();
    // It is cancelled …
    let call = unary(&client, "");
    watch.begun().await;
    assert!(told.try_recv().is_err());
    call.abort();
    assert_eq!(soon(told.recv()).await, Some(()));
    // … or it returns.
    client.unary(msg("answer")).await.expect("OK");
    assert_eq!(soon(told.recv()).await, Some(()));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_drops_the_handlers_of_its_calls() {
    let (service, mut watch) = StubService::hanging();
    let server = serve(service);
    let mut peer = server.wire_client().await;
    for id in [1, 3] {
        peer.send(grpc_request(id, STUB_UNARY)).await;
        peer.send(data(id, framed("")).end_stream()).await;
        watch.begun().await;
    }
    drop(peer);
    watch.dropped().await;
    watch.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_ends_its_calls_as_unavailable() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let stream = tokio::spawn(async move {
        let (_requests, mut responses) = client.bidi_streaming().await?;
        responses.recv().await
    });
    peer.expect_headers(3).await;
    drop(peer);
    let status = soon(call).await.expect("no panic").expect_err("lost");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let status = soon(stream).await.expect("no panic").expect_err("lost");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ended_well_keeps_its_result_when_the_connection_is_lost() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move { client.server_streaming(msg("")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let mut responses = soon(call).await.expect("no panic").expect("a stream");
    answer(&mut peer, 1, "one").await;
    peer.assert_silent_until_ping().await;
    drop(peer);
    assert_eq!(soon(responses.recv()).await.expect("OK"), Some(msg("one")));
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn frames_in_flight_to_cancelled_calls_do_not_end_the_connection() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let first = unary(&client, "");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    // All the DATA is on its way when the server hears of the resets.
    let calls = (3..800).step_by(2);
    for id in calls.clone() {
        let call = unary(&client, "");
        peer.expect_request(id).await;
        call.abort();
        peer.expect_rst(id, ErrorCode::CANCEL).await;
    }
    for id in calls.clone() {
        peer.send(grpc_response(id)).await;
    }
    for _ in 0..10 {
        for id in calls.clone() {
            peer.send(data(id, "x")).await;
        }
    }
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("OK"))).await;
    peer.send(grpc_trailers(1, 0)).await;
    let response = soon(first).await.expect("no panic").expect("OK");
    assert_eq!(response.into_message(), msg("OK"));
}

#[tokio::test(start_paused = true)]
async fn closing_the_channel_cancels_its_calls_and_those_to_come() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn.clone());
    let call = unary(&client, "");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    conn.close();
    conn.close();
    let status = soon(call).await.expect("no panic").expect_err("closed");
    assert_eq!(status.code(), Code::Cancelled, "{status}");
    let status = soon(async { client.unary(msg("")).await })
        .await
        .expect_err("closed");
    assert_eq!(status.code(), Code::Cancelled, "{status}");
    expect_goodbye(&mut peer).await;
}

/// Expects the client to close the connection, having said so.
async fn expect_goodbye(peer: &mut WirePeer) {
    // The `h2` engine closes without a word.
    if native() {
        let goaway = peer.skip_to("GOAWAY", |frame| match frame {
            Frame::GoAway(goaway) => Ok(goaway),
            other => Err(other),
        });
        let goaway = goaway.await;
        assert_eq!(goaway.code, ErrorCode::NO_ERROR);
        assert_eq!(goaway.last_stream_id, 0, "no stream of the server's");
        peer.expect_closed().await;
    } else {
        expect_closed(peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_whose_handles_are_gone_closes_its_connection_after_its_last_call() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move { client.server_streaming(msg("")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    // The client was dropped with its task; the call holds the channel.
    let mut responses = soon(call).await.expect("no panic").expect("a stream");
    peer.assert_silent_until_ping().await;
    peer.send(grpc_response(1)).await;
    peer.send(grpc_trailers(1, 0)).await;
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    drop(responses);
    expect_goodbye(&mut peer).await;
}
