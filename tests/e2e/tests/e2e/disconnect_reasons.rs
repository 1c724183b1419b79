//! The typed reason of a connection's end, as stats handlers and statistics of connections have it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rgrpc::io::BoxedIo;
use rgrpc::stats::{
    CallBegin, CallStats, ConnectionBegin, ConnectionEnd, ConnectionStats, StatsHandler,
};
use rgrpc::{DisconnectReason, OtherProtocol, Server};
use rgrpc_e2e::{
    STUB_UNARY, StubClient, StubService, TestServer, framed, native, new_server, scripted, unary,
};
use rgrpc_e2e::{serve_with, settle, soon};
use rgrpc_test_support::{ErrorCode, data, goaway, grpc_request};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// A client's preface with empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// DATA on stream 0.
const BAD_FRAME: &[u8] = b"\0\0\0\0\0\0\0\0\0";

/// Sends the reasons of all ends of connections.
#[derive(Clone)]
struct Ends(mpsc::UnboundedSender<DisconnectReason>);

impl StatsHandler for Ends {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        None
    }

    fn begin_connection(&self, _: &mut ConnectionBegin<'_>) -> Option<Arc<dyn ConnectionStats>> {
        Some(Arc::new(self.clone()))
    }
}

impl ConnectionStats for Ends {
    fn end(&self, end: &ConnectionEnd<'_>) {
        let _ = self.0.send(end.reason.clone());
    }
}

/// Connects to a server with these options and runs the steps of a client. Returns the reason of
/// the connection's end.
async fn end_of(
    options: impl FnOnce(Server) -> Server,
    client: impl AsyncFnOnce(BoxedIo, &TestServer) -> io::Result<Option<BoxedIo>>,
) -> DisconnectReason {
    let (sender, mut ends) = mpsc::unbounded_channel();
    let server = options(new_server().stats_handler(Ends(sender)));
    let server = serve_with(server, StubService::echo());
    let kept = client(server.io().await, &server)
        .await
        .expect("the server reads");
    let reason = soon(ends.recv()).await.expect("an end");
    settle().await;
    assert!(ends.try_recv().is_err(), "one end");
    drop(kept);
    reason
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_has_closed_the_connection() {
    for begin in [&b""[..], PREFACE] {
        let reason = end_of(
            |server| server,
            async |mut io, _| {
                io.write_all(begin).await?;
                settle().await;
                Ok(None)
            },
        )
        .await;
        // The h2 crate reports an end before the preface as an error of the socket.
        let is_end = matches!(reason, DisconnectReason::ClosedByPeer)
            || (!native() && reason.io_error().is_some());
        assert!(is_end, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_stopped_has_closed_the_connection() {
    for begin in [&b""[..], PREFACE] {
        let reason = end_of(
            |server| server,
            async |mut io, server| {
                io.write_all(begin).await?;
                settle().await;
                server.handle().stop();
                Ok(Some(io))
            },
        )
        .await;
        assert!(
            matches!(reason, DisconnectReason::ClosedLocally),
            "{reason:?}"
        );
        assert_eq!(reason.to_string(), "this end closed it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_violation_of_http_2_has_its_code() {
    let reason = end_of(
        |server| server,
        async |mut io, _| {
            io.write_all(&[PREFACE, BAD_FRAME].concat()).await?;
            Ok(Some(io))
        },
    )
    .await;
    let DisconnectReason::Protocol(violation) = &reason else {
        panic!("{reason:?}");
    };
    assert_eq!(violation.code, ErrorCode::PROTOCOL_ERROR.0);
    assert!(
        reason
            .to_string()
            .starts_with("the peer broke the protocol: PROTOCOL_ERROR: ")
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_preface_is_timed_out() {
    let reason = end_of(
        |server| server.connection_timeout(Duration::from_secs(3)),
        async |io, _| Ok(Some(io)),
    )
    .await;
    assert!(
        matches!(reason, DisconnectReason::PrefaceTimedOut),
        "{reason:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_native_engine_recognises_other_protocols_and_too_many_pings() {
    if !native() {
        return;
    }
    let reason = end_of(
        |server| server,
        async |mut io, _| {
            io.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
            Ok(Some(io))
        },
    )
    .await;
    let DisconnectReason::OtherProtocol(other) = &reason else {
        panic!("{reason:?}");
    };
    assert_eq!(*other, OtherProtocol::Http1("GET / HTTP/1.1".into()));
    let text = "the peer speaks HTTP/1, not HTTP/2: it sent \"GET / HTTP/1.1\"";
    assert_eq!(reason.to_string(), text);

    let reason = end_of(
        |server| server,
        async |mut io, _| {
            io.write_all(&[PREFACE, &PING.repeat(10)].concat()).await?;
            Ok(Some(io))
        },
    )
    .await;
    assert!(
        matches!(reason, DisconnectReason::TooManyPings),
        "{reason:?}"
    );
    assert!(reason.is_too_many_pings());
}

#[tokio::test(start_paused = true)]
async fn a_client_s_goaway_is_a_part_of_the_statistics_of_a_server() {
    let (hanging, mut hangs) = StubService::hanging();
    let server = serve_with(new_server(), hanging);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("hang")).end_stream()).await;
    hangs.begun().await;
    assert_eq!(server.handle().connections()[0].goaway, None);
    // The call goes on, and so does the connection.
    peer.send(goaway(0, ErrorCode::NO_ERROR).debug_data("bye"))
        .await;
    settle().await;
    let seen = server.handle().connections()[0].goaway.clone();
    let seen = seen.expect("a GOAWAY");
    assert_eq!(seen.to_string(), "code: NO_ERROR, debug data: \"bye\"");
}

#[tokio::test(start_paused = true)]
async fn a_goaway_is_a_part_of_the_statistics_of_a_draining_connection() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn.clone());
    let call = unary(&client, "a");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    assert_eq!(conn.connections()[0].goaway, None);
    peer.send(goaway(1, ErrorCode::NO_ERROR).debug_data("max_age"))
        .await;
    settle().await;
    let seen = conn.connections()[0].goaway.clone().expect("a GOAWAY");
    assert_eq!(seen.debug_data, "max_age");
    assert_eq!(seen.to_string(), "code: NO_ERROR, debug data: \"max_age\"");
    call.abort();
}
