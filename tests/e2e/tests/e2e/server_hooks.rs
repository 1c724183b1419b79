//! Hooks of a server: on the head of a call and on a new connection; the values and the draining of
//! one connection.
//!
//! Source: grpc-go's `TestTap`, and its `TestServerConnDecode` for what a listener adds.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use rgrpc::io::{Address, Connected, Listener, PipeListener, pipe};
use rgrpc::{Code, ConnectionHandle, IncomingCall, Response, ServerNext, Status, credentials};
use rgrpc_e2e::{
    STUB_UNARY, StubClient, StubService, TestServer, channel_builder, framed, msg, native,
    new_server, register_stub, serve_with, settle, soon, text,
};
use rgrpc_test_support::{ErrorCode, Event, WirePeer, data, grpc_request};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

/// A value of a connection or a call.
#[derive(Clone, Debug, PartialEq)]
struct Tag(&'static str);

async fn code_of(server: &TestServer, body: &str) -> Code {
    let client = server.client();
    let outcome = soon(async { client.unary(msg(body)).await }).await;
    outcome.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test(start_paused = true)]
async fn a_head_hook_refuses_a_call_before_its_body_and_interceptors_see_its_status() {
    let seen: Arc<Mutex<Vec<Code>>> = Arc::default();
    let told = Arc::clone(&seen);
    let server = new_server()
        .head_hook(|head| {
            let found = head.descriptor().map(|found| found.method.name);
            assert_eq!(found, Some("Unary"));
            assert!(!head.kind().client_streams() && head.deadline().is_none());
            match head.metadata().get("x-refused") {
                Some(_) => Err(Status::permission_denied("by the hook")),
                None => Ok(()),
            }
        })
        .interceptor(move |call: IncomingCall, next: ServerNext| {
            let told = Arc::clone(&told);
            async move {
                let reply = next.run(call).await;
                let code = reply.as_ref().map_or_else(Status::code, |_| Code::Ok);
                told.lock().expect("no panic").push(code);
                reply
            }
        });
    let server = serve_with(server, StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY).field("x-refused", "1"))
        .await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.trailers.code, Code::PermissionDenied as u32);
    assert_eq!(response.trailers.message, "by the hook");

    assert_eq!(code_of(&server, "").await, Code::Ok);
    let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    assert_eq!(seen, [Code::PermissionDenied, Code::Ok]);
}

#[tokio::test(start_paused = true)]
async fn a_head_hook_gives_the_call_values_and_a_size_limit() {
    let server = new_server().head_hook(|head| {
        head.extensions_mut().insert(Tag("of the hook"));
        head.set_max_receive_message_size(8);
        Ok(())
    });
    let service = StubService::new().unary(async |request| {
        assert_eq!(request.extensions().get(), Some(&Tag("of the hook")));
        Ok(Response::new(request.into_message()))
    });
    let server = serve_with(server, service);
    assert_eq!(code_of(&server, "short").await, Code::Ok);
    assert_eq!(code_of(&server, "too long").await, Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_head_hook_is_internal_on_that_call() {
    let server = new_server().head_hook(|head| {
        assert!(head.metadata().get("x-panic").is_none(), "as asked");
        Ok(())
    });
    let server = serve_with(server, StubService::echo());
    let client = server.client();
    let status = soon(async { client.unary(msg("")).metadata("x-panic", "1").await })
        .await
        .expect_err("panicked");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(code_of(&server, "").await, Code::Ok);
}

/// A listener that gives its connections a value.
struct Tagging(PipeListener);

impl Listener for Tagging {
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        let accepted = self.0.accept().await?;
        Ok(accepted.map(|mut connected| {
            connected.extensions.insert(Tag("of the listener"));
            connected
        }))
    }

    fn local_address(&self) -> Address {
        self.0.local_address()
    }
}

#[tokio::test]
async fn values_of_the_listener_and_the_hook_reach_calls() {
    for workers in [None, NonZeroUsize::new(1)] {
        let mut server = new_server().connection_hook(|connection| {
            let listeners = connection.extensions().get::<Tag>().cloned();
            assert_eq!(listeners, Some(Tag("of the listener")));
            assert_eq!(connection.peer().remote, Address::Pipe);
            connection.extensions_mut().insert(7_u8);
            Ok(())
        });
        if let Some(workers) = workers {
            server = server.workers(workers);
        }
        let service = StubService::new().unary(async |request| {
            let connection = request.context().expect("in a handler").connection();
            let tag = connection.extensions().get::<Tag>().expect("a tag").0;
            let number = connection.extensions().get::<u8>().expect("a number");
            Ok(Response::new(msg(format!("{tag} {number}"))))
        });
        register_stub(&mut server, service).expect("the first");
        let (listener, connector) = pipe();
        tokio::spawn(server.serve_listener(Tagging(listener)));
        let conn = channel_builder("passthrough:///pipe", credentials::insecure())
            .dialer(connector)
            .build()
            .expect("a valid target");
        let client = StubClient::new(conn);
        // Threads have no virtual time.
        let response = client.unary(msg("")).await.expect("OK");
        assert_eq!(text(response.message()), "of the listener 7");
        server.handle().stop();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_hook_refuses_a_connection() {
    let server = new_server().connection_hook(|_| Err("not from here".into()));
    let server = serve_with(server, StubService::echo());
    assert_eq!(code_of(&server, "").await, Code::Unavailable);
}

/// A server whose unary method waits until the test lets it go on, and the connections of its
/// calls.
fn gated() -> (
    TestServer,
    watch::Sender<bool>,
    UnboundedReceiver<ConnectionHandle>,
) {
    let (open, gate) = watch::channel(false);
    let (give, given) = unbounded_channel();
    let service = StubService::new().unary(move |request| {
        let mut gate = gate.clone();
        let context = request.context().expect("in a handler");
        give.send(context.connection().clone())
            .expect("the test lives");
        async move {
            gate.wait_for(|open| *open).await.expect("the test lives");
            Ok(Response::new(request.into_message()))
        }
    });
    (serve_with(new_server(), service), open, given)
}

/// Expects what a connection says that begins to drain.
async fn expect_drain(peer: &mut WirePeer) {
    peer.expect_goaway(ErrorCode::NO_ERROR).await;
    if !native() {
        // The last stream follows when the PING between them is acknowledged.
        peer.expect_goaway(ErrorCode::NO_ERROR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn draining_one_connection_lets_its_calls_finish_and_leaves_the_others() {
    let (server, open, mut given) = gated();
    let mut drained = server.wire_client().await;
    let mut other = server.wire_client().await;
    let mut connections = Vec::new();
    for peer in [&mut drained, &mut other] {
        peer.send(grpc_request(1, STUB_UNARY)).await;
        peer.send(data(1, framed("hello")).end_stream()).await;
        connections.push(soon(given.recv()).await.expect("given"));
    }
    let [first, second] = &connections[..] else {
        panic!("two connections");
    };
    assert!(first != second && *first == first.clone());
    first.drain();
    first.drain();
    expect_drain(&mut drained).await;
    open.send_replace(true);
    let response = drained.expect_response(1).await;
    assert_eq!(response.trailers.code, 0);
    assert_eq!(other.expect_response(1).await.trailers.code, 0);
    // Perhaps after a last GOAWAY.
    while let Event::Frame(_) = drained.next_event().await {}

    // The other takes new calls.
    other.send(grpc_request(3, STUB_UNARY)).await;
    other.send(data(3, framed("hello")).end_stream()).await;
    assert_eq!(other.expect_response(3).await.trailers.code, 0);
    assert_eq!(&soon(given.recv()).await.expect("given"), second);
    // Nothing happens to one that is gone.
    first.close();
}

#[tokio::test(start_paused = true)]
async fn a_channel_makes_new_calls_on_a_new_connection_when_one_is_drained() {
    let (server, open, mut given) = gated();
    open.send_replace(true);
    let client = server.client();
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    let first = soon(given.recv()).await.expect("given");
    first.drain();
    settle().await;
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    assert!(soon(given.recv()).await.expect("given") != first);
}

#[tokio::test(start_paused = true)]
async fn closing_one_connection_cancels_its_calls() {
    let (server, _open, mut given) = gated();
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("hello")).end_stream()).await;
    let connection = soon(given.recv()).await.expect("given");
    let debug = format!("{connection:?}");
    assert!(
        debug.contains("Pipe") && debug.contains("Running"),
        "{debug}"
    );
    connection.close();
    peer.expect_goaway(ErrorCode::NO_ERROR).await;
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_gracefully_while_a_connection_drains_waits_for_its_calls() {
    let (server, open, mut given) = gated();
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("hello")).end_stream()).await;
    soon(given.recv()).await.expect("given").drain();
    settle().await;
    let handle = server.handle().clone();
    let stopping = tokio::spawn(async move { handle.graceful_stop().await });
    settle().await;
    assert!(!stopping.is_finished());
    open.send_replace(true);
    expect_drain(&mut peer).await;
    assert_eq!(peer.expect_response(1).await.trailers.code, 0);
    soon(stopping).await.expect("no panic");
}
