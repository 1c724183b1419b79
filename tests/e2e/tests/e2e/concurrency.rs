//! Many calls on one connection, and the peer's limit on them.
//!
//! Source: grpc-go's `TestExceedMaxStreamsLimit`, `TestStreamsQuotaRecovery`, `TestCancelNoIO`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::io::Dial;
use rgrpc::{Code, Response, Status, credentials};
use rgrpc_e2e::{
    FnDialer, STUB_UNARY, StubClient, StubService, answer, channel_builder, expect_text, framed,
    hang, msg, native, new_server, scripted, serve, serve_with, settle, soon, text, unary,
};
use rgrpc_test_support::{ErrorCode, Frame, WirePeer, data, grpc_request, settings};
use tokio::sync::{Barrier, watch};
use tokio::task::{JoinHandle, JoinSet};

const CALLS: usize = 1000;

/// A thousand calls on one connection, each waiting for all others.
async fn a_thousand_calls() {
    let barrier = Arc::new(Barrier::new(CALLS));
    let server = serve(StubService::new().unary(move |request| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            Ok(Response::new(request.into_message()))
        }
    }));
    let dials = Arc::new(AtomicUsize::new(0));
    let (counter, connector) = (Arc::clone(&dials), server.connector());
    let conn = channel_builder("passthrough:///a", credentials::insecure())
        .dialer(FnDialer::new(move |address| {
            counter.fetch_add(1, Ordering::Relaxed);
            connector.dial(address)
        }))
        .build()
        .expect("a valid target");
    let client = StubClient::new(conn);
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move {
            let response = client.unary(msg(number.to_string())).await?;
            assert_eq!(text(response.message()), number.to_string());
            Ok::<_, Status>(())
        });
    }
    while let Some(call) = soon(calls.join_next()).await {
        call.expect("no panic").expect("OK");
    }
    assert_eq!(dials.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_thousand_calls_at_once_share_a_connection_on_one_thread() {
    a_thousand_calls().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_at_once_share_a_connection_on_several_threads() {
    a_thousand_calls().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn streams_on_several_threads_keep_their_messages_apart_and_in_order() {
    let server = serve(StubService::echo());
    let client = server.client();
    let mut calls = JoinSet::new();
    for stream in 0..50 {
        let client = client.clone();
        calls.spawn(async move {
            let (mut requests, mut responses) = client.bidi_streaming().await?;
            let body = move |number| msg(format!("{stream}/{number}"));
            let sending = tokio::spawn(async move {
                for number in 0..100 {
                    requests.send(body(number)).await?;
                }
                requests.close();
                Ok::<_, Status>(())
            });
            for number in 0..100 {
                assert_eq!(responses.recv().await?, Some(body(number)));
            }
            assert_eq!(responses.recv().await?, None);
            sending.await.expect("no panic")
        });
    }
    while let Some(call) = soon(calls.join_next()).await {
        call.expect("no panic").expect("OK");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_are_cancelled_at_any_moment_leave_the_connection_whole() {
    let server = serve(StubService::echo());
    let client = server.client();
    client.unary(msg("")).await.expect("OK");
    for _ in 0..10 {
        let calls: Vec<JoinHandle<_>> = (0..50)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.unary(msg(vec![0; 1000])).await })
            })
            .collect();
        for call in calls.iter().step_by(2) {
            call.abort();
            tokio::task::yield_now().await;
        }
        for (number, call) in calls.into_iter().enumerate() {
            let outcome = soon(call).await;
            if number % 2 == 1 {
                outcome.expect("no panic").expect("OK");
            }
        }
    }
    client.unary(msg("")).await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn calls_over_the_servers_limit_wait_their_turn() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let first = unary(&client, "first");
    let mut peer = server
        .accept_with(settings().max_concurrent_streams(1))
        .await;
    peer.expect_request(1).await;
    let second = unary(&client, "second");
    settle().await;
    let third = unary(&client, "third");
    settle().await;
    peer.assert_silent_until_ping().await;
    for (id, call, next) in [(1, first, "second"), (3, second, "third"), (5, third, "")] {
        answer(&mut peer, id, "").await;
        expect_text(call, "").await;
        if !next.is_empty() {
            let request = peer.expect_request(id + 2).await;
            assert_eq!(request.messages[0].body, framed(next)[5..]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_turn_obeys_its_deadline() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let first = unary(&client, "first");
    let mut peer = server
        .accept_with(settings().max_concurrent_streams(1))
        .await;
    peer.expect_request(1).await;
    let call = client.unary(msg("")).timeout(Duration::from_millis(10));
    let status = soon(async { call.await }).await.expect_err("no turn");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // Nothing of it has been sent, and it is in nobody's way.
    peer.assert_silent_until_ping().await;
    answer(&mut peer, 1, "").await;
    expect_text(first, "").await;
    let next = unary(&client, "next");
    let id = expect_next(&mut peer).await;
    answer(&mut peer, id, "").await;
    expect_text(next, "").await;
}

/// Expects the request "next" of the call that follows one on stream 1 and one that gave up its
/// turn; returns its stream.
async fn expect_next(peer: &mut WirePeer) -> u32 {
    if native() {
        let request = peer.expect_request(3).await;
        assert_eq!(request.messages[0].body, framed("next")[5..]);
        return 3;
    }
    // The `h2` engine opens the stream of a call that gave up, to reset it at once.
    let request = peer.skip_to("the next request", |frame| match frame {
        Frame::Data(data) if data.payload == framed("next") => Ok(data),
        other => Err(other),
    });
    request.await.stream_id
}

#[tokio::test(start_paused = true)]
async fn cancelling_the_call_that_holds_the_only_turn_gives_it_to_the_next() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let holder = unary(&client, "holder");
    let mut peer = server
        .accept_with(settings().max_concurrent_streams(1))
        .await;
    peer.expect_request(1).await;
    let next = unary(&client, "next");
    settle().await;
    peer.assert_silent_until_ping().await;
    holder.abort();
    // The server sends nothing; the stream's slot is free nevertheless.
    peer.expect_rst(1, ErrorCode::CANCEL).await;
    peer.expect_request(3).await;
    answer(&mut peer, 3, "").await;
    expect_text(next, "").await;
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_call_that_waits_for_its_turn_sends_nothing() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let holder = unary(&client, "holder");
    let mut peer = server
        .accept_with(settings().max_concurrent_streams(1))
        .await;
    peer.expect_request(1).await;
    let waiting = unary(&client, "waiting");
    settle().await;
    waiting.abort();
    settle().await;
    peer.assert_silent_until_ping().await;
    // Not when its turn would have come either.
    answer(&mut peer, 1, "").await;
    expect_text(holder, "").await;
    let next = unary(&client, "next");
    let id = expect_next(&mut peer).await;
    answer(&mut peer, id, "").await;
    expect_text(next, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_the_server_raises_lets_waiting_calls_go() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let _first = unary(&client, "first");
    let mut peer = server
        .accept_with(settings().max_concurrent_streams(1))
        .await;
    peer.expect_request(1).await;
    let second = unary(&client, "second");
    settle().await;
    peer.assert_silent_until_ping().await;
    peer.send(settings().max_concurrent_streams(2)).await;
    peer.expect_request(3).await;
    answer(&mut peer, 3, "").await;
    expect_text(second, "").await;
}

#[tokio::test(start_paused = true)]
async fn the_server_refuses_streams_over_its_limit_and_keeps_the_others() {
    let (open, gate) = watch::channel(false);
    let service = StubService::new().unary(move |request| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.expect("the test lives");
            Ok(Response::new(request.into_message()))
        }
    });
    let server = serve_with(new_server().max_concurrent_streams(2), service);
    let mut peer = server.wire_client().await;
    for id in [1, 3, 5] {
        peer.send(grpc_request(id, STUB_UNARY)).await;
        peer.send(data(id, framed("")).end_stream()).await;
    }
    peer.expect_rst(5, ErrorCode::REFUSED_STREAM).await;
    open.send_replace(true);
    let mut ended = Vec::new();
    while ended.len() < 2 {
        let trailers = peer.skip_to("trailers", |frame| match frame {
            Frame::Headers(head) if head.end_stream => Ok(head),
            other => Err(other),
        });
        let trailers = trailers.await;
        assert_eq!(trailers.get("grpc-status"), Some("0"));
        ended.push(trailers.stream_id);
    }
    ended.sort_unstable();
    assert_eq!(ended, [1, 3]);
    // There is room again.
    peer.send(grpc_request(7, STUB_UNARY)).await;
    peer.send(data(7, framed("")).end_stream()).await;
    assert_eq!(peer.expect_response(7).await.trailers.code, 0);
}

#[tokio::test(start_paused = true)]
async fn with_a_limit_all_calls_come_through_though_never_more_at_once() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, top) = (Arc::clone(&running), Arc::clone(&most));
    let service = StubService::new().unary(move |request| {
        let (now, top) = (Arc::clone(&now), Arc::clone(&top));
        async move {
            top.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok(Response::new(request.into_message()))
        }
    });
    let server = serve_with(new_server().max_concurrent_streams(7), service);
    let client = server.client();
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        calls.spawn(async move { client.unary(msg("")).await });
    }
    while let Some(call) = soon(calls.join_next()).await {
        call.expect("no panic").expect("OK");
    }
    assert_eq!(most.load(Ordering::Relaxed), 7);
}

#[tokio::test(start_paused = true)]
async fn cancelled_calls_free_streams_under_the_servers_limit() {
    let (hang, mut watch) = hang();
    let service = StubService::new().unary(move |request| {
        let hang = hang.clone();
        async move {
            if request.message().body.is_empty() {
                match hang.forever().await {}
            }
            Ok(Response::new(request.into_message()))
        }
    });
    let server = serve_with(new_server().max_concurrent_streams(1), service);
    let client = server.client();
    for _ in 0..5 {
        let holder = unary(&client, "");
        watch.begun().await;
        let next = unary(&client, "next");
        settle().await;
        holder.abort();
        watch.dropped().await;
        expect_text(next, "next").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_cancelled_calls_is_no_attack() {
    let server = serve(StubService::echo());
    let client = server.client();
    client.unary(msg("")).await.expect("OK");
    // All in one turn of the client's task: the server sees requests and resets in one read.
    for _ in 0..500 {
        let call = unary(&client, "");
        tokio::task::yield_now().await;
        call.abort();
    }
    let response = soon(async { client.unary(msg("after")).await }).await;
    assert_eq!(text(response.expect("OK").message()), "after");
}
