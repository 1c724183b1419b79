//! The request heads of a client, as the wire peer reads them.
//!
//! Source: "PROTOCOL-HTTP2", Requests; grpc-go's `TestAuthorityHeader`, `TestColonPortAuthority`
//! and `TestUnix`.

use std::time::Duration;

use rgrpc::{BuildError, ClientConnBuilder, Status, credentials};
use rgrpc_e2e::{
    STUB_UNARY, StubClient, channel_builder, framed, msg, new_channel, scripted, scripted_by,
};
use rgrpc_test_support::{GrpcRequest, grpc_trailers};

/// The request of a unary call on this channel.
async fn request_of(
    target: &str,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> GrpcRequest {
    let (conn, mut server) = scripted_by(target, options);
    let call = tokio::spawn(async move { StubClient::new(conn).unary(msg("request")).await });
    let request = server.accept().await.expect_request(1).await;
    call.abort();
    request
}

async fn authority_of(target: &str) -> String {
    let request = request_of(target, |builder| builder).await;
    let authorities = request.headers.get_all(":authority");
    assert_eq!(authorities.len(), 1, "{target}");
    authorities[0].to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_fields_are_grpcs_and_no_others() {
    let request = request_of("passthrough:///stub.test:1234", |builder| builder).await;
    let head = &request.headers;
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", STUB_UNARY),
        (":authority", "stub.test:1234"),
        ("content-type", "application/grpc"),
        ("grpc-accept-encoding", "gzip"),
        ("te", "trailers"),
    ] {
        assert_eq!(head.get_all(name), [value], "{name}");
    }
    let mut names = head.fields().names();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            ":authority",
            ":method",
            ":path",
            ":scheme",
            "content-type",
            "grpc-accept-encoding",
            "te",
            "user-agent"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_only_message_ends_the_stream_with_its_own_frame() {
    for server_streams in [false, true] {
        let (conn, mut server) = scripted();
        let client = StubClient::new(conn);
        let call = tokio::spawn(async move {
            if server_streams {
                client
                    .server_streaming(msg("request"))
                    .await?
                    .recv()
                    .await?;
            } else {
                client.unary(msg("request")).await?;
            }
            Ok::<_, Status>(())
        });
        let mut peer = server.accept().await;
        assert!(!peer.expect_headers(1).await.end_stream);
        let data = peer.expect_data(1).await;
        assert!(data.end_stream, "the server streams: {server_streams}");
        assert_eq!(data.payload, framed("request"));
        call.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn the_user_agent_names_this_implementation_after_the_users_own() {
    let request = request_of("passthrough:///a", |builder| builder).await;
    let own = request.headers.get("user-agent").expect("a user agent");
    assert!(own.starts_with("grpc-rust-rgrpc/"), "{own}");
    let own = own.to_owned();

    let request = request_of("passthrough:///a", |b| b.user_agent("shop/1.2 (eu)")).await;
    let both = request.headers.get("user-agent").expect("a user agent");
    assert_eq!(both, format!("shop/1.2 (eu) {own}"));
}

#[tokio::test(start_paused = true)]
async fn the_authority_is_the_targets_endpoint() {
    for (target, authority) in [
        ("passthrough:///stub.test:50051", "stub.test:50051"),
        ("passthrough:stub.test", "stub.test"),
        ("dns:///127.0.0.1:50051", "127.0.0.1:50051"),
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        ("dns:///127.0.0.1", "127.0.0.1"),
        ("dns:///[::1]:50051", "[::1]:50051"),
        ("ipv4:127.0.0.1:50051", "127.0.0.1:50051"),
        ("ipv6:[::1]:50051", "[::1]:50051"),
        ("unix:///run/stub.sock", "localhost"),
        ("unix:stub.sock", "localhost"),
        ("dns:///:50051", "localhost:50051"),
    ] {
        assert_eq!(authority_of(target).await, authority, "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_authority_option_wins_over_the_target() {
    let request = request_of("passthrough:///stub.test", |b| b.authority("other.test:1")).await;
    assert_eq!(request.headers.get(":authority"), Some("other.test:1"));
}

#[test]
fn unsendable_options_are_refused_when_the_channel_is_made() {
    let builder = || channel_builder("passthrough:///a", credentials::insecure());
    let error = builder().authority("a b").build().expect_err("a space");
    assert!(matches!(error, BuildError::Authority { .. }), "{error}");
    let error = builder().user_agent("a\nb").build().expect_err("a newline");
    assert!(matches!(error, BuildError::UserAgent(_)), "{error}");
    for target in ["", "xds:///a", "unix://host/path", "dns:///a:b"] {
        let error = new_channel(target, credentials::insecure()).expect_err(target);
        assert!(matches!(error, BuildError::Target(_)), "{target}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_call_names_its_own_path() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let calls = tokio::spawn(async move {
        let responses = client.server_streaming(msg("")).await?;
        let requests = client.client_streaming().await?;
        let both = client.bidi_streaming().await?;
        Ok::<_, Status>((responses, requests, both))
    });
    let mut peer = server.accept().await;
    for (id, method) in [
        (1, "ServerStreaming"),
        (3, "ClientStreaming"),
        (5, "BidiStreaming"),
    ] {
        let head = peer
            .skip_to("a request head", |frame| match frame {
                rgrpc_test_support::Frame::Headers(head) => Ok(head),
                other => Err(other),
            })
            .await;
        assert_eq!(head.stream_id, id);
        let path = format!("/rgrpc.e2e.Stub/{method}");
        assert_eq!(head.get(":path"), Some(&*path));
    }
    calls.await.expect("no panic").expect("streams");
}

#[tokio::test(start_paused = true)]
async fn a_call_with_a_timeout_sends_what_is_left_of_it() {
    for (timeout, expected) in [
        (Duration::from_millis(50), "50000000n"),
        (Duration::from_secs(1), "1000000u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::from_secs(200_000), "200000S"),
    ] {
        let (conn, mut server) = scripted();
        let client = StubClient::new(conn);
        let call = tokio::spawn(async move { client.unary(msg("")).timeout(timeout).await });
        let mut peer = server.accept().await;
        let request = peer.expect_request(1).await;
        // The clock stands still, so nothing of it has passed.
        assert_eq!(request.headers.get("grpc-timeout"), Some(expected));
        peer.send(grpc_trailers(1, 0)).await;
        call.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_shrinks_by_the_time_that_connecting_took() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call =
        tokio::spawn(async move { client.unary(msg("")).timeout(Duration::from_secs(5)).await });
    let io = server.io().await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let mut peer = rgrpc_test_support::WirePeer::server(io)
        .await
        .housekeeping();
    let request = peer.expect_request(1).await;
    let timeout = request.headers.get("grpc-timeout").expect("a timeout");
    let micros: u64 = timeout
        .strip_suffix('u')
        .expect("microseconds")
        .parse()
        .expect("a number");
    assert!((2_990_000..=3_000_000).contains(&micros), "{timeout}");
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_timeout_sends_none() {
    let request = request_of("passthrough:///a", |builder| builder).await;
    assert!(!request.headers.fields().contains("grpc-timeout"));
}
