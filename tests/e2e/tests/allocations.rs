//! The allocation budget of a unary call, client and server together. Allocations are most of a
//! call's cost, and a change can easily add one.
//!
//! A test binary of its own with one test in it: the allocator that counts is that of the process.
//! The server and the client share a thread, so that one count covers both.

use std::alloc::System;
use std::io::Write;
use std::sync::Arc;

use rgrpc::stats::{CallBegin, CallEvent, CallStats, StatsHandler};
use rgrpc::{
    ClientConn, IncomingCall, Request, Response, Server, ServerNext, ServerReply, Status,
    Transport, credentials,
};
use rgrpc_e2e::proto::Stub;
use rgrpc_e2e::{Message, StubClient, channel_builder, msg, new_server, register_stub};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::net::TcpListener;

/// The maximum number of allocations of a call, both sides together: one less than the design
/// allows.
const BUDGET: f64 = 11.0;

/// The allocations of a call's messages, which the runtime does not make: a body when the caller
/// makes the request, when the server decodes it, and when the client decodes the response.
const BODIES: f64 = 3.0;

/// Calls before counting begins: the connection, its tables and its buffers are there then.
const UNCOUNTED: u32 = 500;

/// Calls that are counted.
const COUNTED: u32 = 2_000;

/// A buffer that is shared out to several calls, and not replaced in each, adds a part of an
/// allocation to the average: less than this.
const TOLERANCE: f64 = 0.25;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Answers with the request's message, as it is.
struct Echo;

impl Stub for Echo {
    async fn unary(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_message()))
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_unary_call_keeps_to_its_budget_of_allocations() {
    let per_call = count(new_server()).await;
    // Past the harness, which would keep it to itself while the test passes.
    writeln!(
        std::io::stderr(),
        "{per_call:.2} allocations for each unary call, both sides together (at most {BUDGET})"
    )
    .expect("stderr can be written to");
    assert!(
        per_call < BUDGET + TOLERANCE,
        "{per_call:.2} allocations for each unary call, and at most {BUDGET} are allowed"
    );

    let stats = Stateless(Arc::new(Ignoring));
    for (what, server) in [
        ("an interceptor", new_server().interceptor(pass_through)),
        ("a stats handler", new_server().stats_handler(stats)),
    ] {
        let more = count(server).await - per_call;
        assert!(more < 1.0 + TOLERANCE, "{what} costs {more:.2} allocations");
    }
}

/// The allocations of a call to this server, both sides together, less those of the bodies.
async fn count(server: Server) -> f64 {
    let client = client_of_echo(server).await;
    for _ in 0..UNCOUNTED {
        call(&client).await;
    }
    let before = allocations();
    for _ in 0..COUNTED {
        call(&client).await;
    }
    let counted = u32::try_from(allocations() - before).expect("few enough to count");
    f64::from(counted) / f64::from(COUNTED) - BODIES
}

/// An interceptor that changes nothing.
async fn pass_through(call: IncomingCall, next: ServerNext) -> Result<ServerReply, Status> {
    next.run(call).await
}

/// A stats handler without state for a call.
#[derive(Clone)]
struct Stateless(Arc<Ignoring>);

struct Ignoring;

impl StatsHandler for Stateless {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::clone(&self.0) as Arc<dyn CallStats>)
    }
}

impl CallStats for Ignoring {
    fn event(&self, _: &CallEvent<'_>) {}
}

/// A client whose server is on the same thread, behind a socket.
async fn client_of_echo(server: Server) -> StubClient<ClientConn> {
    let mut server = server.transport(Transport::Native);
    register_stub(&mut server, Echo).expect("a server without the stub service");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(server.serve_listener(listener));
    let target = format!("passthrough:///127.0.0.1:{port}");
    let conn = channel_builder(target, credentials::insecure())
        .transport(Transport::Native)
        .build()
        .expect("a valid channel");
    StubClient::new(conn)
}

async fn call(client: &StubClient<ClientConn>) {
    let response = client.unary(msg([0; 32])).await.expect("OK");
    assert_eq!(response.message().body.len(), 32);
}

/// The number of allocations of the process. A block that grows is allocated again.
fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}
