//! Statistics of connections: `ClientConn::connections`, `Server::connections`.
//!
//! Only the native engine counts all of it, so these tests choose that engine in every run.
//!
//! Source: gRFC A14; grpc-go's `TestCZClientSocketMetricsStreamsAndMessagesCount`,
//! `TestCZServerSocketMetricsStreamsAndMessagesCount`,
//! `TestCZClientAndServerSocketMetricsStreamsCountFlowControlRSTStream`,
//! `TestCZServerSocketMetricsKeepAlive`.

use std::time::{Duration, SystemTime};

use rgrpc::credentials::SecurityLevel;
use rgrpc::io::Address;
use rgrpc::keepalive::{ClientParameters, EnforcementPolicy, ServerParameters};
use rgrpc::{
    ClientConn, ClientConnBuilder, Code, ConnectionSnapshot, Response, Status, Transport,
    credentials,
};
use rgrpc_e2e::{
    StubClient, StubService, TestServer, channel_builder, msg, new_server, serve_with, settle,
    soon, text, unary,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A server of the native transport.
fn serve(service: StubService) -> TestServer {
    serve_with(new_server().transport(Transport::Native), service)
}

/// A channel of the native transport.
fn channel(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> ClientConn {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .transport(Transport::Native);
    options(builder).build().expect("a valid channel")
}

/// The statistics of the only connection, as the client and as the server has them.
async fn both(conn: &ClientConn, server: &TestServer) -> [ConnectionSnapshot; 2] {
    settle().await;
    let only = |all: Vec<ConnectionSnapshot>| {
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().expect("one")
    };
    [
        only(conn.connections()),
        only(server.handle().connections()),
    ]
}

/// The counts: streams started, succeeded, failed; messages sent, received.
fn counts(of: &ConnectionSnapshot) -> [u64; 5] {
    [
        of.streams_started,
        of.streams_succeeded,
        of.streams_failed,
        of.messages_sent,
        of.messages_received,
    ]
}

#[tokio::test(start_paused = true)]
async fn there_are_no_connections_before_the_first_call_and_none_after_the_close() {
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| builder);
    assert!(conn.connections().is_empty() && server.handle().connections().is_empty());
    let call = unary(&StubClient::new(conn.clone()), "one");
    soon(call).await.expect("no panic").expect("served");
    let [client, serving] = both(&conn, &server).await;
    assert_ne!(client.id, serving.id);
    assert_eq!(client.peer.remote, Address::Pipe);
    assert!(client.peer.tls().is_none());
    conn.close();
    settle().await;
    sleep(2 * SECOND).await;
    assert!(conn.connections().is_empty() && server.handle().connections().is_empty());
}

#[tokio::test(start_paused = true)]
async fn streams_and_messages_of_all_kinds_are_counted_on_both_sides() {
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| builder);
    let client = StubClient::new(conn.clone());

    for n in 1..=3 {
        let call = unary(&client, "unary");
        soon(call).await.expect("no panic").expect("served");
        let [sent, received] = both(&conn, &server).await;
        assert_eq!(counts(&sent), [n, n, 0, n, n]);
        assert_eq!(counts(&received), [n, n, 0, n, n]);
    }

    let mut responses = client
        .server_streaming(msg("12345"))
        .await
        .expect("a stream");
    while soon(responses.recv()).await.expect("OK").is_some() {}
    let [sent, received] = both(&conn, &server).await;
    assert_eq!(counts(&sent), [4, 4, 0, 4, 8]);
    assert_eq!(counts(&received), [4, 4, 0, 8, 4]);

    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    // Messages of many frames, which are read to their place, and small ones that share frames.
    for size in [1_000_000, 1, 2, 3, 300_000] {
        soon(requests.send(msg(vec![b'x'; size])))
            .await
            .expect("sent");
    }
    let [sent, _] = both(&conn, &server).await;
    assert_eq!(sent.streams_started, 5);
    assert_eq!(sent.streams_succeeded, 4, "it goes on");
    requests.close();
    while soon(responses.recv()).await.expect("OK").is_some() {}
    let [sent, received] = both(&conn, &server).await;
    assert_eq!(counts(&sent), [5, 5, 0, 9, 13]);
    assert_eq!(counts(&received), [5, 5, 0, 13, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_an_error_has_succeeded_as_a_stream_and_one_that_is_cancelled_has_failed() {
    let (hanging, mut hangs) = StubService::hanging();
    let failing = || async { Err(Status::not_found("no such thing")) };
    let server = serve(hanging.unary(move |_| failing()));
    let conn = channel(&server, |builder| builder);
    let client = StubClient::new(conn.clone());
    let call = unary(&client, "fails");
    let status = soon(call).await.expect("no panic").expect_err("an error");
    assert_eq!(status.code(), Code::NotFound);
    let [sent, received] = both(&conn, &server).await;
    assert_eq!(counts(&sent), [1, 1, 0, 1, 0]);
    assert_eq!(counts(&received), [1, 1, 0, 0, 1]);

    let halves = client.bidi_streaming().await.expect("a stream");
    hangs.begun().await;
    drop(halves);
    hangs.dropped().await;
    let [sent, received] = both(&conn, &server).await;
    assert_eq!(counts(&sent), [2, 1, 1, 1, 0]);
    assert_eq!(counts(&received), [2, 1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn times_say_when_the_last_stream_began_and_the_last_messages_went() {
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| builder);
    let client = StubClient::new(conn.clone());
    let before = SystemTime::now();
    soon(unary(&client, "one"))
        .await
        .expect("no panic")
        .expect("served");
    let [first, serving] = both(&conn, &server).await;
    let created = first.last_local_stream_created.expect("one");
    assert!(created >= before, "{first:?}");
    assert!(first.last_message_sent >= Some(before), "{first:?}");
    assert_eq!(first.last_remote_stream_created, None);
    assert!(serving.last_remote_stream_created >= Some(before));
    assert_eq!(serving.last_local_stream_created, None);

    sleep(100 * SECOND).await;
    soon(unary(&client, "two"))
        .await
        .expect("no panic")
        .expect("served");
    let [second, serving] = both(&conn, &server).await;
    // Virtual time moves no clock of the system, and counts from the connection's beginning here.
    for (first, second) in [
        (created, second.last_local_stream_created),
        (
            first.last_message_received.expect("one"),
            second.last_message_received,
        ),
        (created, serving.last_message_received),
    ] {
        let apart = second.expect("one").duration_since(first).expect("later");
        assert!((99 * SECOND..200 * SECOND).contains(&apart), "{apart:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn windows_are_those_that_each_end_has_left() {
    let (hanging, mut hangs) = StubService::hanging();
    let server = serve(hanging);
    let conn = channel(&server, |builder| builder);
    let client = StubClient::new(conn.clone());
    let (mut requests, _responses) = client.bidi_streaming().await.expect("a stream");
    hangs.begun().await;
    let [before, serving] = both(&conn, &server).await;
    assert_eq!(
        before.local_flow_control_window,
        serving.remote_flow_control_window
    );
    assert_eq!(
        before.remote_flow_control_window,
        serving.local_flow_control_window
    );
    soon(requests.send(msg(vec![0; 10_000])))
        .await
        .expect("sent");
    let [after, _] = both(&conn, &server).await;
    let used = before.local_flow_control_window - after.local_flow_control_window;
    assert!((10_000..10_100).contains(&used), "{used}");
}

#[tokio::test(start_paused = true)]
async fn keepalive_pings_are_counted_and_others_are_not() {
    let (hanging, mut hangs) = StubService::hanging();
    let server = new_server()
        .transport(Transport::Native)
        .keepalive(ServerParameters {
            time: 7 * SECOND,
            ..ServerParameters::default()
        })
        .keepalive_enforcement(EnforcementPolicy {
            min_time: SECOND,
            permit_without_stream: true,
        });
    let server = serve_with(server, hanging);
    let conn = channel(&server, |builder| {
        builder.keepalive(ClientParameters::new(10 * SECOND))
    });
    let _call = unary(&StubClient::new(conn.clone()), "hang");
    hangs.begun().await;
    sleep(71 * SECOND).await;
    let [client, serving] = both(&conn, &server).await;
    // The server's come first, and keep the client from silence.
    assert_eq!(client.keepalives_sent, 0);
    assert_eq!(serving.keepalives_sent, 10);
    assert_eq!(client.pings_received, 10);
    assert_eq!(serving.pings_received, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_shows_its_age_its_open_streams_since_when_it_is_idle_and_that_it_drains() {
    let (hanging, mut hangs) = StubService::hanging();
    let hanging = hanging.unary(async |request| Ok(Response::new(request.into_message())));
    let server = new_server()
        .transport(Transport::Native)
        .keepalive(ServerParameters {
            max_connection_age: Some(1_000 * SECOND),
            ..ServerParameters::default()
        });
    let server = serve_with(server, hanging);
    let conn = channel(&server, |builder| builder);
    let client = StubClient::new(conn.clone());
    soon(unary(&client, "one"))
        .await
        .expect("no panic")
        .expect("served");
    let begun = both(&conn, &server).await;
    for connection in &begun {
        let idle_since = connection.idle_since.expect("no stream");
        assert!(idle_since >= connection.created, "{connection:?}");
        assert_eq!(
            (connection.streams_open, connection.is_draining),
            (0, false)
        );
        assert_eq!(
            connection.peer.auth.security_level(),
            SecurityLevel::NoSecurity
        );
    }
    assert_eq!(begun[0].max_age_at, None, "of servers alone");
    let max_age_at = begun[1].max_age_at.expect("there is a limit");
    let age = max_age_at
        .duration_since(begun[1].created)
        .expect("it is later");
    assert!((900 * SECOND..=1_101 * SECOND).contains(&age), "{age:?}");

    sleep(100 * SECOND).await;
    let halves = client.bidi_streaming().await.expect("a stream");
    hangs.begun().await;
    for connection in both(&conn, &server).await {
        assert_eq!((connection.streams_open, connection.idle_since), (1, None));
    }
    // The connection drains at its age, and the call goes on.
    sleep(1_100 * SECOND).await;
    for connection in both(&conn, &server).await {
        assert!(connection.is_draining, "{connection:?}");
        assert_eq!(connection.streams_open, 1);
    }
    drop(halves);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_since_the_end_of_its_last_stream() {
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| builder);
    let client = StubClient::new(conn.clone());
    for _ in 0..2 {
        soon(unary(&client, "one"))
            .await
            .expect("no panic")
            .expect("served");
        sleep(100 * SECOND).await;
    }
    for connection in both(&conn, &server).await {
        let idle_since = connection.idle_since.expect("no stream");
        let apart = idle_since.duration_since(connection.created);
        let apart = apart.expect("it is later");
        assert!((99 * SECOND..150 * SECOND).contains(&apart), "{apart:?}");
    }
}

/// The other transport counts streams alone.
#[tokio::test(start_paused = true)]
async fn connections_of_the_transport_h2_are_there_with_their_ends_and_their_streams() {
    let (hanging, mut hangs) = StubService::hanging();
    let hanging = hanging.unary(async |request| match text(request.message()) {
        "fail" => Err(Status::not_found("as asked")),
        _ => Ok(Response::new(request.into_message())),
    });
    let server = serve_with(new_server().transport(Transport::H2), hanging);
    let conn = channel(&server, |builder| builder.transport(Transport::H2));
    let client = StubClient::new(conn.clone());
    soon(unary(&client, "one"))
        .await
        .expect("no panic")
        .expect("served");
    let call = unary(&client, "fail");
    soon(call).await.expect("no panic").expect_err("an error");
    for connection in both(&conn, &server).await {
        assert_eq!(connection.peer.remote, Address::Pipe);
        assert_eq!(counts(&connection), [2, 2, 0, 0, 0]);
        assert_eq!(
            (connection.streams_open, connection.is_draining),
            (0, false)
        );
        assert!(connection.idle_since.is_some());
    }
    let halves = client.bidi_streaming().await.expect("a stream");
    hangs.begun().await;
    for connection in both(&conn, &server).await {
        assert_eq!((connection.streams_open, connection.idle_since), (1, None));
    }
    drop(halves);
    hangs.dropped().await;
    for connection in both(&conn, &server).await {
        assert_eq!(counts(&connection), [3, 2, 1, 0, 0]);
    }
    conn.close();
    sleep(2 * SECOND).await;
    assert!(conn.connections().is_empty());
    drop(conn);
    server.handle().stop();
    sleep(2 * SECOND).await;
    assert!(server.handle().connections().is_empty());
}
