//! The reason why a handler was dropped: what its values can ask when they are dropped, and what
//! work that it has spawned is told.

use std::future::pending;
use std::num::NonZeroUsize;
use std::time::Duration;

use rgrpc::{CallContext, CancelHandle, CancelReason, Metadata, Response, Server, Status};
use rgrpc_e2e::{
    STUB_BIDI_STREAMING, STUB_UNARY, StubService, TestServer, framed, msg, new_server, serve,
    serve_with, soon,
};
use rgrpc_test_support::{ErrorCode, WirePeer, data, grpc_request, rst_stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::workers::alone as workers_alone;

type Reason = Option<CancelReason>;

/// Tells why the call was cancelled: when it is dropped with the handler, and from a task.
struct Telling {
    context: CallContext,
    dropped: UnboundedSender<Reason>,
}

impl Drop for Telling {
    fn drop(&mut self) {
        let _ = self.dropped.send(self.context.cancel_reason());
    }
}

/// The report to the test.
struct Told {
    begun: UnboundedReceiver<Reason>,
    dropped: UnboundedReceiver<Reason>,
    awaited: UnboundedReceiver<Reason>,
}

impl Told {
    async fn begun(&mut self) {
        assert_eq!(soon(self.begun.recv()).await, Some(None), "it goes on");
    }

    #[track_caller]
    fn expect(&mut self, expected: Reason) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let dropped = soon(self.dropped.recv()).await;
            assert_eq!(dropped, Some(expected), "when dropped, {at}");
            let awaited = soon(self.awaited.recv()).await;
            assert_eq!(awaited, Some(expected), "awaited, {at}");
        }
    }
}

/// A server whose handlers hang unless they are asked to do otherwise, and what they tell.
fn telling() -> (TestServer, Told) {
    telling_on(new_server())
}

fn telling_on(server: Server) -> (TestServer, Told) {
    let (begin, begun) = unbounded_channel();
    let (drop, dropped) = unbounded_channel();
    let (wait, awaited) = unbounded_channel();
    let tell = move |context: &CallContext| {
        begin.send(context.cancel_reason()).expect("the test lives");
        let (context, wait) = (context.clone(), wait.clone());
        let telling = Telling {
            context: context.clone(),
            dropped: drop.clone(),
        };
        tokio::spawn(async move {
            let reason = context.cancelled().await;
            assert_eq!(reason, context.cancel_reason(), "it stays");
            let _ = wait.send(reason);
        });
        telling
    };
    let tell_bidi = tell.clone();
    let service = StubService::new()
        .unary(move |request| {
            let telling = tell(request.context().expect("in a handler"));
            async move {
                let _telling = telling;
                match &*request.message().body {
                    b"return" => Ok(Response::new(msg(""))),
                    b"fail" => Err(Status::not_found("asked for")),
                    b"panic" => panic!("asked for"),
                    _ => pending().await,
                }
            }
        })
        .bidi_streaming(move |requests, mut responses| {
            let telling = tell_bidi(requests.context().expect("in a handler"));
            async move {
                let _telling = telling;
                responses.send(msg("welcome")).await?;
                let (mut messages, _request) = requests.split();
                // It returns when the stream fails.
                while messages.recv().await?.is_some() {}
                pending().await
            }
        });
    let server = serve_with(server, service);
    let told = Told {
        begun,
        dropped,
        awaited,
    };
    (server, told)
}

/// Begins a unary call on stream 1, with a deadline or without.
async fn wire_call(server: &TestServer, told: &mut Told, timeout: Option<&str>) -> WirePeer {
    let mut peer = server.wire_client().await;
    let mut head = grpc_request(1, STUB_UNARY);
    if let Some(timeout) = timeout {
        head = head.field("grpc-timeout", timeout);
    }
    peer.send(head).await;
    peer.send(data(1, framed("")).end_stream()).await;
    told.begun().await;
    peer
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resets_the_stream_has_cancelled() {
    let (server, mut told) = telling();
    for (timeout, code, expected) in [
        (None, ErrorCode::CANCEL, CancelReason::ClientCancelled),
        (Some("9S"), ErrorCode::CANCEL, CancelReason::ClientCancelled),
        // The client's clock is a little ahead.
        (
            Some("9m"),
            ErrorCode::CANCEL,
            CancelReason::DeadlineExceeded,
        ),
        (None, ErrorCode::PROTOCOL_ERROR, CancelReason::StreamFailed),
    ] {
        let mut peer = wire_call(&server, &mut told, timeout).await;
        peer.send(rst_stream(1, code)).await;
        told.expect(Some(expected)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_cancelled_by_its_handle_was_cancelled_by_the_client() {
    let (server, mut told) = telling();
    let client = server.client();
    let handle = CancelHandle::new();
    let call = tokio::spawn({
        let (client, handle) = (client.clone(), handle.clone());
        async move { client.unary(msg("")).cancel_handle(&handle).await }
    });
    told.begun().await;
    handle.cancel();
    told.expect(Some(CancelReason::ClientCancelled)).await;
    soon(call).await.expect("no panic").expect_err("cancelled");

    let call = client
        .bidi_streaming()
        .timeout(Duration::from_secs(9))
        .await;
    let (requests, mut responses) = call.expect("a stream");
    told.begun().await;
    soon(responses.recv()).await.expect("OK").expect("one");
    drop((requests, responses));
    told.expect(Some(CancelReason::ClientCancelled)).await;
}

#[tokio::test(start_paused = true)]
async fn a_passed_deadline_is_reported_by_either_side() {
    let (server, mut told) = telling();
    // The client does not notice.
    let _peer = wire_call(&server, &mut told, Some("50m")).await;
    told.expect(Some(CancelReason::DeadlineExceeded)).await;

    // Both do, one of them first.
    let client = server.client();
    let call = client.unary(msg("")).timeout(Duration::from_millis(50));
    call.await.expect_err("late");
    told.begun().await;
    told.expect(Some(CancelReason::DeadlineExceeded)).await;

    let call = client.bidi_streaming().timeout(Duration::from_millis(50));
    let (_requests, mut responses) = call.await.expect("a stream");
    soon(responses.recv()).await.expect("OK").expect("one");
    soon(responses.recv()).await.expect_err("late");
    told.begun().await;
    told.expect(Some(CancelReason::DeadlineExceeded)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_reported() {
    let (server, mut told) = telling();
    let peer = wire_call(&server, &mut told, Some("9S")).await;
    drop(peer);
    told.expect(Some(CancelReason::ConnectionLost)).await;

    // Of a stream whose headers are out, and whose handler waits for a message.
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    told.begun().await;
    peer.expect_headers(1).await;
    drop(peer);
    told.expect(Some(CancelReason::ConnectionLost)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_the_server_is_reported_and_a_drain_is_not() {
    let (server, mut told) = telling();
    let _unary = wire_call(&server, &mut told, None).await;
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    told.begun().await;
    peer.expect_headers(1).await;

    let handle = server.handle().clone();
    let draining = tokio::spawn(async move { handle.graceful_stop().await });
    let a_second = Duration::from_secs(1);
    let drained = tokio::time::timeout(a_second, told.dropped.recv()).await;
    assert!(drained.is_err(), "calls go on: {drained:?}");
    server.handle().stop();
    for _ in 0..2 {
        told.expect(Some(CancelReason::ServerStopped)).await;
    }
    soon(draining).await.expect("no panic");
}

/// In real time: virtual time is one runtime's, and each worker has its own.
#[tokio::test]
async fn a_stop_of_a_server_with_workers_is_reported() {
    let _alone = workers_alone().await;
    let workers = NonZeroUsize::new(2).expect("not 0");
    for server in [
        new_server().workers(workers),
        new_server().workers(workers).spawn_handlers(true),
    ] {
        let (server, mut told) = telling_on(server);
        // One on each worker.
        let _unary = wire_call(&server, &mut told, None).await;
        let mut peer = server.wire_client().await;
        peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
        told.begun().await;
        peer.expect_headers(1).await;

        server.handle().stop();
        soon(server.handle().stopped()).await;
        // Tasks that handlers have spawned may end with their worker before they can tell.
        for _ in 0..2 {
            let dropped = soon(told.dropped.recv()).await;
            assert_eq!(dropped, Some(Some(CancelReason::ServerStopped)));
        }
        server.served().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_or_panics_was_not_cancelled() {
    let (server, mut told) = telling();
    let client = server.client();
    for body in ["return", "fail", "panic"] {
        let call = client.unary(msg(body)).timeout(Duration::from_secs(1));
        assert_eq!(call.await.is_ok(), body == "return");
        told.begun().await;
        told.expect(None).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_because_its_stream_has_failed_was_cancelled() {
    let (server, mut told) = telling();
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    told.begun().await;
    peer.expect_headers(1).await;
    peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
    told.expect(Some(CancelReason::ClientCancelled)).await;
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_call_that_has_ended_stays_when_the_connection_ends() {
    let (tell, mut told) = unbounded_channel();
    let service = StubService::new().unary(move |request| {
        let context = request.context().expect("in a handler").clone();
        context.set_trailer(Metadata::new());
        tell.send(context).expect("the test lives");
        async move { Ok(Response::new(request.into_message())) }
    });
    let server = serve(service);
    let client = server.client();
    client.unary(msg("")).await.expect("OK");
    let context = soon(told.recv()).await.expect("told");
    assert_eq!(soon(context.cancelled()).await, None);
    drop(client);
    server.handle().stop();
    soon(server.handle().stopped()).await;
    assert_eq!(context.cancel_reason(), None);
}
