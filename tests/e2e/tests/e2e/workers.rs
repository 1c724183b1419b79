//! A server whose connections are served by threads of its own.

#[cfg(target_os = "linux")]
mod threads;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Mutex as StdMutex;
use std::time::Duration;
use std::{io, thread};

use rgrpc::credentials::{ClientTls, ServerTls, insecure};
use rgrpc::io::{Connected, Peer};
use rgrpc::{Code, Response, Server, Status};
use rgrpc_e2e::{
    FnDialer, Message, StubClient, StubService, channel_builder, hang, msg, new_channel,
    new_server, register_stub, serve_with, soon, text,
};
use rgrpc_test_support::free_listener;
use tokio::net::{TcpStream, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::{JoinSet, yield_now};

use crate::tls::certificates::Ca;

/// Threads are counted by their names, so one test at a time has any.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

fn workers(count: usize) -> Server {
    new_server().workers(NonZeroUsize::new(count).expect("not 0"))
}

fn this_thread() -> Message {
    msg(thread::current()
        .name()
        .unwrap_or("a thread without a name"))
}

/// A service whose methods return the threads that they run on, before and after a wait.
fn telling_threads() -> StubService {
    StubService::new()
        .unary(async |request| {
            if request.message().body == b"wait" {
                yield_now().await;
            }
            Ok(Response::new(this_thread()))
        })
        .server_streaming(async |_, mut responses| {
            responses.send(this_thread()).await?;
            yield_now().await;
            responses.send(this_thread()).await
        })
        .client_streaming(async |requests| {
            let mut requests = requests.into_message();
            while requests.recv().await?.is_some() {}
            let spawned = tokio::spawn(async { this_thread() });
            spawned
                .await
                .map(Response::new)
                .map_err(|error| Status::internal(error.to_string()))
        })
        .bidi_streaming(async |requests, mut responses| {
            let mut requests = requests.into_message();
            while requests.recv().await?.is_some() {
                responses.send(this_thread()).await?;
            }
            Ok(())
        })
}

/// The thread that handles a call of this client.
async fn thread_of(client: &StubClient) -> String {
    let response = soon(client.unary(msg("")).into_future()).await;
    text(response.expect("OK").message()).to_owned()
}

/// The threads that handle calls of all kinds of this client.
async fn threads_of_all_kinds(client: StubClient) -> Result<Vec<Message>, Status> {
    let mut threads = Vec::new();
    threads.push(client.unary(msg("")).await?.into_message());
    threads.push(client.unary(msg("wait")).await?.into_message());

    let mut responses = client.server_streaming(msg("")).await?;
    while let Some(message) = responses.recv().await? {
        threads.push(message);
    }

    let mut requests = client.client_streaming().await?;
    requests.send(msg("a")).await?;
    threads.push(requests.close_and_recv().await?.into_message());

    let (mut requests, mut responses) = client.bidi_streaming().await?;
    for _ in 0..2 {
        requests.send(msg("a")).await?;
        threads.extend(responses.recv().await?);
    }
    requests.close();
    assert_eq!(responses.recv().await?, None);
    Ok(threads)
}

#[tokio::test]
async fn all_handlers_of_a_connection_run_on_its_worker() {
    let _alone = alone().await;
    for server in [workers(2), workers(2).spawn_handlers(true)] {
        let server = serve_with(server, telling_threads());
        // The connections are dealt in this order.
        for expected in ["rgrpc-worker-0", "rgrpc-worker-1"] {
            let client = server.client();
            assert_eq!(thread_of(&client).await, expected);
            let mut calls = JoinSet::new();
            for _ in 0..10 {
                calls.spawn(threads_of_all_kinds(client.clone()));
            }
            while let Some(call) = soon(calls.join_next()).await {
                let threads = call.expect("no panic").expect("OK");
                assert_eq!(threads, vec![msg(expected); 7]);
            }
        }
    }
}

#[tokio::test]
async fn connections_are_spread_evenly() {
    let _alone = alone().await;
    let server = serve_with(workers(3), telling_threads());
    let clients: Vec<_> = (0..12).map(|_| server.client()).collect();
    let mut connections = BTreeMap::<_, usize>::new();
    for client in &clients {
        *connections.entry(thread_of(client).await).or_default() += 1;
    }
    let expected = [0, 1, 2].map(|number| (format!("rgrpc-worker-{number}"), 4));
    assert_eq!(connections, expected.into());
}

#[tokio::test]
async fn tcp_and_unix_connections_are_served_on_workers() {
    let _alone = alone().await;
    let mut server = workers(1);
    let service = StubService::new().unary(async |mut request: rgrpc::Request<Message>| {
        request.message_mut().body.extend(this_thread().body);
        Ok(Response::new(request.into_message()))
    });
    register_stub(&mut server, service).expect("the first");
    let tcp = free_listener().await.expect("a free port");
    let address = tcp.local_addr().expect("bound");
    let name = format!("rgrpc-e2e-{}-workers.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let unix = UnixListener::bind(&path).expect("a free path");
    let serving = [
        tokio::spawn(server.serve_listener(tcp)),
        tokio::spawn(server.serve_listener(unix)),
    ];
    for target in [
        format!("dns:///{address}"),
        format!("unix:{}", path.display()),
    ] {
        let conn = new_channel(target, insecure()).expect("a valid target");
        let client = StubClient::new(conn);
        // More than a socket takes at once: the worker waits for it both ways.
        let body = vec![b'a'; 3_000_000];
        let response = soon(client.unary(msg(&body)).into_future()).await;
        let message = response.expect("OK").into_message();
        assert_eq!(&message.body[body.len()..], b"rgrpc-worker-0");
    }
    std::fs::remove_file(&path).expect("it was bound");
    soon(server.handle().graceful_stop()).await;
    for serving in serving {
        soon(serving).await.expect("no panic").expect("served");
    }
}

/// Serves on a runtime that the test can end before the connections that it accepted; returns
/// where.
async fn accept_elsewhere(server: &Server) -> (Runtime, SocketAddr) {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let bound = runtime.spawn(async { free_listener().await.expect("a free port") });
    let listener = bound.await.expect("no panic");
    let address = listener.local_addr().expect("bound");
    runtime.spawn(server.serve_listener(listener));
    (runtime, address)
}

#[tokio::test]
async fn a_socket_is_served_on_when_the_runtime_that_accepted_it_is_gone() {
    let _alone = alone().await;
    let mut server = workers(2);
    register_stub(&mut server, telling_threads()).expect("the first");
    let (accepting, address) = accept_elsewhere(&server).await;
    let target = format!("dns:///{address}");
    let conn = new_channel(target, insecure()).expect("a valid target");
    let client = StubClient::new(conn);
    let before = thread_of(&client).await;
    accepting.shutdown_background();
    assert_eq!(thread_of(&client).await, before);
    server.handle().stop();
    soon(server.handle().stopped()).await;
}

#[tokio::test]
async fn the_handshake_of_tls_is_the_workers() {
    let _alone = alone().await;
    let ca = Ca::new();
    let identity = ca.server("stub.test");
    let tls = ServerTls::new(&identity.chain_pem, &identity.key_pem);
    let mut server = workers(2).credentials(tls.build().expect("sound inputs"));
    register_stub(&mut server, telling_threads()).expect("the first");
    let (accepting, address) = accept_elsewhere(&server).await;
    let client = |stream: TcpStream| {
        let stream = StdMutex::new(Some(stream));
        let tls = ClientTls::new().ca_certificates(ca.pem());
        let credentials = tls.build().expect("sound inputs");
        let conn = channel_builder("passthrough:///stub.test", credentials)
            .dialer(FnDialer::new(move |address| {
                let stream = stream.lock().expect("not poisoned").take();
                async {
                    let stream = stream.ok_or(io::ErrorKind::ConnectionRefused)?;
                    let peer = Peer::new(address.clone(), address);
                    Ok(Connected::new(Box::new(stream), peer))
                }
            }))
            .build()
            .expect("a valid target");
        StubClient::new(conn)
    };
    let connect = || async move { TcpStream::connect(address).await.expect("it listens") };

    let silent = connect().await;
    // Accepted after the one that is silent, and not held up by it.
    assert_eq!(thread_of(&client(connect().await)).await, "rgrpc-worker-1");
    accepting.shutdown_background();
    assert_eq!(thread_of(&client(silent)).await, "rgrpc-worker-0");
    server.handle().stop();
    soon(server.handle().stopped()).await;
}

#[tokio::test]
async fn a_graceful_stop_waits_for_calls_on_workers() {
    let _alone = alone().await;
    let (open, gate) = watch::channel(false);
    let (enter, mut entered) = watch::channel(0);
    let service = StubService::new().unary(move |request| {
        let mut gate = gate.clone();
        enter.send_modify(|count| *count += 1);
        async move {
            gate.wait_for(|open| *open).await.expect("the test lives");
            Ok(Response::new(request.into_message()))
        }
    });
    let server = serve_with(workers(2), service);
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let client = server.client();
        calls.spawn(async move { client.unary(msg("running")).await });
    }
    soon(entered.wait_for(|count| *count == 4))
        .await
        .expect("served");
    let handle = server.handle().clone();
    let mut stopping = pin!(handle.graceful_stop());
    let late = server.client();
    let status = tokio::select! {
        biased;
        () = &mut stopping => panic!("the calls have not ended"),
        late = soon(late.unary(msg("late")).into_future()) => late.expect_err("turned away"),
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(calls.try_join_next().is_none());
    open.send_replace(true);
    while let Some(call) = soon(calls.join_next()).await {
        let response = call.expect("no panic").expect("OK");
        assert_eq!(text(response.message()), "running");
    }
    soon(stopping).await;
    server.served().await;
}

#[tokio::test]
async fn a_stop_ends_calls_on_workers_and_what_handlers_have_spawned() {
    let _alone = alone().await;
    let (hanging, mut hangs) = hang();
    let (spawned, mut spawns) = hang();
    let service = StubService::new().unary(move |_| {
        let (hanging, spawned) = (hanging.clone(), spawned.clone());
        async move {
            tokio::spawn(async move { spawned.forever().await });
            match hanging.forever().await {}
        }
    });
    let server = serve_with(workers(2), service);
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let client = server.client();
        calls.spawn(async move { client.unary(msg("")).await });
        hangs.begun().await;
        spawns.begun().await;
    }
    server.handle().stop();
    for _ in 0..4 {
        hangs.dropped().await;
        spawns.dropped().await;
        let status = soon(calls.join_next()).await.expect("a call");
        let status = status.expect("no panic").expect_err("stopped");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
    soon(server.handle().stopped()).await;
    server.served().await;
}

#[tokio::test]
async fn a_handler_that_panics_ends_neither_its_worker_nor_its_connection() {
    let _alone = alone().await;
    let service = StubService::new().unary(async |request| match text(request.message()) {
        "panic" => panic!("on purpose"),
        "panic later" => {
            yield_now().await;
            panic!("on purpose")
        }
        "panic in a task" => {
            let task = tokio::spawn(async { panic!("on purpose") });
            let error = task.await.err().map(|error| error.to_string());
            Err(Status::aborted(error.unwrap_or_default()))
        }
        _ => Ok(Response::new(this_thread())),
    });
    let server = serve_with(workers(1), service);
    let client = server.client();
    for (request, code) in [
        ("panic", Code::Internal),
        ("panic later", Code::Internal),
        ("panic in a task", Code::Aborted),
    ] {
        let status = soon(client.unary(msg(request)).into_future()).await;
        let status = status.expect_err("it panics");
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains("panicked"), "{status}");
        assert_eq!(thread_of(&client).await, "rgrpc-worker-0");
    }
}

#[tokio::test]
async fn deadlines_pass_on_workers() {
    let _alone = alone().await;
    let (service, mut watch) = StubService::hanging();
    let server = serve_with(workers(1), service);
    let client = server.client();
    let call = client.unary(msg("")).timeout(Duration::from_millis(50));
    let status = soon(call.into_future()).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    watch.begun().await;
    watch.dropped().await;
}
