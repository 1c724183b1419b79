//! The registry of channels, subchannels, servers and sockets: what it lists, when, and its counts.
//!
//! Source: gRFC A14; grpc-go's `TestCZServerRegistrationAndDeletion`, `TestCZGetChannel`,
//! `TestCZGetSubChannel`, `TestCZGetServer`, `TestCZGetSocket`, `TestCZNestedChannelRegistrationAndDeletion`,
//! `TestCZChannelMetrics`, `TestCZServerMetrics`.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rgrpc::ConnectivityState::{Idle, Ready, TransientFailure};
use rgrpc::channelz::{CallCounts, Registry, SocketSnapshot};
use rgrpc::io::{Address, Dial, pipe};
use rgrpc::resolver::ManualResolver;
use rgrpc::{ClientConn, ClientConnBuilder, Response, Status, credentials};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, channel_builder, msg, new_server, register_stub,
    serve_with, settle, soon, text,
};
use tokio::time::sleep;

/// A server with this registry, which fails calls with the message "fail".
fn serve(registry: &Registry) -> TestServer {
    let service = StubService::echo().unary(async |request| match text(request.message()) {
        "fail" => Err(Status::not_found("as asked")),
        _ => Ok(Response::new(request.into_message())),
    });
    serve_with(new_server().registry(registry.clone()), service)
}

fn builder(server: &TestServer, registry: &Registry) -> ClientConnBuilder {
    channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .registry(registry.clone())
}

fn channel(server: &TestServer, registry: &Registry) -> ClientConn {
    builder(server, registry).build().expect("valid")
}

async fn call(conn: &ClientConn, body: &str) -> Result<(), Status> {
    let client = StubClient::new(conn.clone());
    soon(async { client.unary(msg(body)).await })
        .await
        .map(|_| ())
}

/// The numbers of calls: started, succeeded, failed.
fn numbers(calls: CallCounts) -> [u64; 3] {
    [calls.started, calls.succeeded, calls.failed]
}

fn channels(registry: &Registry) -> Vec<u64> {
    let page = registry.channels(0, usize::MAX);
    assert!(page.is_last);
    page.items.iter().map(|channel| channel.id).collect()
}

fn servers(registry: &Registry) -> Vec<u64> {
    let page = registry.servers(0, usize::MAX);
    page.items.iter().map(|server| server.id).collect()
}

#[tokio::test(start_paused = true)]
async fn the_tree_of_a_client_and_a_server_with_the_counts_of_their_calls() {
    let registry = Registry::new();
    let before = SystemTime::now();
    let server = serve(&registry);
    settle().await;
    let conn = channel(&server, &registry);
    let id = conn.id().number();
    let channel = registry.channel(id).expect("listed");
    assert_eq!(channel.id, id);
    assert_eq!(channel.target, "passthrough:///stub.test");
    assert_eq!((channel.state, channel.parent), (Idle, None));
    assert_eq!(numbers(channel.calls), [0, 0, 0]);
    assert_eq!(channel.calls.last_started, None);
    assert!(channel.created >= before && channel.subchannels.is_empty());

    for body in ["one", "fail", "two", "three"] {
        let _ = call(&conn, body).await;
    }
    settle().await;
    let channel = registry.channel(id).expect("listed");
    assert_eq!(channel.state, Ready);
    assert_eq!(numbers(channel.calls), [4, 3, 1]);
    assert!(channel.calls.last_started >= Some(before), "{channel:?}");

    let [subchannel] = &registry.subchannels(id)[..] else {
        panic!("one subchannel");
    };
    assert_eq!(channel.subchannels, [subchannel.id]);
    assert_eq!(
        registry.subchannel(subchannel.id).as_ref(),
        Some(subchannel)
    );
    assert_eq!(subchannel.address, Address::Name("stub.test".to_owned()));
    assert_eq!((subchannel.channel, subchannel.state), (id, Ready));
    assert_eq!(subchannel.last_connect_error, None);
    assert_eq!(numbers(subchannel.calls), [4, 3, 1]);
    let [connection] = &subchannel.connections[..] else {
        panic!("one connection");
    };
    assert_eq!(connection.peer.remote, Address::Pipe);

    let server_id = server.handle().id();
    let served = registry.server(server_id).expect("listed");
    assert_eq!(numbers(served.calls), [4, 3, 1]);
    assert!(served.created >= before && served.calls.last_started >= Some(before));
    let [listener] = &served.listen_sockets[..] else {
        panic!("one listener");
    };
    assert_eq!(listener.local, Address::Pipe);
    let sockets = registry.server_sockets(server_id, 0, 10).expect("listed");
    assert_eq!((sockets.items.len(), sockets.is_last), (1, true));

    // Each socket is found by its id, and all ids are different.
    let ids = [
        id,
        server_id,
        subchannel.id,
        listener.id,
        connection.id,
        sockets.items[0].id,
    ];
    for (index, id) in ids.iter().enumerate() {
        assert!(!ids[..index].contains(id), "{ids:?}");
        let found = match registry.socket(*id) {
            Some(SocketSnapshot::Connection(connection)) => connection.id,
            Some(SocketSnapshot::Listen(listener)) => listener.id,
            Some(other) => panic!("{other:?}"),
            None => 0,
        };
        assert_eq!(found, if index < 3 { 0 } else { *id });
        assert_eq!(registry.channel(*id).is_some(), index == 0);
        assert_eq!(registry.server(*id).is_some(), index == 1);
        assert_eq!(registry.subchannel(*id).is_some(), index == 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_leaves_with_its_last_handle_or_its_close_and_a_server_when_it_has_stopped() {
    let registry = Registry::new();
    let idle = new_server().registry(registry.clone());
    assert_eq!(servers(&registry), [0; 0], "it does not serve");
    drop(idle);
    let server = serve(&registry);
    settle().await;
    assert_eq!(servers(&registry), [server.handle().id()]);

    let (dropped, closed) = (channel(&server, &registry), channel(&server, &registry));
    for conn in [&dropped, &closed] {
        call(conn, "one").await.expect("OK");
    }
    let ids = [dropped.id().number(), closed.id().number()];
    assert_eq!(channels(&registry), ids);
    let clone = dropped.clone();
    drop(dropped);
    assert_eq!(channels(&registry), ids);
    drop(clone);
    assert_eq!(channels(&registry), ids[1..]);
    assert_eq!(registry.channel(ids[0]), None);
    closed.close();
    assert_eq!(channels(&registry), [0; 0]);
    assert!(registry.subchannels(ids[1]).is_empty());

    // The calls of connections that have ended still count.
    sleep(Duration::from_secs(2)).await;
    let served = registry.server(server.handle().id()).expect("it serves");
    assert_eq!(numbers(served.calls), [2, 2, 0]);
    let handle = server.handle().clone();
    handle.stop();
    soon(handle.stopped()).await;
    server.served().await;
    assert_eq!(servers(&registry), [0; 0]);
    assert_eq!(registry.server(handle.id()), None);
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_connection_that_has_ended_stay_with_its_subchannel() {
    let registry = Registry::new();
    let server = serve(&registry);
    let conn = channel(&server, &registry);
    let id = conn.id().number();
    for body in ["one", "fail"] {
        let _ = call(&conn, body).await;
    }
    soon(server.handle().graceful_stop()).await;
    sleep(Duration::from_secs(2)).await;
    let [subchannel] = &registry.subchannels(id)[..] else {
        panic!("one subchannel");
    };
    assert_eq!(subchannel.state, Idle);
    assert!(subchannel.connections.is_empty());
    assert_eq!(numbers(subchannel.calls), [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_retried_is_one_call_of_its_channel_and_two_of_its_subchannel() {
    let registry = Registry::new();
    let failed = AtomicBool::new(false);
    let service = StubService::new().unary(move |request| {
        let is_first = !failed.swap(true, Ordering::SeqCst);
        async move {
            if is_first {
                return Err(Status::unavailable("not yet"));
            }
            Ok(Response::new(request.into_message()))
        }
    });
    let server = serve_with(new_server().registry(registry.clone()), service);
    let conn = builder(&server, &registry)
        .default_service_config(
            r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
                "maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s",
                "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
            }}]}"#,
        )
        .build()
        .expect("valid");
    call(&conn, "one").await.expect("retried");
    settle().await;
    let id = conn.id().number();
    let channel = registry.channel(id).expect("listed");
    assert_eq!(numbers(channel.calls), [1, 1, 0]);
    assert_eq!(numbers(registry.subchannels(id)[0].calls), [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_never_get_a_connection_have_failed_and_the_subchannel_says_why() {
    let registry = Registry::new();
    let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens");
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(FnDialer::new(move |_| async move { Err(refused()) }))
        .registry(registry.clone())
        .build()
        .expect("valid");
    call(&conn, "one").await.expect_err("no connection");
    let id = conn.id().number();
    let channel = registry.channel(id).expect("listed");
    assert_eq!(channel.state, TransientFailure);
    assert_eq!(numbers(channel.calls), [1, 0, 1]);
    let [subchannel] = &registry.subchannels(id)[..] else {
        panic!("one subchannel");
    };
    assert_eq!(subchannel.state, TransientFailure);
    let error = subchannel.last_connect_error.as_deref();
    assert!(
        error.is_some_and(|error| error.contains("nobody listens")),
        "{error:?}"
    );
    assert_eq!(numbers(subchannel.calls), [0, 0, 0]);

    let manual = ManualResolver::new("manual");
    let conn = channel_builder("manual:///stub.test", credentials::insecure())
        .resolver(manual.clone())
        .registry(registry.clone())
        .build()
        .expect("valid");
    manual.error(Status::unavailable("no such name"));
    call(&conn, "one").await.expect_err("no address");
    let channel = registry.channel(conn.id().number()).expect("listed");
    assert_eq!(numbers(channel.calls), [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_with_a_parent_is_nested_in_it() {
    let registry = Registry::new();
    let server = serve(&registry);
    let parent = channel(&server, &registry);
    let nested = builder(&server, &registry)
        .parent(parent.id())
        .build()
        .expect("valid");
    let top = |registry: &Registry| -> Vec<u64> {
        let page = registry.top_channels(0, 10);
        page.items.iter().map(|channel| channel.id).collect()
    };
    let ids = [parent.id().number(), nested.id().number()];
    assert_eq!(channels(&registry), ids);
    assert_eq!(top(&registry), ids[..1]);
    let seen = registry.channel(ids[0]).expect("listed");
    assert_eq!((seen.nested, seen.parent), (vec![ids[1]], None));
    let seen = registry.channel(ids[1]).expect("listed");
    assert_eq!((seen.nested, seen.parent), (vec![], Some(ids[0])));
    drop(parent);
    assert_eq!(top(&registry), ids[1..], "its parent is gone");
}

#[tokio::test(start_paused = true)]
async fn lists_are_read_by_pages_in_the_order_of_ids() {
    let registry = Registry::new();
    let mut server = new_server().registry(registry.clone());
    register_stub(&mut server, StubService::echo()).expect("the only one");
    let mut connectors = Vec::new();
    for _ in 0..2 {
        let (listener, connector) = pipe();
        tokio::spawn(server.serve_listener(listener));
        connectors.push(connector);
    }
    let conns: Vec<_> = (0..5)
        .map(|n: usize| {
            let connector = connectors[n % 2].clone();
            let dial = FnDialer::new(move |address| connector.dial(address));
            let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
            let builder = builder.dialer(dial).registry(registry.clone());
            builder.build().expect("valid")
        })
        .collect();
    for conn in &conns {
        call(conn, "one").await.expect("OK");
    }
    let mut read = Vec::new();
    let mut pages = 0;
    let mut start = 0;
    loop {
        let page = registry.channels(start, 2);
        pages += 1;
        read.extend(page.items.iter().map(|channel| channel.id));
        if page.is_last {
            break;
        }
        start = read.last().expect("not empty") + 1;
    }
    let ids: Vec<_> = conns.iter().map(|conn| conn.id().number()).collect();
    assert_eq!((read, pages), (ids, 3));

    let server_id = server.handle().id();
    assert_eq!(
        registry
            .server(server_id)
            .map(|found| found.listen_sockets.len()),
        Some(2)
    );
    let first = registry.server_sockets(server_id, 0, 3).expect("listed");
    assert_eq!((first.items.len(), first.is_last), (3, false));
    let next = first.items[2].id + 1;
    let rest = registry.server_sockets(server_id, next, 3).expect("listed");
    assert_eq!((rest.items.len(), rest.is_last), (2, true));
    assert!(rest.items[0].id > first.items[2].id);
    assert!(registry.server_sockets(server_id + 1, 0, 3).is_none());
    server.handle().stop();
}

#[tokio::test(start_paused = true)]
async fn channels_and_servers_are_in_the_registry_of_the_process_by_default() {
    let server = serve_with(new_server(), StubService::echo());
    let conn = server.conn();
    call(&conn, "one").await.expect("OK");
    let registry = Registry::shared();
    let (id, server_id) = (conn.id().number(), server.handle().id());
    assert!(registry.channel(id).is_some() && registry.server(server_id).is_some());
    drop(conn);
    assert!(registry.channel(id).is_none());
}
