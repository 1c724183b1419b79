//! TLS: who proves what to whom, what is refused, and what a failure says.
//!
//! Source: grpc-go `credentials/tls.go`, its tests, and `TestTLS*` of `test/`.

pub(crate) mod certificates;
pub(crate) mod raw;

use std::future::ready;
use std::time::Duration;

use rgrpc::credentials::{
    ChannelCredentials, ClientTls, MetadataFuture, PerRpcCredentials, RequestInfo, ServerTls,
    TlsError, insecure,
};
use rgrpc::io::{BoxedIo, Listener, PipeListener, TlsInfo, TlsVersion, pipe};
use rgrpc::{BuildError, Code, Metadata, Response, Status};
use rgrpc_e2e::{
    STUB_UNARY, StubClient, StubService, TestServer, answer, channel_builder, encoded, expect_text,
    framed, log, msg, native, new_server, serve, serve_with, settle, soon, text, unary,
};
use rgrpc_test_support::{WirePeer, data, grpc_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_rustls::rustls::version::TLS12;

use certificates::{Ca, Identity};
use raw::RawClient;

/// The host name in the channels' target.
const NAME: &str = "stub.test";

fn server_tls(identity: &Identity) -> ServerTls {
    ServerTls::new(&identity.chain_pem, &identity.key_pem)
}

fn client_tls(ca: &Ca) -> ClientTls {
    ClientTls::new().ca_certificates(ca.pem())
}

fn serve_tls(tls: ServerTls, service: StubService) -> TestServer {
    let credentials = tls.build().expect("sound inputs");
    serve_with(new_server().credentials(credentials), service)
}

/// A server whose certificate `ca` has signed for the name that channels ask for.
fn serve_signed_by(ca: &Ca) -> TestServer {
    serve_tls(server_tls(&ca.server(NAME)), StubService::echo())
}

fn client(server: &TestServer, credentials: ChannelCredentials) -> StubClient {
    client_of(server, &format!("passthrough:///{NAME}"), credentials)
}

fn client_of(server: &TestServer, target: &str, credentials: ChannelCredentials) -> StubClient {
    let conn = channel_builder(target, credentials)
        .dialer(server.connector())
        .build()
        .expect("a valid channel");
    StubClient::new(conn)
}

fn tls_client(server: &TestServer, tls: ClientTls) -> StubClient {
    client(server, tls.build().expect("sound inputs"))
}

/// A client of the server at `endpoint`, whom the test plays.
fn client_of_pipe(endpoint: &str, tls: ClientTls) -> (StubClient, PipeListener) {
    let (listener, connector) = pipe();
    let credentials = tls.build().expect("sound inputs");
    let conn = channel_builder(format!("passthrough:///{endpoint}"), credentials)
        .dialer(connector)
        .build()
        .expect("a valid channel");
    (StubClient::new(conn), listener)
}

/// The connection that a channel has made.
async fn dialed(listener: &mut PipeListener) -> BoxedIo {
    let accepted = soon(listener.accept()).await.expect("pipes do not fail");
    accepted.expect("the channel is there").io
}

/// Expects a call to fail as one does without a connection, and returns why.
async fn expect_refused(client: StubClient) -> String {
    let status = soon(client.unary(msg("refused")).into_future())
        .await
        .expect_err("the connection is not to come about");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let message = status.message().to_owned();
    let address = message.strip_prefix("cannot connect to passthrough:///");
    assert!(address.is_some(), "no address in: {message}");
    message
}

/// Expects a call to be answered.
async fn expect_served(client: StubClient) {
    let response = soon(client.unary(msg("served")).into_future()).await;
    assert_eq!(text(response.expect("an answer").message()), "served");
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// A service that tells what its handler knows of the client's side of TLS.
fn observing() -> (StubService, mpsc::UnboundedReceiver<Option<TlsInfo>>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = StubService::new().unary(move |request| {
        let context = request.context().expect("it was received");
        let sent = sender.send(context.peer().tls().cloned());
        async move {
            sent.map_err(|_| Status::internal("the test is over"))?;
            Ok(Response::new(request.into_message()))
        }
    });
    (service, receiver)
}

#[tokio::test(start_paused = true)]
async fn calls_of_all_kinds_go_over_tls() {
    let ca = Ca::new();
    let server = serve_signed_by(&ca);
    let client = tls_client(&server, client_tls(&ca));

    let body = vec![b'x'; 300_000];
    let response = client.unary(msg(&body)).await.expect("an answer");
    assert_eq!(response.message().body, body);

    let mut responses = client.server_streaming(msg("ab")).await.expect("a stream");
    for expected in ["a", "b"] {
        let response = responses.recv().await.expect("a message");
        assert_eq!(response.as_ref().map(text), Some(expected));
    }
    assert_eq!(responses.recv().await.expect("status OK"), None);

    let mut requests = client.client_streaming().await.expect("a stream");
    for part in ["a", "b"] {
        requests.send(msg(part)).await.expect("it is taken");
    }
    let response = requests.close_and_recv().await.expect("an answer");
    assert_eq!(text(response.message()), "ab");

    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    for part in ["a", "b"] {
        requests.send(msg(part)).await.expect("it is taken");
        let response = responses.recv().await.expect("a message");
        assert_eq!(response.as_ref().map(text), Some(part));
    }
    requests.close();
    assert_eq!(responses.recv().await.expect("status OK"), None);
}

#[tokio::test(start_paused = true)]
async fn a_channel_asks_for_h2_and_its_targets_host_and_says_https() {
    let ca = Ca::new();
    let (client, mut listener) = client_of_pipe(&format!("{NAME}:8443"), client_tls(&ca));
    let call = unary(&client, "hello");

    let io = dialed(&mut listener).await;
    let stream = raw::accept(io, &ca.server(NAME), &[b"http/1.1", b"h2"])
        .await
        .expect("the channel trusts the CA");
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(session.server_name(), Some(NAME));

    let mut peer = WirePeer::server(stream).await.housekeeping();
    let head = peer.expect_headers(1).await;
    assert_eq!(head.get(":scheme"), Some("https"));
    assert_eq!(head.get(":authority"), Some("stub.test:8443"));
    answer(&mut peer, 1, "hello").await;
    expect_text(call, "hello").await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_version_and_no_certificate_unless_it_was_asked_for() {
    let ca = Ca::new();
    let (service, mut seen) = observing();
    let server = serve_tls(server_tls(&ca.server(NAME)), service);
    let identity = ca.client();
    let tls = client_tls(&ca).identity(&identity.chain_pem, &identity.key_pem);
    expect_served(tls_client(&server, tls)).await;
    let info = seen.recv().await.flatten().expect("the connection has TLS");
    assert_eq!(info.version, TlsVersion::Tls13);
    assert!(info.peer_certificates.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_no_tls_on_a_connection_without() {
    let (service, mut seen) = observing();
    let server = serve(service);
    expect_served(server.client()).await;
    assert_eq!(seen.recv().await, Some(None));
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_clients_certificates_as_they_were_sent() {
    let ca = Ca::new();
    let (service, mut seen) = observing();
    let tls = server_tls(&ca.server(NAME)).client_ca_certificates(ca.pem());
    let server = serve_tls(tls, service);
    let intermediate = ca.intermediate();
    let identity = intermediate.client().with_intermediate(&intermediate);
    let tls = client_tls(&ca).identity(&identity.chain_pem, &identity.key_pem);
    expect_served(tls_client(&server, tls)).await;
    let info = seen.recv().await.flatten().expect("the connection has TLS");
    assert_eq!(info.peer_certificates, identity.chain_der);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_the_certificate_that_is_asked_for_is_refused() {
    let ca = Ca::new();
    let tls = server_tls(&ca.server(NAME)).client_ca_certificates(ca.pem());
    let server = serve_tls(tls, StubService::echo());
    let message = expect_refused(tls_client(&server, client_tls(&ca))).await;
    assert_says(
        &message,
        &["CertificateRequired", "the option is ClientTls::identity"],
    );

    let identity = ca.client();
    let tls = client_tls(&ca).identity(&identity.chain_pem, &identity.key_pem);
    expect_served(tls_client(&server, tls)).await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_optional_is_verified_where_it_is_given() {
    let ca = Ca::new();
    let (service, mut seen) = observing();
    let tls = server_tls(&ca.server(NAME)).optional_client_ca_certificates(ca.pem());
    let server = serve_tls(tls, service);

    expect_served(tls_client(&server, client_tls(&ca))).await;
    let info = seen.recv().await.flatten().expect("the connection has TLS");
    assert!(info.peer_certificates.is_empty());

    let identity = ca.client();
    let tls = client_tls(&ca).identity(&identity.chain_pem, &identity.key_pem);
    expect_served(tls_client(&server, tls)).await;
    let info = seen.recv().await.flatten().expect("the connection has TLS");
    assert_eq!(info.peer_certificates, identity.chain_der);

    let identity = Ca::another().client();
    let tls = client_tls(&ca).identity(&identity.chain_pem, &identity.key_pem);
    let message = expect_refused(tls_client(&server, tls)).await;
    assert_says(&message, &["received fatal alert: UnknownCA"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_word_on_client_certificates_holds() {
    let ca = Ca::new();
    let tls = server_tls(&ca.server(NAME))
        .optional_client_ca_certificates(ca.pem())
        .client_ca_certificates(ca.pem());
    let server = serve_tls(tls, StubService::echo());
    let message = expect_refused(tls_client(&server, client_tls(&ca))).await;
    assert_says(&message, &["CertificateRequired"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_handshake_is_logged_with_peer_and_reason_and_a_flood_of_them_once_a_second() {
    let log = log();
    let ca = Ca::new();
    let tls = server_tls(&ca.server(NAME)).client_ca_certificates(ca.pem());
    let server = serve_tls(tls, StubService::echo());
    for _ in 0..3 {
        expect_refused(tls_client(&server, client_tls(&ca))).await;
    }
    settle().await;
    let lines = log.take();
    let [line] = &lines[..] else {
        panic!("one line: {lines:?}");
    };
    assert_says(
        line,
        &[
            "WARN a connection was refused peer=pipe reason=the TLS handshake with the client \
             failed: peer sent no certificates",
            "ClientTls::identity",
        ],
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    expect_refused(tls_client(&server, client_tls(&ca))).await;
    settle().await;
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_says(&lines[0], &["suppressed=2"]);

    // A probe, which sends nothing.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(server.io().await);
    settle().await;
    assert_eq!(log.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_tls_client_and_an_http_1_client_of_a_plaintext_server_are_logged() {
    let server = serve(StubService::echo());
    let log = log();
    expect_refused(tls_client(&server, client_tls(&Ca::new()))).await;
    settle().await;
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    if native() {
        assert_says(
            &lines[0],
            &["the client speaks TLS", "option is credentials"],
        );
    }

    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut io = server.io().await;
    io.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("a server");
    // Until it is closed.
    let mut answer = Vec::new();
    let _ = soon(io.read_to_end(&mut answer)).await;
    settle().await;
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    if native() {
        assert_says(&lines[0], &["the client speaks HTTP/1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_certificate_another_ca_signed_is_refused() {
    let ca = Ca::new();
    let tls = server_tls(&ca.server(NAME)).client_ca_certificates(ca.pem());
    let server = serve_tls(tls, StubService::echo());
    let identity = Ca::another().client();
    let tls = client_tls(&ca).identity(&identity.chain_pem, &identity.key_pem);
    let message = expect_refused(tls_client(&server, tls)).await;
    assert_says(&message, &["received fatal alert: UnknownCA"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_certificate_another_ca_signed_is_refused() {
    let ca = Ca::new();
    let server = serve_signed_by(&ca);
    let message = expect_refused(tls_client(&server, client_tls(&Ca::another()))).await;
    assert_says(
        &message,
        &[
            "handshake with the server",
            "UnknownIssuer",
            "ca_certificates",
        ],
    );
    expect_served(tls_client(&server, client_tls(&ca))).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_with_another_name_is_refused() {
    let ca = Ca::new();
    let server = serve_tls(server_tls(&ca.server("another.test")), StubService::echo());
    let message = expect_refused(tls_client(&server, client_tls(&ca))).await;
    assert_says(&message, &[NAME, "another.test", "server_name"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_certificate_has_expired_is_refused() {
    let ca = Ca::new();
    let server = serve_tls(server_tls(&ca.expired_server(NAME)), StubService::echo());
    let message = expect_refused(tls_client(&server, client_tls(&ca))).await;
    assert_says(
        &message,
        &["handshake with the server", "certificate expired"],
    );
}

#[tokio::test(start_paused = true)]
async fn the_server_name_of_the_credentials_replaces_the_targets_in_the_authority_too() {
    let ca = Ca::new();
    let service = StubService::new().unary(async |request| {
        let authority = request.metadata().get(":authority");
        Ok(Response::new(msg(authority.unwrap_or_default())))
    });
    let server = serve_tls(server_tls(&ca.server("another.test")), service);
    let tls = client_tls(&ca).server_name("another.test");
    let response = tls_client(&server, tls).unary(msg("")).await;
    assert_eq!(text(response.expect("an answer").message()), "another.test");
}

#[tokio::test(start_paused = true)]
async fn the_authority_that_a_channel_is_set_to_is_the_name_that_is_verified() {
    let ca = Ca::new();
    let server = serve_tls(server_tls(&ca.server("another.test")), StubService::echo());
    let credentials = client_tls(&ca).build().expect("sound inputs");
    let conn = channel_builder("passthrough:///stub.test", credentials)
        .dialer(server.connector())
        .authority("another.test:443")
        .build()
        .expect("a valid channel");
    expect_served(StubClient::new(conn)).await;
}

#[test]
fn an_authority_other_than_the_credentials_server_name_is_an_error() {
    let credentials = client_tls(&Ca::new()).server_name("a.test");
    let credentials = credentials.build().expect("sound inputs");
    let build = |authority| {
        let builder = channel_builder("passthrough:///stub.test", credentials.clone());
        builder.authority(authority).build()
    };
    assert!(build("a.test").is_ok());
    let error = build("b.test").expect_err("they differ");
    assert!(matches!(error, BuildError::ServerName { .. }), "{error}");
    assert_says(&error.to_string(), &["\"a.test\"", "\"b.test\""]);
}

#[tokio::test(start_paused = true)]
async fn a_server_is_verified_by_its_ip_address_where_the_target_has_one() {
    let ca = Ca::new();
    for (name, target) in [
        ("127.0.0.1", "passthrough:///127.0.0.1:443"),
        ("::1", "ipv6:[::1]:443"),
    ] {
        let server = serve_tls(server_tls(&ca.server(name)), StubService::echo());
        let credentials = client_tls(&ca).build().expect("sound inputs");
        expect_served(client_of(&server, target, credentials)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_no_certificate_could_name_is_refused_with_the_option_to_set() {
    let ca = Ca::new();
    let server = serve_signed_by(&ca);
    let credentials = client_tls(&ca).build().expect("sound inputs");
    let client = client_of(&server, "passthrough:///a..b", credentials);
    assert_says(&expect_refused(client).await, &["\"a..b\"", "server_name"]);
}

#[tokio::test(start_paused = true)]
async fn tls_1_2_is_accepted() {
    let ca = Ca::new();
    let (service, mut seen) = observing();
    let server = serve_tls(server_tls(&ca.server(NAME)), service);
    let mut client = RawClient::trusting(&ca);
    client.versions = vec![&TLS12];
    let stream = client.connect(server.io().await, NAME).await;
    let mut peer = WirePeer::client(stream.expect("a handshake"))
        .await
        .housekeeping();
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("old")).end_stream()).await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.messages[0].body, encoded("old"));
    let info = seen.recv().await.flatten().expect("the connection has TLS");
    assert_eq!(info.version, TlsVersion::Tls12);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_agrees_on_no_protocol_is_refused() {
    let ca = Ca::new();
    let (client, mut listener) = client_of_pipe(NAME, client_tls(&ca));
    let refused = tokio::spawn(expect_refused(client));
    let io = dialed(&mut listener).await;
    // The client may be gone before the server's last word.
    let _ = raw::accept(io, &ca.server(NAME), &[]).await;
    assert_says(
        &soon(refused).await.expect("no panic"),
        &["the server did not agree", "h2"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_without_h2_is_refused() {
    let ca = Ca::new();
    let (client, mut listener) = client_of_pipe(NAME, client_tls(&ca));
    let refused = tokio::spawn(expect_refused(client));
    let io = dialed(&mut listener).await;
    let accepted = raw::accept(io, &ca.server(NAME), &[b"http/1.1"]).await;
    assert!(accepted.is_err(), "there is no protocol in common");
    assert_says(
        &soon(refused).await.expect("no panic"),
        &["NoApplicationProtocol", "h2"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_offers_no_protocol_is_refused() {
    let ca = Ca::new();
    let server = serve_signed_by(&ca);
    let mut client = RawClient::trusting(&ca);
    client.alpn = vec![];
    let stream = client.connect(server.io().await, NAME).await;
    let mut stream = stream.expect("the handshake itself is sound");
    let read = soon(stream.read(&mut [0])).await;
    assert!(
        !matches!(read, Ok(1..)),
        "the server said something: {read:?}"
    );
    expect_served(tls_client(&server, client_tls(&ca))).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_without_h2_is_refused() {
    let ca = Ca::new();
    let server = serve_signed_by(&ca);
    let mut client = RawClient::trusting(&ca);
    client.alpn = vec![b"http/1.1"];
    let connected = client.connect(server.io().await, NAME).await;
    let error = connected.err().expect("there is no protocol in common");
    assert_says(&error.to_string(), &["NoApplicationProtocol"]);
    expect_served(tls_client(&server, client_tls(&ca))).await;
}

#[tokio::test(start_paused = true)]
async fn a_plaintext_client_of_a_tls_server_fails_and_the_server_lives_on() {
    let ca = Ca::new();
    let server = serve_signed_by(&ca);
    let message = expect_refused(client(&server, insecure())).await;
    assert_says(
        &message,
        &["the server speaks TLS", "credentials are insecure()"],
    );
    expect_served(tls_client(&server, client_tls(&ca))).await;
}

#[tokio::test(start_paused = true)]
async fn a_tls_client_of_a_plaintext_server_fails_and_the_server_lives_on() {
    let server = serve(StubService::echo());
    let message = expect_refused(tls_client(&server, client_tls(&Ca::new()))).await;
    assert_says(&message, &["does not speak TLS", "credentials::insecure()"]);
    expect_served(server.client()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_handshake_holds_up_no_other_and_ends_with_the_connection_timeout() {
    let ca = Ca::new();
    let credentials = server_tls(&ca.server(NAME)).build().expect("sound inputs");
    let server = new_server()
        .credentials(credentials)
        .connection_timeout(Duration::from_secs(5));
    let server = serve_with(server, StubService::echo());
    let start = tokio::time::Instant::now();
    let mut stalled = server.io().await;
    // The beginning of a ClientHello.
    stalled.write_all(&[22, 3, 1]).await.expect("it is open");

    expect_served(tls_client(&server, client_tls(&ca))).await;
    assert_eq!(start.elapsed(), Duration::ZERO, "the other client waited");

    assert_eq!(soon(stalled.read(&mut [0])).await.expect("an end"), 0);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_connection_timeout_covers_tls_and_http_2_together() {
    let ca = Ca::new();
    let credentials = server_tls(&ca.server(NAME)).build().expect("sound inputs");
    let server = new_server()
        .credentials(credentials)
        .connection_timeout(Duration::from_secs(5));
    let server = serve_with(server, StubService::echo());
    let io = server.io().await;
    let start = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let stream = RawClient::trusting(&ca).connect(io, NAME).await;
    let mut stream = stream.expect("in time");
    // Its SETTINGS may come, but no more patience.
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn stopping_a_server_ends_the_handshakes_that_are_under_way() {
    let ca = Ca::new();
    let server = serve_signed_by(&ca);
    let mut stalled = server.io().await;
    stalled.write_all(&[22, 3, 1]).await.expect("it is open");
    // Connections are accepted in their order.
    expect_served(tls_client(&server, client_tls(&ca))).await;
    server.handle().stop();
    assert_eq!(soon(stalled.read(&mut [0])).await.expect("an end"), 0);
    server.served().await;
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_does_not_wait_for_handshakes_that_are_under_way() {
    let ca = Ca::new();
    let server = serve_signed_by(&ca);
    let mut stalled = server.io().await;
    stalled.write_all(&[22, 3, 1]).await.expect("it is open");
    // Connections are accepted in their order, and this one goes before the server stops.
    let client = tls_client(&server, client_tls(&ca));
    expect_served(client).await;
    let start = tokio::time::Instant::now();
    let handle = server.handle().clone();
    let stopped = tokio::spawn(async move { handle.graceful_stop().await });
    assert_eq!(soon(stalled.read(&mut [0])).await.expect("an end"), 0);
    assert_eq!(
        start.elapsed(),
        Duration::ZERO,
        "the handshake was waited for"
    );
    soon(stopped).await.expect("no panic");
}

#[test]
fn inputs_that_cannot_be_used_are_named_with_what_they_are() {
    let ca = Ca::new();
    let Identity {
        chain_pem, key_pem, ..
    } = ca.server(NAME);
    let server = |chain: &str, key: &str| ServerTls::new(chain, key).build().expect_err("unusable");
    let client = |tls: ClientTls| tls.build().expect_err("unusable");
    let with_client_ca = |pem: &str| {
        let tls = ServerTls::new(&chain_pem, &key_pem).client_ca_certificates(pem);
        tls.build().expect_err("unusable")
    };
    for (error, want) in [
        (
            server(&key_pem, &chain_pem),
            TlsError::CertificateChain("no CERTIFICATE section: found PRIVATE KEY".to_owned()),
        ),
        (
            server(&chain_pem, &chain_pem),
            TlsError::PrivateKey(
                "no section PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY: found CERTIFICATE"
                    .to_owned(),
            ),
        ),
        (
            server(&chain_pem, &ca.client().key_pem),
            TlsError::PrivateKey("it is not the key of the certificate".to_owned()),
        ),
        (
            client(ClientTls::new().ca_certificates("ca.pem")),
            TlsError::CaCertificates(
                "no CERTIFICATE section: the input is 6 bytes that are not PEM".to_owned(),
            ),
        ),
        (
            client(client_tls(&ca).identity(&chain_pem, "")),
            TlsError::PrivateKey(
                "no section PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY: \
                 the input is empty"
                    .to_owned(),
            ),
        ),
        (
            client(client_tls(&ca).server_name("https://a.test")),
            TlsError::ServerName(
                "\"https://a.test\" is neither a DNS name nor an IP address".to_owned(),
            ),
        ),
        (
            with_client_ca(&key_pem),
            TlsError::ClientCaCertificates("no CERTIFICATE section: found PRIVATE KEY".to_owned()),
        ),
    ] {
        assert_eq!(error, want);
    }
}

#[test]
fn credentials_do_not_show_their_key() {
    let Identity {
        chain_pem, key_pem, ..
    } = Ca::new().server(NAME);
    let tls = ServerTls::new(&chain_pem, &key_pem);
    let shown = format!("{tls:?} {:?}", tls.clone().build().expect("sound inputs"));
    let secret = key_pem.lines().nth(1).expect("a line of the key");
    assert!(!shown.contains(secret), "{shown}");
    assert!(
        !shown.contains(&format!("{}", key_pem.as_bytes()[30])),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_authority_of_a_calls_own_has_to_be_in_the_servers_certificate() {
    let ca = Ca::new();
    let identity = ca.server("*.stub.test");
    let server = serve_tls(server_tls(&identity), StubService::echo());
    let tls = client_tls(&ca).build().expect("sound inputs");
    let client = client_of(&server, "passthrough:///a.stub.test", tls);
    for (authority, served) in [
        ("b.stub.test", true),
        ("b.stub.test:443", true),
        ("b.other.test", false),
        ("127.0.0.1", false),
    ] {
        let call = client.unary(msg("")).authority(authority);
        match (call.await, served) {
            (Ok(response), true) => {
                let peer = response.peer().expect("it came by a connection");
                let certificates = &peer.tls().expect("it is secured").peer_certificates;
                assert_eq!(certificates[..], identity.chain_der[..]);
            }
            (Err(status), false) => {
                assert_eq!(status.code(), Code::Unavailable, "{authority}");
                assert_says(status.message(), &[authority, "certificate"]);
            }
            (outcome, _) => panic!("{authority}: {outcome:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_need_security_go_over_tls() {
    struct Token;
    impl PerRpcCredentials for Token {
        fn metadata<'a>(&'a self, request: RequestInfo<'a>) -> MetadataFuture<'a> {
            let mut metadata = Metadata::new();
            let secured = request.peer().tls().is_some();
            let appended = metadata.append("authorization", format!("secured={secured}"));
            Box::pin(ready(match appended {
                Ok(()) => Ok(metadata),
                Err(error) => Err(Status::internal(error.to_string())),
            }))
        }
    }
    let ca = Ca::new();
    let tls = server_tls(&ca.server(NAME));
    let service = StubService::new().unary(async |request| {
        let token = request.metadata().get("authorization");
        Ok(Response::new(msg(token.unwrap_or_default())))
    });
    let server = serve_tls(tls, service);
    let credentials = client_tls(&ca).build().expect("sound inputs");
    let conn = channel_builder(format!("passthrough:///{NAME}"), credentials)
        .dialer(server.connector())
        .per_rpc_credentials(Token)
        .build()
        .expect("the channel is secure");
    let response = StubClient::new(conn).unary(msg("")).await.expect("OK");
    assert_eq!(text(response.message()), "secured=true");
}
