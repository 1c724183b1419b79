//! The lifetime of a server's threads.

use std::fs;

use rgrpc::io::pipe;
use rgrpc::{ServeError, credentials};
use rgrpc_e2e::{StubClient, StubService, channel_builder, register_stub, serve_with, soon, unary};
use tokio::task::yield_now;

use super::{alone, telling_threads, thread_of, workers};

/// The number of running workers in this process.
fn count() -> usize {
    fs::read_dir("/proc/self/task")
        .expect("this process")
        // A thread may end while it is looked at.
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("rgrpc-worker-"))
        .count()
}

/// Waits until no worker is left.
async fn none_left() {
    soon(async {
        while count() > 0 {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn there_are_as_many_threads_as_asked_for_from_serving_to_the_stop() {
    let _alone = alone().await;
    none_left().await;
    let server = workers(3);
    assert_eq!(count(), 0);
    let server = serve_with(server, telling_threads());
    for client in [server.client(), server.client()] {
        thread_of(&client).await;
        assert_eq!(count(), 3);
    }
    server.handle().stop();
    soon(server.handle().stopped()).await;
    none_left().await;
}

#[tokio::test]
async fn no_thread_is_left_after_a_graceful_stop() {
    let _alone = alone().await;
    let server = serve_with(workers(2), telling_threads());
    let client = server.client();
    thread_of(&client).await;
    soon(server.handle().graceful_stop()).await;
    none_left().await;
}

#[tokio::test]
async fn no_thread_is_left_after_a_stop_with_calls() {
    let _alone = alone().await;
    let (service, mut watch) = StubService::hanging();
    let server = serve_with(workers(2), service);
    let client = server.client();
    let call = unary(&client, "");
    watch.begun().await;
    server.handle().stop();
    soon(call).await.expect("no panic").expect_err("stopped");
    none_left().await;
}

#[tokio::test]
async fn listeners_of_one_server_share_its_threads() {
    let _alone = alone().await;
    none_left().await;
    let mut server = workers(2);
    register_stub(&mut server, telling_threads()).expect("the first");
    let mut clients = Vec::new();
    for listener in 0..2 {
        let (accepts, connector) = pipe();
        tokio::spawn(server.serve_listener(accepts));
        // One from each listener on each thread, as each counts what the other has dealt.
        for expected in ["rgrpc-worker-0", "rgrpc-worker-1"] {
            let conn = channel_builder("passthrough:///pipe", credentials::insecure())
                .dialer(connector.clone())
                .build()
                .expect("a valid target");
            let client = StubClient::new(conn);
            assert_eq!(thread_of(&client).await, expected, "listener {listener}");
            clients.push(client);
        }
    }
    assert_eq!(count(), 2);
    server.handle().stop();
    soon(server.handle().stopped()).await;
    none_left().await;
}

#[tokio::test]
async fn threads_end_with_the_last_listener_and_start_again_for_the_next() {
    let _alone = alone().await;
    none_left().await;
    let mut server = workers(2);
    register_stub(&mut server, telling_threads()).expect("the first");
    for _ in 0..2 {
        let (listener, connector) = pipe();
        let serving = tokio::spawn(server.serve_listener(listener));
        let conn = channel_builder("passthrough:///pipe", credentials::insecure())
            .dialer(connector)
            .build()
            .expect("a valid target");
        let client = StubClient::new(conn);
        thread_of(&client).await;
        assert_eq!(count(), 2);
        // The listener is closed for good, because its dialer is gone.
        drop(client);
        soon(serving).await.expect("no panic").expect("served");
        soon(server.handle().stopped()).await;
        none_left().await;
    }
}

#[tokio::test]
async fn a_connection_keeps_its_thread_after_serving_has_ended() {
    let _alone = alone().await;
    none_left().await;
    let mut server = workers(2);
    register_stub(&mut server, telling_threads()).expect("the first");
    let (listener, connector) = pipe();
    let serving = tokio::spawn(server.serve_listener(listener));
    let conn = channel_builder("passthrough:///pipe", credentials::insecure())
        .dialer(connector)
        .build()
        .expect("a valid target");
    let client = StubClient::new(conn);
    let thread = thread_of(&client).await;
    serving.abort();
    soon(serving).await.expect_err("aborted");
    soon(async {
        while count() > 1 {
            yield_now().await;
        }
    })
    .await;
    assert_eq!(thread_of(&client).await, thread);
    drop(client);
    none_left().await;
}

#[tokio::test]
async fn a_server_that_was_stopped_starts_no_threads() {
    let _alone = alone().await;
    none_left().await;
    let server = workers(2);
    server.handle().stop();
    let (listener, _connector) = pipe();
    let error = soon(server.serve_listener(listener)).await;
    assert!(matches!(error, Err(ServeError::Stopped)), "{error:?}");
    assert_eq!(count(), 0);
}
