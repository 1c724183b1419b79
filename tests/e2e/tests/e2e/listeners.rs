//! Listeners of a server: sockets, pipes, several at once, and listeners that fail.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::io::{Address, Connected, Listener, PipeListener, pipe};
use rgrpc::{ClientConn, Response, ServeError, Server, credentials};
use rgrpc_e2e::{
    StubClient, StubService, channel_builder, msg, new_channel, new_server, register_stub, serve,
    settle, soon, text,
};
use rgrpc_test_support::{Event, WirePeer, free_listener};
use tokio::net::{TcpStream, UnixListener};
use tokio::time::Instant;

/// A server whose unary method answers with the two ends of its connection.
fn telling_ends() -> Server {
    let mut server = new_server();
    let service = StubService::new().unary(async |request| {
        let peer = request.context().expect("in a handler").peer();
        Ok(Response::new(msg(format!(
            "{} to {}",
            peer.remote, peer.local
        ))))
    });
    register_stub(&mut server, service).expect("the first");
    server
}

async fn ends_of(conn: ClientConn) -> String {
    let client = StubClient::new(conn);
    let response = soon(async { client.unary(msg("")).await }).await;
    text(response.expect("OK").message()).to_owned()
}

fn insecure(target: impl Into<String>) -> ClientConn {
    new_channel(target, credentials::insecure()).expect("a valid target")
}

fn piped(connector: impl rgrpc::io::Dial) -> ClientConn {
    channel_builder("passthrough:///pipe", credentials::insecure())
        .dialer(connector)
        .build()
        .expect("a valid target")
}

/// The path of a socket, which is removed on drop.
struct SocketPath(std::path::PathBuf);

impl SocketPath {
    fn new(name: &str) -> Self {
        let name = format!("rgrpc-e2e-{}-{name}.sock", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        // It may never have been bound.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn one_server_serves_tcp_a_unix_socket_and_a_pipe_at_once() {
    let server = telling_ends();
    let tcp = free_listener().await.expect("a free port");
    let address = tcp.local_addr().expect("bound");
    let path = SocketPath::new("all");
    let unix = UnixListener::bind(&path.0).expect("a free path");
    let (listener, connector) = pipe();
    let serving = [
        tokio::spawn(server.serve_listener(tcp)),
        tokio::spawn(server.serve_listener(unix)),
        tokio::spawn(server.serve_listener(listener)),
    ];
    let ends = ends_of(insecure(format!("dns:///{address}"))).await;
    assert!(ends.starts_with("127.0.0.1:"), "{ends}");
    assert!(ends.ends_with(&format!(" to {address}")), "{ends}");
    let ends = ends_of(insecure(format!("unix:{}", path.0.display()))).await;
    assert_eq!(ends, format!("unix: to unix:{}", path.0.display()));
    assert_eq!(ends_of(piped(connector)).await, "pipe to pipe");

    soon(server.handle().graceful_stop()).await;
    for serving in serving {
        soon(serving).await.expect("no panic").expect("served");
    }
    TcpStream::connect(address)
        .await
        .expect_err("nobody listens any more");
}

#[tokio::test]
async fn a_unix_socket_is_served_by_its_path() {
    let server = telling_ends();
    let path = SocketPath::new("path");
    let serving = tokio::spawn(server.serve_unix(&path.0));
    let client = StubClient::new(insecure(format!("unix://{}", path.0.display())));
    let call = client.unary(msg("")).wait_for_ready(true);
    soon(async { call.await }).await.expect("OK");
    server.handle().stop();
    soon(serving).await.expect("no panic").expect("served");
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let server = new_server();
    let taken = free_listener().await.expect("a free port");
    let address = taken.local_addr().expect("bound");
    let error = soon(server.serve(address)).await.expect_err("taken");
    assert!(matches!(error, ServeError::Bind(_)), "{error}");

    let path = SocketPath::new("taken");
    let _taken = UnixListener::bind(&path.0).expect("a free path");
    let error = soon(server.serve_unix(&path.0)).await.expect_err("taken");
    assert!(matches!(error, ServeError::Bind(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn serving_a_pipe_ends_when_its_last_dialer_is_gone() {
    let server = telling_ends();
    let (listener, connector) = pipe();
    let serving = tokio::spawn(server.serve_listener(listener));
    assert_eq!(ends_of(piped(connector.clone())).await, "pipe to pipe");
    assert!(!serving.is_finished());
    drop(connector);
    soon(serving).await.expect("no panic").expect("served");
}

/// Fails a given number of times before each connection of a pipe, and records the times of
/// accepts.
struct Failing {
    failures: VecDeque<usize>,
    asked: Arc<Mutex<Vec<Instant>>>,
    pipe: PipeListener,
}

impl Listener for Failing {
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        self.asked
            .lock()
            .expect("not poisoned")
            .push(Instant::now());
        match self.failures.front_mut() {
            Some(0) | None => {
                let connected = self.pipe.accept().await;
                self.failures.pop_front();
                connected
            }
            Some(left) => {
                *left -= 1;
                Err(io::Error::other("too many open files"))
            }
        }
    }

    fn local_address(&self) -> Address {
        Address::Pipe
    }
}

#[tokio::test(start_paused = true)]
async fn failing_accepts_are_tried_again_after_5_ms_doubling_to_1_s_and_5_ms_after_a_success() {
    let server = telling_ends();
    let (pipe, connector) = pipe();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let listener = Failing {
        failures: [10, 2].into(),
        asked: Arc::clone(&asked),
        pipe,
    };
    let serving = tokio::spawn(server.serve_listener(listener));
    ends_of(piped(connector.clone())).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ends_of(piped(connector)).await;

    let asked = asked.lock().expect("not poisoned");
    let gaps: Vec<_> = asked
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_millis())
        .collect();
    let doubling = [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000];
    assert_eq!(gaps[..10], doubling);
    // The eleventh was a connection; then it fails twice.
    assert_eq!(gaps[11..13], [5, 10]);
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_an_accept_to_be_tried_again() {
    let server = telling_ends();
    let (pipe, _connector) = pipe();
    let listener = Failing {
        failures: [usize::MAX].into(),
        asked: Arc::default(),
        pipe,
    };
    let serving = tokio::spawn(server.serve_listener(listener));
    // By then it waits a second each time.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let begun = Instant::now();
    server.handle().stop();
    soon(serving).await.expect("no panic").expect("served");
    assert!(begun.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed_after_the_connection_timeout() {
    for (timeout, server) in [
        (Duration::from_secs(120), new_server()),
        (
            Duration::from_secs(3),
            new_server().connection_timeout(Duration::from_secs(3)),
        ),
    ] {
        let server = rgrpc_e2e::serve_with(server, StubService::echo());
        let mut silent = WirePeer::unshaken(server.io().await).patience(Duration::from_secs(3600));
        let begun = Instant::now();
        let mut speaking = server.wire_client().await;
        loop {
            match silent.next_event().await {
                Event::Frame(_) => {}
                Event::Eof | Event::Broken(_) => break,
                Event::Nothing => panic!("the connection stays open"),
            }
        }
        assert_eq!(begun.elapsed().as_secs(), timeout.as_secs());
        // It is for the handshake alone.
        speaking.assert_silent_until_ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_independent_of_each_other() {
    let server = serve(StubService::echo());
    let (first, second) = (server.client(), server.client());
    first.unary(msg("")).await.expect("OK");
    second.unary(msg("")).await.expect("OK");
    drop(first);
    settle().await;
    second.unary(msg("")).await.expect("OK");
}
