//! Windows: who waits for whom, and that nothing is lost meanwhile.
//!
//! Source: RFC 9113, section 5.2; grpc-go's `TestClientConnDecoupledFromApplicationRead`,
//! `TestStreamCleanup`, `TestServerWithMisbehavedClient`, `TestClientWithMisbehavedServer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rgrpc::Code;
use rgrpc_e2e::{
    STUB_BIDI_STREAMING, STUB_SERVER_STREAMING, STUB_UNARY, StubClient, StubService, framed, hang,
    msg, native, new_server, scripted, serve, serve_with, settle, soon, unary,
};
use rgrpc_test_support::{
    ErrorCode, Frame, WirePeer, data, grpc_request, grpc_response, grpc_trailers, rst_stream,
    settings, window_update,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A message of this number in its first bytes, and zeros.
fn numbered(number: u32, size: usize) -> rgrpc_e2e::Message {
    let mut body = vec![0; size];
    body[..4].copy_from_slice(&number.to_be_bytes());
    msg(body)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_makes_the_handlers_send_wait_and_loses_nothing() {
    const MESSAGES: u32 = 600;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let service = StubService::new().server_streaming(move |_, mut responses| {
        let counter = Arc::clone(&counter);
        async move {
            for number in 0..MESSAGES {
                responses.send(numbered(number, 16 * KIB)).await?;
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    });
    let server = serve(service);
    let client = server.client();
    let mut responses = client.server_streaming(msg("")).await.expect("a stream");
    settle().await;
    let waiting = sent.load(Ordering::Relaxed);
    assert!(waiting > 0, "something goes out");
    assert!(
        waiting * 16 * KIB < 3 * MIB,
        "{waiting} messages were taken at once"
    );
    settle().await;
    assert_eq!(sent.load(Ordering::Relaxed), waiting, "it waits");

    for number in 0..MESSAGES {
        let message = soon(responses.recv())
            .await
            .expect("OK")
            .expect("a message");
        assert_eq!(message, numbered(number, 16 * KIB));
    }
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_read_makes_the_clients_send_wait_and_loses_nothing() {
    const MESSAGES: u32 = 600;
    let (proceed, gate) = tokio::sync::watch::channel(false);
    let service = StubService::new().client_streaming(move |requests| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.expect("the test lives");
            let mut requests = requests.into_message();
            let mut next = 0;
            while let Some(message) = requests.recv().await? {
                assert_eq!(message, numbered(next, 16 * KIB));
                next += 1;
            }
            Ok(rgrpc::Response::new(msg(next.to_string())))
        }
    });
    let server = serve(service);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let client = server.client();
    let call = tokio::spawn(async move {
        let mut call = client.client_streaming().await?;
        for number in 0..MESSAGES {
            call.send(numbered(number, 16 * KIB)).await?;
            counter.fetch_add(1, Ordering::Relaxed);
        }
        call.close_and_recv().await
    });
    settle().await;
    let waiting = sent.load(Ordering::Relaxed);
    assert!(
        waiting > 0 && waiting * 16 * KIB < 3 * MIB,
        "{waiting} messages"
    );
    proceed.send_replace(true);
    let response = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(response.into_message(), msg("600"));
}

#[tokio::test(start_paused = true)]
async fn an_unread_stream_does_not_stop_the_others() {
    let (hang, mut watch) = hang();
    let service = StubService::echo().server_streaming(move |_, mut responses| {
        let hang = hang.clone();
        async move {
            let flood = async {
                while responses.send(msg(vec![0; 64 * KIB])).await.is_ok() {}
                std::future::pending().await
            };
            tokio::select! {
                never = hang.forever() => match never {},
                never = flood => never,
            }
        }
    });
    let server = serve(service);
    let client = server.client();
    let mut unread = Vec::new();
    for _ in 0..3 {
        unread.push(client.server_streaming(msg("")).await.expect("a stream"));
        watch.begun().await;
    }
    settle().await;
    for _ in 0..20 {
        let call = client.unary(msg(vec![1; 64 * KIB]));
        soon(async { call.await }).await.expect("OK");
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_sends_no_more_than_the_window_it_was_given() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move {
        let (mut requests, responses) = client.bidi_streaming().await?;
        requests.send(msg(vec![7; 100])).await?;
        requests.close();
        Ok::<_, rgrpc::Status>((requests, responses))
    });
    let small = settings().initial_window_size(10);
    let mut peer = WirePeer::server_with(server.io().await, small).await;
    peer.take_connection_window().await;
    peer.expect_headers(1).await;
    let _halves = soon(call).await.expect("no panic").expect("a stream");
    let wire = framed(vec![7; 100]);
    let mut received = Vec::new();
    loop {
        let frame = peer.expect_data(1).await;
        assert!(frame.payload.len() <= 10);
        received.extend_from_slice(&frame.payload);
        if frame.end_stream {
            break;
        }
        if received.len() % 10 == 0 && received.len() < wire.len() {
            peer.assert_silent_until_ping().await;
            peer.send(window_update(1, 10)).await;
        }
    }
    assert_eq!(received, wire);
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_a_handler_go_out_after_it_has_returned() {
    let server = serve(StubService::echo());
    let small = settings().initial_window_size(16);
    let mut peer = WirePeer::client_with(server.io().await, small)
        .await
        .housekeeping();
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed(vec![7; 1000])).end_stream()).await;
    // The peer gives the window back sixteen octets at a time.
    let response = peer.expect_response(1).await;
    assert_eq!(response.messages[0].body, framed(vec![7; 1000])[5..]);
    assert_eq!(response.trailers.code, 0);
}

#[tokio::test(start_paused = true)]
async fn the_unread_data_of_a_dropped_call_returns_to_the_connections_window() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let open = async |client: StubClient| {
        let call = tokio::spawn(async move { client.server_streaming(msg("")).await });
        soon(call).await.expect("no panic").expect("a stream")
    };
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.server_streaming(msg("")).await }
    });
    let mut peer = server.accept().await;
    let mut responses = soon(first).await.expect("no panic").expect("a stream");
    // More than the connection's window in all, and nothing is read.
    let window = peer.announced_stream_window();
    for id in (1..40).step_by(2) {
        peer.skip_to("a request", |frame| match frame {
            Frame::Headers(head) if head.stream_id == id => Ok(()),
            other => Err(other),
        })
        .await;
        peer.send(grpc_response(id)).await;
        peer.send(data(id, vec![0; window]).split(16 * KIB)).await;
        read_half_close(&mut peer, id).await;
        drop(responses);
        let reset = peer.skip_to("RST_STREAM", |frame| match frame {
            Frame::RstStream(reset) if reset.stream_id == id => Ok(reset),
            other => Err(other),
        });
        assert_eq!(reset.await.code, ErrorCode::CANCEL);
        responses = open(client.clone()).await;
    }
}

/// Reads the end of the request, so that what follows comes after it.
async fn read_half_close(peer: &mut WirePeer, stream_id: u32) {
    peer.skip_to("END_STREAM", |frame| match frame {
        Frame::Data(data) if data.stream_id == stream_id && data.end_stream => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_unread_data_of_a_handler_returns_to_the_connections_window() {
    let service = StubService::new().bidi_streaming(|_, _| async { Ok(()) });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    let window = peer.announced_stream_window();
    for id in (1..40).step_by(2) {
        peer.send(grpc_request(id, STUB_BIDI_STREAMING)).await;
        // The handler has returned, or returns before it reads.
        peer.send(data(id, vec![0; window]).split(16 * KIB)).await;
        let trailers = peer.skip_to("trailers", |frame| match frame {
            Frame::Headers(head) if head.stream_id == id && head.end_stream => Ok(head),
            other => Err(other),
        });
        assert_eq!(trailers.await.get("grpc-status"), Some("0"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_overruns_a_streams_window_fails_that_call_or_its_connection() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move { client.server_streaming(msg("")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let mut responses = soon(call).await.expect("no panic").expect("a stream");
    peer.send(grpc_response(1)).await;
    // Half a message, which is never read.
    let wire = rgrpc_test_support::message_with(0, 3 * MIB as u32, vec![0; 2 * MIB]);
    let _ = peer.try_send(data(1, wire).split(16 * KIB)).await;
    peer.skip_to("FLOW_CONTROL_ERROR", |frame| match frame {
        Frame::RstStream(reset) if reset.code == ErrorCode::FLOW_CONTROL_ERROR => Ok(()),
        Frame::GoAway(goaway) if !native() && goaway.code == ErrorCode::FLOW_CONTROL_ERROR => {
            Ok(())
        }
        other => Err(other),
    })
    .await;
    let status = soon(responses.recv()).await.expect_err("overrun");
    match status.code() {
        Code::Internal => {}
        Code::Unavailable if !native() => {}
        _ => panic!("{status}"),
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_client_that_overruns_a_streams_window_is_stopped() {
    let (hang, mut watch) = hang();
    let server = serve(StubService::echo().client_streaming(move |requests| {
        let hang = hang.clone();
        async move {
            let never = hang.forever().await;
            drop(requests);
            match never {}
        }
    }));
    let bystander = server.client();
    bystander.unary(msg("")).await.expect("OK");
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, rgrpc_e2e::STUB_CLIENT_STREAMING))
        .await;
    watch.begun().await;
    let wire = rgrpc_test_support::message_with(0, 3 * MIB as u32, vec![0; 2 * MIB]);
    let _ = peer.try_send(data(1, wire).split(16 * KIB)).await;
    peer.skip_to("FLOW_CONTROL_ERROR", |frame| match frame {
        Frame::RstStream(reset) if reset.code == ErrorCode::FLOW_CONTROL_ERROR => Ok(()),
        Frame::GoAway(goaway) if !native() && goaway.code == ErrorCode::FLOW_CONTROL_ERROR => {
            Ok(())
        }
        other => Err(other),
    })
    .await;
    watch.dropped().await;
    bystander.unary(msg("")).await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn many_tiny_frames_do_not_end_the_connection() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    let message = framed(vec![7; 20_000]);
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, &message).end_stream().split(1)).await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.messages[0].body, message[5..]);

    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(data(1, &message).split(1)).await;
    peer.send(grpc_trailers(1, 0)).await;
    let response = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(response.message().body.len(), 20_000);
}

#[tokio::test(start_paused = true)]
async fn many_tiny_messages_that_wait_to_be_read_do_not_end_the_connection() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move { client.server_streaming(msg("")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let mut responses = soon(call).await.expect("no panic").expect("a stream");
    // As many as the window takes.
    let messages = (peer.announced_stream_window() / framed("x").len()).min(20_000);
    peer.send(grpc_response(1)).await;
    peer.send(vec![data(1, framed("x")); messages]).await;
    peer.send(grpc_trailers(1, 0)).await;
    peer.assert_silent_until_ping().await;
    for _ in 0..messages {
        assert_eq!(soon(responses.recv()).await.expect("OK"), Some(msg("x")));
    }
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

#[tokio::test(start_paused = true)]
async fn large_messages_go_both_ways_at_once() {
    let server = new_server().max_receive_message_size(32 * MIB);
    let server = serve_with(server, StubService::echo());
    let client = server.client();
    let calls: Vec<_> = (0..3)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let (mut requests, mut responses) = client
                    .bidi_streaming()
                    .max_receive_message_size(32 * MIB)
                    .await?;
                let message = numbered(number, 5 * MIB);
                let sending = async {
                    for _ in 0..2 {
                        requests.send(&message).await?;
                    }
                    requests.close();
                    Ok::<_, rgrpc::Status>(())
                };
                let receiving = async {
                    let mut count = 0;
                    while let Some(echoed) = responses.recv().await? {
                        assert!(echoed == numbered(number, 5 * MIB), "an echo changed");
                        count += 1;
                    }
                    Ok::<_, rgrpc::Status>(count)
                };
                let (sent, received) = tokio::join!(sending, receiving);
                sent?;
                received
            })
        })
        .collect();
    for call in calls {
        assert_eq!(soon(call).await.expect("no panic").expect("OK"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_the_window_goes_on_when_it_is_given() {
    let service = StubService::new().server_streaming(|_, mut responses| async move {
        for part in ["one", "two", "three"] {
            responses.send(msg(part)).await?;
        }
        Ok(())
    });
    let server = serve(service);
    let none = settings().initial_window_size(0);
    let mut peer = WirePeer::client_with(server.io().await, none).await;
    peer.take_connection_window().await;
    peer.send(grpc_request(1, STUB_SERVER_STREAMING)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    peer.expect_headers(1).await;
    peer.assert_silent_until_ping().await;
    // SETTINGS raise the window of streams that are open.
    peer.send(settings().initial_window_size(1000)).await;
    let mut peer = peer.housekeeping();
    for part in ["one", "two", "three"] {
        assert_eq!(peer.expect_message(1).await.body, framed(part)[5..]);
    }
    assert_eq!(peer.expect_trailers(1).await.code, 0);
    peer.send(rst_stream(1, ErrorCode::NO_ERROR)).await;
    peer.assert_silent_until_ping().await;
}
