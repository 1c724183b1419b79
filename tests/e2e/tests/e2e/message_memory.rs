//! The options `memory_budget` and `buffer_pool` of channels and servers.

use std::sync::Arc;

use rgrpc::stats::{CallBegin, CallEvent, CallStats, StatsHandler};
use rgrpc::{BufferPool, Code, MemoryBudget};
use rgrpc_e2e::{
    STUB_UNARY, StubClient, StubService, engine, framed, msg, native, new_server, scripted_by,
    serve_with, settle, soon,
};
use rgrpc_test_support::{data, grpc_request, grpc_response};

const MIB: usize = 1 << 20;

/// The framed length of a message with a body of one MiB.
fn reserved_for(message: &[u8]) -> usize {
    if native() { message.len() } else { 0 }
}

#[tokio::test(start_paused = true)]
async fn a_server_reserves_the_memory_of_announced_requests_from_its_budget() {
    let message = framed(vec![7; MIB]);
    let budget = MemoryBudget::new(message.len() + 10);
    let serve = || {
        let server = new_server().memory_budget(budget.clone());
        serve_with(server, StubService::echo())
    };
    // Two servers share the budget.
    let servers = [serve(), serve()];
    let mut peers = Vec::new();
    for server in &servers {
        let mut peer = server.wire_client().await;
        peer.send(grpc_request(1, STUB_UNARY)).await;
        // The handler waits for the message when its first part comes.
        settle().await;
        peer.send(data(1, &message[..1_000])).await;
        settle().await;
        peers.push(peer);
        // The second message is over the budget: it arrives in pieces.
        assert_eq!(budget.reserved_bytes(), reserved_for(&message));
    }
    drop(peers);
    settle().await;
    assert_eq!(budget.reserved_bytes(), 0);
    let client = servers[0].client();
    let response = client.unary(msg(vec![7; MIB]));
    let response = soon(response.into_future()).await.expect("it fits");
    assert_eq!(response.message().body.len(), MIB);
}

#[tokio::test(start_paused = true)]
async fn a_channel_reserves_the_memory_of_announced_responses_from_its_budget() {
    let message = framed(vec![7; MIB]);
    for (max, reserved) in [(MIB, 0), (2 * MIB, reserved_for(&message))] {
        let budget = MemoryBudget::new(max);
        let options = |builder: rgrpc::ClientConnBuilder| {
            builder.transport(engine()).memory_budget(budget.clone())
        };
        let (conn, mut server) = scripted_by("passthrough:///stub.test", options);
        let client = StubClient::new(conn);
        let call = tokio::spawn(async move { client.unary(msg("a")).await });
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        peer.send(grpc_response(1)).await;
        settle().await;
        peer.send(data(1, &message[..1_000])).await;
        settle().await;
        assert_eq!(budget.reserved_bytes(), reserved, "{max}");
        drop(peer);
        let status = soon(call).await.expect("no panic").expect_err("it is lost");
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(budget.reserved_bytes(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_pass_through_a_budget_of_nothing() {
    let nothing = MemoryBudget::new(0);
    let server = new_server().memory_budget(nothing.clone());
    let server = serve_with(server, StubService::echo());
    let builder =
        rgrpc_e2e::channel_builder("passthrough:///stub.test", rgrpc::credentials::insecure());
    let builder = builder.dialer(server.connector()).memory_budget(nothing);
    let client = StubClient::new(builder.build().expect("a valid target"));
    let response = soon(client.unary(msg(vec![7; MIB])).into_future()).await;
    assert_eq!(response.expect("it fits").message().body.len(), MIB);
}

#[tokio::test(start_paused = true)]
async fn received_messages_return_their_buffers_to_the_pools_of_both_sides() {
    let cases = [(8 * MIB, false), (8 * MIB, true), (0, false), (0, true)];
    let cases = cases.map(|case| [(case, false), (case, true)]);
    for ((max, compressed), observed) in cases.into_iter().flatten() {
        let [of_server, of_channel] = [(); 2].map(|()| BufferPool::new(max));
        let mut server = new_server().buffer_pool(of_server.clone());
        if observed {
            server = server.stats_handler(Observing);
        }
        let server = serve_with(server, StubService::echo());
        let builder =
            rgrpc_e2e::channel_builder("passthrough:///stub.test", rgrpc::credentials::insecure());
        let builder = builder
            .dialer(server.connector())
            .buffer_pool(of_channel.clone());
        let client = StubClient::new(builder.build().expect("a valid target"));
        let mut call = client.unary(msg(vec![7; MIB]));
        if compressed {
            call = call.compressor("gzip");
        }
        let response = soon(call.into_future()).await.expect("it fits");
        assert_eq!(response.message().body.len(), MIB);
        settle().await;
        for pool in [of_server, of_channel] {
            let unused = pool.unused_bytes();
            assert_eq!(
                unused > 0,
                max > 0,
                "{max} {compressed} {observed} {pool:?}"
            );
            assert!(unused <= max);
        }
    }
}

/// A stats handler that observes the messages of all calls.
struct Observing;

impl StatsHandler for Observing {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::new(Self))
    }
}

impl CallStats for Observing {
    fn event(&self, _: &CallEvent<'_>) {}

    fn wants_messages(&self) -> bool {
        true
    }
}
