//! Races between the ends of calls and connections, on several threads.
//!
//! Source: grpc-go's `TestConcurrentServerStopAndGoAway`, `TestContextCanceled`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::io::Dial;
use rgrpc::{Code, Status, credentials};
use rgrpc_e2e::{FnDialer, StubClient, StubService, channel_builder, hang, msg, serve, soon};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deadline_is_deadline_exceeded_on_the_side_that_notices_it_first_and_on_the_other() {
    const CALLS: u64 = 100;
    let (hang, mut watch) = hang();
    let server = serve(StubService::new().bidi_streaming(move |_, mut responses| {
        let hang = hang.clone();
        async move {
            responses.send(msg("begun")).await?;
            match hang.forever().await {}
        }
    }));
    let client = server.client();
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move {
            let timeout = Duration::from_millis(200 + number % 5);
            let call = client.bidi_streaming().timeout(timeout);
            let (mut requests, mut responses) = call.await?;
            let receiving = tokio::spawn(async move {
                while responses.recv().await?.is_some() {}
                Ok::<_, Status>(())
            });
            let sending = loop {
                if let Err(status) = requests.send(msg(vec![0; 16 * 1024])).await {
                    break status;
                }
                tokio::task::yield_now().await;
            };
            let received = receiving.await.expect("no panic").expect_err("too late");
            assert_eq!(received.code(), Code::DeadlineExceeded, "{received}");
            // The sending half may learn of the end before it learns of the reason.
            assert!(
                matches!(
                    sending.code(),
                    Code::DeadlineExceeded | Code::Unavailable | Code::Cancelled
                ),
                "{sending}"
            );
            Ok::<_, Status>(())
        });
    }
    while let Some(call) = soon(calls.join_next()).await {
        call.expect("no panic").expect("a stream");
    }
    // Each handler that began was dropped.
    soon(server.handle().graceful_stop()).await;
    drop(server);
    let (begun, dropped) = watch.counts();
    assert_eq!(begun, dropped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_amid_calls_ends_each_well_or_as_unavailable() {
    for _ in 0..3 {
        let server = serve(StubService::echo());
        let client = server.client();
        let done = Arc::new(AtomicUsize::new(0));
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let (client, done) = (client.clone(), Arc::clone(&done));
            calls.spawn(async move {
                loop {
                    match client.unary(msg("x")).await {
                        Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                        Err(status) => return status,
                    };
                }
            });
        }
        while done.load(Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        server.handle().stop();
        soon(server.handle().stopped()).await;
        while let Some(call) = soon(calls.join_next()).await {
            let status = call.expect("no panic");
            assert_eq!(status.code(), Code::Unavailable, "{status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_channel_that_is_closed_amid_calls_ends_each_well_or_as_cancelled() {
    for _ in 0..3 {
        let server = serve(StubService::echo());
        let conn = server.conn();
        let client = StubClient::new(conn.clone());
        let done = Arc::new(AtomicUsize::new(0));
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let (client, done) = (client.clone(), Arc::clone(&done));
            calls.spawn(async move {
                loop {
                    match client.unary(msg("x")).await {
                        Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                        Err(status) => return status,
                    };
                }
            });
        }
        while done.load(Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        conn.close();
        while let Some(call) = soon(calls.join_next()).await {
            let status = call.expect("no panic");
            assert_eq!(status.code(), Code::Cancelled, "{status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_fails_while_servers_are_replaced_gracefully() {
    let mut server = serve(StubService::echo());
    let current = Arc::new(Mutex::new(server.connector()));
    let dialer = Arc::clone(&current);
    let conn = channel_builder("passthrough:///service", credentials::insecure())
        .dialer(FnDialer::new(move |address| {
            dialer.lock().expect("not poisoned").dial(address)
        }))
        .build()
        .expect("a valid target");
    let client = StubClient::new(conn);
    let stop = Arc::new(AtomicBool::new(false));
    let done: Arc<[AtomicUsize; 20]> = Arc::default();
    let mut calls = JoinSet::new();
    for caller in 0..done.len() {
        let (client, stop, done) = (client.clone(), Arc::clone(&stop), Arc::clone(&done));
        calls.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                client.unary(msg("x")).await?;
                done[caller].fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Status>(())
        });
    }
    for _ in 0..10 {
        // Each caller ends the call it is at: one that was turned away is retried once, and is
        // not to be turned away twice.
        for caller in done.iter() {
            let before = caller.load(Ordering::Relaxed);
            while caller.load(Ordering::Relaxed) == before {
                if let Some(call) = calls.try_join_next() {
                    call.expect("no panic").expect("every call succeeds");
                }
                tokio::task::yield_now().await;
            }
        }
        let next = serve(StubService::echo());
        *current.lock().expect("not poisoned") = next.connector();
        soon(server.handle().graceful_stop()).await;
        server = next;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(call) = soon(calls.join_next()).await {
        call.expect("no panic").expect("every call succeeds");
    }
}
