//! Transport credentials of a user's own: the handshake on both sides, its errors, and what peers
//! show of it.
//!
//! Source: grpc-go `credentials.TransportCredentials`, and `TestCredsHandshakeAuthority`,
//! `TestServerCredsDispatch` of `test/creds_test.go`.

mod attributes;
mod delegation;
mod password;
mod security_level;

use std::error::Error;
use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rgrpc::credentials::{
    AuthInfo, ChannelCredentials, ClientHandshake, ClientHandshakeInfo, ConnectionDispatched,
    HandshakeError, HandshakeResult, Secured, SecurityLevel, ServerCredentials, ServerHandshake,
    ServerHandshakeInfo, insecure,
};
use rgrpc::io::{Address, BoxedIo, Connected, Listener, Peer, PipeListener, pipe};
use rgrpc::{
    BuildError, ClientConnBuilder, Code, Extensions, IncomingCall, Response, ServerNext, Side,
    Status,
};
use rgrpc_e2e::{
    StubClient, StubService, TestServer, channel_builder, log, msg, new_server, register_stub,
    serve_with, settle, soon, text,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use password::{Name, Password};

fn channel(server: &TestServer, credentials: ChannelCredentials) -> ClientConnBuilder {
    channel_builder("passthrough:///stub.test:443", credentials).dialer(server.connector())
}

fn client(server: &TestServer, credentials: ChannelCredentials) -> StubClient {
    StubClient::new(
        channel(server, credentials)
            .build()
            .expect("a valid channel"),
    )
}

/// A server that answers with what its handler knows of the client.
fn serve_showing_peer(credentials: ServerCredentials) -> TestServer {
    let service = StubService::new().unary(async |request| {
        let peer = request.context().expect("in a handler").peer();
        Ok(Response::new(msg(shown(peer))))
    });
    serve_with(new_server().credentials(credentials), service)
}

/// Protocol, level and name of the other side.
fn shown(peer: &Peer) -> String {
    let auth = &peer.auth;
    let name = auth.details::<Name>().map_or("nobody", |name| &name.0);
    format!("{} {} {name}", auth.protocol(), auth.security_level())
}

async fn call(client: &StubClient) -> Result<String, Status> {
    let response = soon(client.unary(msg("")).into_future()).await?;
    Ok(text(response.message()).to_owned())
}

async fn expect_refused(client: &StubClient) -> Status {
    let status = call(client).await.expect_err("no connection is secured");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    status
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// The error of the handshake that a status has among its sources.
fn handshake_error(status: &Status) -> &HandshakeError {
    let mut next = status.source();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref() {
            return error;
        }
        next = error.source();
    }
    panic!("no handshake has failed: {status:?}");
}

#[tokio::test(start_paused = true)]
async fn both_sides_see_protocol_level_and_details_of_a_handshake() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let (heads, hooks) = (sender.clone(), sender.clone());
    let password = Password::new("right");
    let server = new_server()
        .credentials(password.server())
        .connection_hook(move |connection| {
            hooks.send(format!("hook {}", shown(connection.peer())))?;
            Ok(())
        })
        .head_hook(move |head| {
            // The test listens.
            let _ = heads.send(format!("head {}", shown(head.peer())));
            Ok(())
        })
        .interceptor(move |call: IncomingCall, next: ServerNext| {
            let _ = sender.send(format!("interceptor {}", shown(call.peer())));
            async move { next.run(call).await }
        });
    let service = StubService::new().unary(async |request| {
        let peer = request.context().expect("in a handler").peer();
        Ok(Response::new(msg(shown(peer))))
    });
    let server = serve_with(server, service);
    let client = client(&server, password.client());
    let response = soon(client.unary(msg("")).into_future()).await.expect("OK");
    assert_eq!(text(response.message()), "password NoSecurity ada");
    let peer = response.peer().expect("it came by a connection");
    assert_eq!(shown(peer), "password NoSecurity stub");
    assert_eq!(peer.tls(), None);
    for expected in ["hook", "head", "interceptor"] {
        let seen = seen.recv().await.expect("it has seen the client");
        assert_eq!(seen, format!("{expected} password NoSecurity ada"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_credentials_of_their_own_peers_are_insecure() {
    let server = serve_showing_peer(ServerCredentials::default());
    let answer = call(&client(&server, insecure())).await;
    assert_eq!(answer.expect("OK"), "insecure NoSecurity nobody");
}

#[tokio::test(start_paused = true)]
async fn calls_of_all_sizes_go_over_a_stream_of_the_credentials() {
    let password = Password::new("right").masked();
    let server = new_server().credentials(password.server());
    let server = serve_with(server, StubService::echo());
    let client = client(&server, password.client());
    for size in [0, 1, 70_000, 3_000_000] {
        let body = vec![b'x'; size];
        let response = soon(client.unary(msg(&body)).into_future()).await;
        assert_eq!(response.expect("OK").message().body, body);
    }
    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    for part in ["a", "b"] {
        requests.send(msg(part)).await.expect("it is taken");
        let response = responses.recv().await.expect("a message");
        assert_eq!(response.as_ref().map(text), Some(part));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_an_error_on_both_sides() {
    let log = log();
    let server = serve_showing_peer(Password::new("right").server());
    let status = expect_refused(&client(&server, Password::new("wrong").client())).await;
    assert_says(
        status.message(),
        &[
            "cannot connect to passthrough:///stub.test:443: stub.test:443: the password handshake \
             with the server failed: the password is wrong; the option is Password::password",
        ],
    );
    let error = handshake_error(&status);
    assert_eq!((error.side(), error.protocol()), (Side::Client, "password"));
    assert!(!error.is_timeout());
    assert!(error.source().is_some(), "the error of the credentials");
    settle().await;
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_says(
        &lines[0],
        &[
            "WARN a connection was refused peer=pipe reason=the password handshake with the client \
             failed: the password of \"ada\" is wrong",
        ],
    );
}

/// A handshake that does not end.
struct Endless;

impl ClientHandshake for Endless {
    fn protocol(&self) -> &'static str {
        "endless"
    }

    async fn handshake(&self, _io: BoxedIo, _: ClientHandshakeInfo<'_>) -> HandshakeResult {
        pending().await
    }
}

impl ServerHandshake for Endless {
    fn protocol(&self) -> &'static str {
        "endless"
    }

    async fn handshake(&self, _io: BoxedIo, info: ServerHandshakeInfo<'_>) -> HandshakeResult {
        let left = info.deadline().expect("there is a limit") - tokio::time::Instant::now();
        assert_eq!(left, Duration::from_secs(3));
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_handshake_that_does_not_end_is_dropped_at_the_connect_timeout() {
    let server = serve_with(new_server(), StubService::echo());
    let conn = channel(&server, ChannelCredentials::new(Endless))
        .min_connect_timeout(Duration::from_secs(7))
        .build()
        .expect("a valid channel");
    let start = tokio::time::Instant::now();
    let status = expect_refused(&StubClient::new(conn)).await;
    assert_eq!(start.elapsed().as_secs(), 7);
    assert_says(
        status.message(),
        &[
            "stub.test:443: the endless handshake with the server took longer than 7s; the option is \
             min_connect_timeout",
        ],
    );
    assert!(handshake_error(&status).is_timeout());
}

#[tokio::test(start_paused = true)]
async fn a_server_handshake_that_does_not_end_is_dropped_at_the_connection_timeout() {
    let log = log();
    let server = new_server()
        .credentials(ServerCredentials::new(Endless))
        .connection_timeout(Duration::from_secs(3));
    let server = serve_with(server, StubService::echo());
    let mut io = server.io().await;
    let start = tokio::time::Instant::now();
    assert_eq!(soon(io.read(&mut [0])).await.expect("it is closed"), 0);
    assert_eq!(start.elapsed().as_secs(), 3);
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_says(
        &lines[0],
        &[
            "peer=pipe reason=the endless handshake with the client took longer than 3s; the option \
             is connection_timeout",
        ],
    );
}

/// A handshake that panics at first: before its future is there, or when that is polled.
struct Panicking {
    when_polled: bool,
    has_panicked: AtomicBool,
}

impl Panicking {
    fn new(when_polled: bool) -> Self {
        Self {
            when_polled,
            has_panicked: AtomicBool::new(false),
        }
    }

    fn panic_if(&self, polled: bool) {
        if polled == self.when_polled && !self.has_panicked.swap(true, Ordering::Relaxed) {
            panic!("the handshake's secret");
        }
    }
}

impl ClientHandshake for Panicking {
    fn protocol(&self) -> &'static str {
        "panicking"
    }

    fn handshake(
        &self,
        io: BoxedIo,
        _: ClientHandshakeInfo<'_>,
    ) -> impl Future<Output = HandshakeResult> + Send {
        self.panic_if(false);
        async {
            self.panic_if(true);
            Ok(Secured::new(io, AuthInfo::insecure()))
        }
    }
}

impl ServerHandshake for Panicking {
    fn protocol(&self) -> &'static str {
        "panicking"
    }

    fn handshake(
        &self,
        io: BoxedIo,
        _: ServerHandshakeInfo<'_>,
    ) -> impl Future<Output = HandshakeResult> + Send {
        self.panic_if(false);
        async {
            self.panic_if(true);
            Ok(Secured::new(io, AuthInfo::insecure()))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_client_handshake_fails_the_attempt_and_the_next_one_succeeds() {
    for when_polled in [false, true] {
        let server = serve_with(new_server(), StubService::echo());
        let credentials = ChannelCredentials::new(Panicking::new(when_polled));
        let client = client(&server, credentials);
        let status = expect_refused(&client).await;
        assert_says(
            status.message(),
            &[
                "stub.test:443: the panicking handshake with the server failed: the credentials \
                 panicked",
                "the option is credentials",
            ],
        );
        assert!(!status.message().contains("secret"), "{status}");
        let waiting = client.unary(msg("again")).wait_for_ready(true);
        let response = soon(waiting.into_future()).await.expect("OK");
        assert_eq!(text(response.message()), "again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_server_handshake_refuses_the_connection_alone() {
    for when_polled in [false, true] {
        let log = log();
        let credentials = ServerCredentials::new(Panicking::new(when_polled));
        let server = serve_with(new_server().credentials(credentials), StubService::echo());
        let mut io = server.io().await;
        assert_eq!(soon(io.read(&mut [0])).await.expect("it is closed"), 0);
        let answer = call(&client(&server, insecure())).await;
        assert_eq!(answer.expect("the server lives"), "");
        let lines = log.take().join("\n");
        assert_says(
            &lines,
            &[
                "a connection was refused peer=pipe reason=the panicking handshake with the client \
                 failed: the credentials panicked",
            ],
        );
    }
}

/// A server's handshake that keeps each connection for itself.
struct Dispatching(mpsc::UnboundedSender<BoxedIo>);

impl ServerHandshake for Dispatching {
    fn protocol(&self) -> &'static str {
        "dispatching"
    }

    async fn handshake(&self, io: BoxedIo, _: ServerHandshakeInfo<'_>) -> HandshakeResult {
        self.0.send(io).map_err(|_| "the test is over")?;
        Err(ConnectionDispatched.into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_handshake_can_give_the_connection_to_other_code() {
    let log = log();
    let (sender, mut dispatched) = mpsc::unbounded_channel();
    let credentials = ServerCredentials::new(Dispatching(sender));
    let server = serve_with(new_server().credentials(credentials), StubService::echo());
    let mut io = server.io().await;
    let mut other = soon(dispatched.recv()).await.expect("a connection");
    settle().await;
    other.write_all(b"hello").await.expect("it is open");
    let mut read = [0; 5];
    soon(io.read_exact(&mut read)).await.expect("it is open");
    assert_eq!(&read, b"hello");
    assert_eq!(log.take(), [""; 0]);
}

/// A listener that gives its connections a number.
struct Numbering(PipeListener);

impl Listener for Numbering {
    async fn accept(&mut self) -> std::io::Result<Option<Connected>> {
        let accepted = self.0.accept().await?;
        Ok(accepted.map(|mut connected| {
            connected.extensions.insert(7_u8);
            connected
        }))
    }

    fn local_address(&self) -> Address {
        self.0.local_address()
    }
}

/// A server's handshake that gives the connection a value, made of that of the listener.
struct Tagging;

impl ServerHandshake for Tagging {
    fn protocol(&self) -> &'static str {
        "tagging"
    }

    async fn handshake(&self, io: BoxedIo, info: ServerHandshakeInfo<'_>) -> HandshakeResult {
        let number = info.extensions().get::<u8>().ok_or("no number")?;
        let tag = format!("{number} from {}", info.peer().remote);
        let mut extensions = Extensions::new();
        extensions.insert(Arc::<str>::from(tag));
        let auth = AuthInfo::new("tagging", SecurityLevel::NoSecurity);
        Ok(Secured::new(io, auth).with_extensions(extensions))
    }
}

#[tokio::test]
async fn typed_values_of_the_listener_reach_a_server_handshake_and_its_own_reach_handlers() {
    for workers in [None, NonZeroUsize::new(1)] {
        let service = StubService::new().unary(async |request| {
            let connection = request.context().expect("in a handler").connection();
            let tag = connection.extensions().get::<Arc<str>>().expect("a tag");
            let number = connection.extensions().get::<u8>().expect("a number");
            Ok(Response::new(msg(format!("{tag}, {number}"))))
        });
        let mut server = new_server().credentials(ServerCredentials::new(Tagging));
        if let Some(workers) = workers {
            server = server.workers(workers);
        }
        register_stub(&mut server, service).expect("the first");
        let (listener, connector) = pipe();
        tokio::spawn(server.serve_listener(Numbering(listener)));
        let conn = channel_builder("passthrough:///stub.test", insecure())
            .dialer(connector)
            .build()
            .expect("a valid channel");
        // Threads have no virtual time.
        let response = StubClient::new(conn).unary(msg("")).await.expect("OK");
        assert_eq!(text(response.message()), "7 from pipe, 7");
    }
}

/// A client's handshake that does not end, and tells when it is dropped.
struct Dropped(mpsc::UnboundedSender<&'static str>);

struct OnDrop(mpsc::UnboundedSender<&'static str>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        // The test may have seen enough.
        let _ = self.0.send("dropped");
    }
}

impl ClientHandshake for Dropped {
    fn protocol(&self) -> &'static str {
        "dropped"
    }

    async fn handshake(&self, _io: BoxedIo, _: ClientHandshakeInfo<'_>) -> HandshakeResult {
        let _told = OnDrop(self.0.clone());
        self.0.send("begun")?;
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_handshake_is_dropped_with_its_channel() {
    let server = serve_with(new_server(), StubService::echo());
    let (sender, mut told) = mpsc::unbounded_channel();
    let credentials = ChannelCredentials::new(Dropped(sender));
    let conn = channel(&server, credentials)
        .build()
        .expect("a valid channel");
    conn.connect().expect("in a runtime");
    assert_eq!(soon(told.recv()).await, Some("begun"));
    drop(conn);
    assert_eq!(soon(told.recv()).await, Some("dropped"));
}

#[tokio::test(start_paused = true)]
async fn the_server_name_of_the_credentials_is_the_channels_authority() {
    let mut password = Password::new("right");
    password.server_name = Some("other.test:8443");
    let service = StubService::new().unary(async |request| {
        let authority = request.metadata().get(":authority").unwrap_or_default();
        Ok(Response::new(msg(authority)))
    });
    let server = serve_with(new_server().credentials(password.server()), service);
    let answer = call(&client(&server, password.client())).await;
    assert_eq!(answer.expect("OK"), "other.test:8443");
    assert_eq!(
        password.take_seen(),
        ["other.test other.test:8443 stub.test:443 -"]
    );
    let error = channel(&server, password.client())
        .authority("third.test")
        .build()
        .expect_err("two names");
    assert!(matches!(error, BuildError::ServerName { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_authority_of_a_calls_own_is_checked_by_the_credentials() {
    let password = Password::new("right");
    let server = serve_showing_peer(password.server());
    let client = client(&server, password.client());
    let call = |authority| soon(client.unary(msg("")).authority(authority).into_future());
    call("my.stub").await.expect("the server has the name");
    let status = call("other.test").await.expect_err("it has not");
    assert_eq!(status.code(), Code::Unavailable);
    assert_says(
        status.message(),
        &["\"other.test\"", "the server has another name"],
    );
}

#[tokio::test(start_paused = true)]
async fn credentials_that_check_no_host_refuse_an_authority_of_a_calls_own() {
    let server = serve_with(new_server(), StubService::echo());
    let credentials = ChannelCredentials::new(Panicking {
        when_polled: false,
        has_panicked: AtomicBool::new(true),
    });
    let client = client(&server, credentials);
    let call = client.unary(msg("")).authority("other.test");
    let status = soon(call.into_future())
        .await
        .expect_err("nobody checks it");
    assert_eq!(status.code(), Code::Unavailable);
    assert_says(status.message(), &["verify no authority of a call's own"]);
}
