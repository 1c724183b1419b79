//! Stopping a server, gracefully and at once.
//!
//! Source: grpc-go's `TestGracefulStop`, `TestStopAbortsBlockingGRPCCall`,
//! `TestServerGracefulStopIdempotent`.

use std::time::Duration;

use rgrpc::{Code, Response, ServeError, credentials};
use rgrpc_e2e::{
    STUB_UNARY, StubClient, StubService, TestServer, channel_builder, expect_text, framed, msg,
    native, new_channel, new_server, register_stub, serve, settle, soon, unary,
};
use rgrpc_test_support::{ErrorCode, Event, Frame, WirePeer, data, grpc_request};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::time::Instant;

/// A server whose unary method waits until the test lets it go on.
fn gated() -> (TestServer, watch::Sender<bool>, watch::Receiver<usize>) {
    let (open, gate) = watch::channel(false);
    let (enter, entered) = watch::channel(0);
    let server = serve(StubService::new().unary(move |request| {
        let mut gate = gate.clone();
        enter.send_modify(|count| *count += 1);
        async move {
            gate.wait_for(|open| *open).await.expect("the test lives");
            Ok(Response::new(request.into_message()))
        }
    }));
    (server, open, entered)
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_lets_calls_finish_and_returns_when_they_have() {
    let (server, open, mut entered) = gated();
    let client = server.client();
    let call = unary(&client, "running");
    soon(entered.wait_for(|count| *count == 1))
        .await
        .expect("served");
    let handle = server.handle().clone();
    let stopping = tokio::spawn(async move { handle.graceful_stop().await });
    // Long after the time that an acknowledgement may take.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!stopping.is_finished() && !call.is_finished());
    open.send_replace(true);
    expect_text(call, "running").await;
    soon(stopping).await.expect("no panic");
    server.served().await;
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_turns_new_connections_away() {
    let (server, open, mut entered) = gated();
    let client = server.client();
    let running = unary(&client, "running");
    soon(entered.wait_for(|count| *count == 1))
        .await
        .expect("served");
    let handle = server.handle().clone();
    let stopping = tokio::spawn(async move { handle.graceful_stop().await });
    settle().await;
    // Neither a new channel nor the old one gets through.
    for client in [server.client(), client] {
        let status = soon(async { client.unary(msg("late")).await })
            .await
            .expect_err("turned away");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
    open.send_replace(true);
    expect_text(running, "running").await;
    soon(stopping).await.expect("no panic");
    assert_eq!(*entered.borrow(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_says_goaway_twice_and_closes_after_the_last_call() {
    let (server, open, mut entered) = gated();
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("a")).end_stream()).await;
    soon(entered.wait_for(|count| *count == 1))
        .await
        .expect("served");
    let handle = server.handle().clone();
    let stopping = tokio::spawn(async move { handle.graceful_stop().await });
    let warning = peer.expect_goaway(ErrorCode::NO_ERROR).await;
    assert_eq!(warning.last_stream_id, (1 << 31) - 1);
    // Once the PING is acknowledged (the peer keeps house) no stream can be on its way any more.
    let last = peer.expect_goaway(ErrorCode::NO_ERROR).await;
    assert_eq!(last.last_stream_id, 1);
    open.send_replace(true);
    assert_eq!(peer.expect_response(1).await.trailers.code, 0);
    peer.expect_closed().await;
    soon(stopping).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_call_between_the_two_goaways_is_served() {
    let (server, open, mut entered) = gated();
    // It does not acknowledge the PING by itself.
    let mut peer = WirePeer::client(server.io().await).await;
    peer.take_connection_window().await;
    let handle = server.handle().clone();
    let stopping = tokio::spawn(async move { handle.graceful_stop().await });
    peer.expect_goaway(ErrorCode::NO_ERROR).await;
    let ping = peer.expect_ping().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("in time")).end_stream()).await;
    soon(entered.wait_for(|count| *count == 1))
        .await
        .expect("served");
    peer.send(ping.ack()).await;
    let last = peer.expect_goaway(ErrorCode::NO_ERROR).await;
    assert_eq!(last.last_stream_id, 1);
    open.send_replace(true);
    assert_eq!(peer.expect_response(1).await.trailers.code, 0);
    peer.expect_closed().await;
    soon(stopping).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_that_does_not_answer_delays_a_graceful_stop_by_5_s() {
    let server = serve(StubService::echo());
    let mut peer = WirePeer::client(server.io().await)
        .await
        .patience(Duration::from_secs(60));
    peer.take_connection_window().await;
    let begun = Instant::now();
    soon(server.handle().graceful_stop()).await;
    // The native engine gives it another second to close, as grpc-go does: a socket that is closed
    // with octets unread is reset, which may cost the client what was sent last.
    let linger = if native() { 1 } else { 0 };
    assert_eq!(begun.elapsed().as_secs(), 5 + linger);
    loop {
        match peer.next_event().await {
            Event::Frame(Frame::GoAway(_) | Frame::Ping(_)) => {}
            Event::Eof | Event::Broken(_) => return,
            other => panic!("{other}: {peer:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_not_begun_to_speak_does_not_delay_a_graceful_stop() {
    let server = serve(StubService::echo());
    let mut silent = WirePeer::unshaken(server.io().await);
    settle().await;
    let begun = Instant::now();
    soon(server.handle().graceful_stop()).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    expect_end(&mut silent).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_settings_are_missing_does_not_delay_a_graceful_stop() {
    let server = serve(StubService::echo());
    let mut slow = WirePeer::unshaken(server.io().await);
    slow.send_preface().await;
    settle().await;
    let begun = Instant::now();
    soon(server.handle().graceful_stop()).await;
    // To the `h2` engine the connection is a client that does not answer.
    let delay = if native() { 0 } else { 5 };
    assert_eq!(begun.elapsed().as_secs(), delay);
    expect_end(&mut slow).await;
}

#[tokio::test(start_paused = true)]
async fn unread_calls_from_before_a_graceful_stop_are_served() {
    let server = serve(StubService::echo());
    let mut peer = WirePeer::unshaken(server.io().await);
    settle().await;
    // Preface, SETTINGS and a request, which the server has had no time to read.
    peer.send_preface().await;
    peer.send(rgrpc_test_support::settings()).await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("a")).end_stream()).await;
    let handle = server.handle().clone();
    let stopping = tokio::spawn(async move { handle.graceful_stop().await });
    let mut peer = peer.housekeeping();
    let head = peer.skip_to("the response", |frame| match frame {
        Frame::Headers(head) => Ok(head),
        other => Err(other),
    });
    assert_eq!(head.await.stream_id, 1);
    let trailers = peer.skip_to("the trailers", |frame| match frame {
        Frame::Headers(head) => Ok(head),
        other => Err(other),
    });
    assert_eq!(trailers.await.get("grpc-status"), Some("0"));
    soon(stopping).await.expect("no panic");
}

/// Expects the server to close the connection, and skips all frames before.
async fn expect_end(peer: &mut WirePeer) {
    loop {
        match peer.next_event().await {
            Event::Frame(_) => {}
            Event::Eof | Event::Broken(_) => return,
            Event::Nothing => panic!("the connection stays open"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_is_idempotent_and_may_run_twice_at_once() {
    let (server, open, mut entered) = gated();
    let client = server.client();
    let call = unary(&client, "");
    soon(entered.wait_for(|count| *count == 1))
        .await
        .expect("served");
    let stops: Vec<_> = (0..3)
        .map(|_| {
            let handle = server.handle().clone();
            tokio::spawn(async move { handle.graceful_stop().await })
        })
        .collect();
    settle().await;
    open.send_replace(true);
    expect_text(call, "").await;
    for stop in stops {
        soon(stop).await.expect("no panic");
    }
    soon(server.handle().graceful_stop()).await;
    server.handle().stop();
    soon(server.handle().stopped()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_cancels_calls_and_drops_their_handlers() {
    let (service, mut watch) = StubService::hanging();
    let server = serve(service);
    let client = server.client();
    let call = unary(&client, "");
    watch.begun().await;
    server.handle().stop();
    server.handle().stop();
    watch.dropped().await;
    let status = soon(call).await.expect("no panic").expect_err("stopped");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    soon(server.handle().stopped()).await;
    server.served().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_graceful_stop() {
    let (service, mut watch) = StubService::hanging();
    let server = serve(service);
    let client = server.client();
    let call = unary(&client, "");
    watch.begun().await;
    let handle = server.handle().clone();
    let stopping = tokio::spawn(async move { handle.graceful_stop().await });
    settle().await;
    assert!(!stopping.is_finished());
    server.handle().stop();
    soon(stopping).await.expect("no panic");
    watch.dropped().await;
    soon(call).await.expect("no panic").expect_err("stopped");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_connections_that_have_not_begun_to_speak() {
    let server = serve(StubService::echo());
    let mut silent = WirePeer::unshaken(server.io().await);
    settle().await;
    server.handle().stop();
    soon(server.handle().stopped()).await;
    expect_end(&mut silent).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_stopped_does_not_serve_again() {
    let server = new_server();
    server.handle().stop();
    let (listener, _connector) = rgrpc::io::pipe();
    let error = server.serve_listener(listener).await.expect_err("stopped");
    assert!(matches!(error, ServeError::Stopped), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_served_has_stopped() {
    let server = new_server();
    soon(server.handle().stopped()).await;
    soon(server.handle().graceful_stop()).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_server_stops_nothing_that_it_serves() {
    let mut server = new_server();
    register_stub(&mut server, StubService::echo()).expect("the first");
    let (listener, connector) = rgrpc::io::pipe();
    let serving = tokio::spawn(server.serve_listener(listener));
    drop(server);
    let conn = channel_builder("passthrough:///a", credentials::insecure())
        .dialer(connector)
        .build()
        .expect("a valid target");
    StubClient::new(conn).unary(msg("")).await.expect("OK");
    assert!(!serving.is_finished());
    serving.abort();
}

#[tokio::test]
async fn serving_with_a_shutdown_returns_when_the_last_call_has_ended() {
    // This way of serving takes an address alone. A socket that does not listen keeps the port for
    // it, as both allow the address to be shared.
    let keeper = TcpSocket::new_v4().expect("a socket");
    keeper
        .set_reuseaddr(true)
        .expect("an option of every socket");
    keeper
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let address = keeper.local_addr().expect("bound");
    let (open, gate) = watch::channel(false);
    let (enter, entered) = watch::channel(false);
    let mut server = new_server();
    let service = StubService::new().unary(move |request| {
        let mut gate = gate.clone();
        enter.send_replace(true);
        async move {
            gate.wait_for(|open| *open).await.expect("the test lives");
            Ok(Response::new(request.into_message()))
        }
    });
    register_stub(&mut server, service).expect("the first");
    let (shut_down, mut is_shut_down) = watch::channel(false);
    let serving = tokio::spawn(async move {
        let shutdown = async move {
            let _ = is_shut_down.wait_for(|shut_down| *shut_down).await;
        };
        server.serve_with_shutdown(address, shutdown).await
    });
    let target = format!("dns:///{address}");
    let conn = new_channel(target, credentials::insecure()).expect("a valid target");
    let client = StubClient::new(conn);
    let call = tokio::spawn(async move { client.unary(msg("")).wait_for_ready(true).await });
    let mut entered = entered;
    soon(entered.wait_for(|entered| *entered))
        .await
        .expect("served");
    shut_down.send_replace(true);
    open.send_replace(true);
    expect_text(call, "").await;
    soon(serving).await.expect("no panic").expect("served");
}
