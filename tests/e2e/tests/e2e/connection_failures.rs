//! The texts of a connection that could not be made, or was lost: a text that names the
//! cause and the option, and the error behind it. Both engines are tried, whichever is the default.

use std::error::Error;
use std::io;

use rgrpc::credentials::{ChannelCredentials, ClientTls, insecure};
use rgrpc::io::{BoxedIo, Listener, PipeListener, pipe};
use rgrpc::{Code, Status, Transport};
use rgrpc_e2e::{FnDialer, StubClient, channel_builder, soon, unary};
use rgrpc_test_support::{PREFACE, WirePeer, free_listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::tls::certificates::Ca;
use crate::tls::raw;

const NAME: &str = "stub.test";

const ENGINES: [Transport; 2] = [Transport::Native, Transport::H2];

/// A client whose server the test plays.
fn client_of_pipe(
    transport: Transport,
    credentials: ChannelCredentials,
) -> (StubClient, PipeListener) {
    let (listener, connector) = pipe();
    let conn = channel_builder(format!("passthrough:///{NAME}"), credentials)
        .dialer(connector)
        .transport(transport)
        .build()
        .expect("a valid channel");
    (StubClient::new(conn), listener)
}

/// The connection that a channel has made.
async fn dialed(listener: &mut PipeListener) -> BoxedIo {
    let accepted = soon(listener.accept()).await.expect("pipes do not fail");
    accepted.expect("the channel is there").io
}

/// Returns the failure of a call on a new channel whose server does this with the connection.
async fn failure<F>(
    transport: Transport,
    credentials: ChannelCredentials,
    server: impl FnOnce(BoxedIo) -> F,
) -> Status
where
    F: Future<Output = ()>,
{
    let (client, mut listener) = client_of_pipe(transport, credentials);
    let call = unary(&client, "refused");
    server(dialed(&mut listener).await).await;
    let status = soon(call).await.expect("no panic").expect_err("no server");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    status
}

/// The first of the causes that is of this type.
fn cause<E: Error + 'static>(status: &Status) -> Option<&E> {
    let mut next = status.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn kind(status: &Status) -> Option<io::ErrorKind> {
    cause::<io::Error>(status).map(io::Error::kind)
}

fn assert_says(status: &Status, part: &str) {
    assert!(status.message().contains(part), "no {part:?} in: {status}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_requires_a_client_certificate_is_told_apart_by_the_option() {
    for transport in ENGINES {
        for version in [&TLS12, &TLS13] {
            let ca = Ca::new();
            let tls = ClientTls::new().ca_certificates(ca.pem());
            let credentials = tls.build().expect("sound inputs");
            let status = failure(transport, credentials, async |io| {
                let identity = ca.server(NAME);
                let accepted = raw::accept_verified(io, &identity, &ca, version).await;
                accepted.map(drop).expect_err("no certificate");
            })
            .await;
            assert_says(
                &status,
                "it requires a client certificate; the option is ClientTls::identity",
            );
            let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
            assert_eq!(cause(&status), Some(&alert), "{transport:?} {version:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_http_1_alone_is_named_as_such() {
    for transport in ENGINES {
        let status = failure(transport, insecure(), async |mut io| {
            let mut preface = [0; PREFACE.len()];
            io.read_exact(&mut preface).await.expect("a preface");
            let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
            io.write_all(answer).await.expect("a client");
        })
        .await;
        assert_says(
            &status,
            "passthrough:///stub.test: stub.test: the server speaks HTTP/1, not HTTP/2: it answered \
             \"HTTP/1.1 400 Bad Request\"",
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_tls_is_named_to_a_client_in_plain_text() {
    for transport in ENGINES {
        let ca = Ca::new();
        let status = failure(transport, insecure(), async |io| {
            let accepted = raw::accept(io, &ca.server(NAME), &[b"h2"]).await;
            accepted.map(drop).expect_err("no TLS");
        })
        .await;
        assert_says(&status, "the server speaks TLS, not plain text");
        assert_says(&status, "the channel's credentials are insecure()");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_dial_is_the_source_of_the_status_under_every_policy() {
    for policy in ["pick_first", "round_robin"] {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "unplugged");
        let conn = channel_builder("passthrough:///stub.test", insecure())
            .default_service_config(format!(
                r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#
            ))
            .dialer(FnDialer::new(move |_| async move { Err(refused()) }))
            .build()
            .expect("a valid channel");
        let call = unary(&StubClient::new(conn), "");
        let status = soon(call).await.expect("no panic").expect_err("refused");
        assert_eq!(kind(&status), Some(io::ErrorKind::ConnectionRefused));
        // The text has the cause already.
        assert_eq!(format!("{status:?}"), status.to_string());
    }
}

#[tokio::test]
async fn the_error_of_a_connection_that_is_lost_is_the_source_of_the_status() {
    for transport in ENGINES {
        let listener = free_listener().await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let conn = channel_builder(format!("passthrough:///{address}"), insecure())
            .transport(transport)
            .build()
            .expect("a valid channel");
        let call = unary(&StubClient::new(conn), "lost");
        let (stream, _) = soon(listener.accept()).await.expect("a connection");
        stream.set_zero_linger().expect("a socket");
        let mut peer = WirePeer::server(stream).await.housekeeping();
        peer.expect_request(1).await;
        // Without the time to linger it is a reset.
        drop(peer);
        let status = soon(call).await.expect("no panic").expect_err("lost");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert_eq!(
            kind(&status),
            Some(io::ErrorKind::ConnectionReset),
            "{transport:?}: {status}"
        );
    }
}
