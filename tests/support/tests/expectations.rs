//! Two peers, one at each end: what one sends is what the other expects.

use rgrpc_test_support::{
    Dependency, ErrorCode, Frame, RawFrame, WirePeer, data, goaway, grpc_request, grpc_response,
    grpc_trailers, headers, message, ping, priority, push_promise, rst_stream, settings,
    settings_ack, trailers_only, window_update,
};
use tokio::io::duplex;

async fn shaken() -> (WirePeer, WirePeer) {
    let (near, far) = duplex(1 << 20);
    tokio::join!(WirePeer::client(near), WirePeer::server(far))
}

#[tokio::test]
async fn every_frame_meets_its_expectation() {
    let (mut client, mut server) = shaken().await;
    let on = Dependency {
        stream_id: 1,
        exclusive: false,
        weight: 9,
    };

    server.send(headers(1).field("k", "v").end_headers()).await;
    assert_eq!(client.expect_headers(1).await.get("k"), Some("v"));
    server.send(data(1, b"content").end_stream()).await;
    assert!(client.expect_data(1).await.end_stream);
    server.send(priority(3, on)).await;
    assert_eq!(client.expect_priority(3).await.dependency, on);
    server.send(rst_stream(1, ErrorCode(0x99))).await;
    client.expect_rst(1, ErrorCode(0x99)).await;
    server.send(settings().max_frame_size(20_000)).await;
    assert_eq!(
        client.expect_settings().await,
        settings().max_frame_size(20_000)
    );
    server.send(settings_ack()).await;
    client.expect_settings_ack().await;
    server
        .send(push_promise(1, 2).field("k", "v").end_headers())
        .await;
    assert_eq!(client.expect_push_promise(1).await.promised_id, 2);
    server.send(ping(*b"01234567")).await;
    assert_eq!(client.expect_ping().await.opaque, *b"01234567");
    server.send(ping(*b"01234567").ack()).await;
    client.expect_ping_ack(*b"01234567").await;
    server.send(window_update(0, 10)).await;
    assert_eq!(client.expect_window_update(0).await.increment, 10);
    server.send(RawFrame::new(0xbb, 0, 5, b"?")).await;
    assert_eq!(client.expect_unknown().await.stream_id, 5);
    server.send(window_update(1, 0)).await;
    client.expect_malformed().await;
    server
        .send(goaway(1, ErrorCode::NO_ERROR).debug_data("bye"))
        .await;
    assert_eq!(
        client.expect_goaway(ErrorCode::NO_ERROR).await.debug_data,
        &b"bye"[..]
    );
    drop(server);
    client.expect_eof().await;
}

#[tokio::test]
async fn a_frame_as_large_as_was_announced_is_well_formed() {
    let (near, far) = duplex(1 << 20);
    let (mut client, mut server) = tokio::join!(
        WirePeer::client_with(near, settings().max_frame_size(30_000)),
        WirePeer::server(far)
    );
    server.send(data(1, [0; 30_000])).await;
    client.expect_data(1).await;
    server.send(data(1, [0; 30_001])).await;
    client.expect_malformed().await;
}

#[tokio::test]
async fn whole_exchanges_are_read_in_one_step() {
    let (mut client, mut server) = shaken().await;
    client.send(grpc_request(1, "/s/m")).await;
    client
        .send(data(1, [message(b"a"), message(b"b")].concat()).split(3))
        .await;
    client.send(data(1, b"").end_stream()).await;
    let request = server.expect_request(1).await;
    let bodies: Vec<_> = request
        .messages
        .iter()
        .map(|message| &message.body[..])
        .collect();
    assert_eq!(bodies, [b"a", b"b"]);

    server.send(grpc_response(1)).await;
    server.send(data(1, message(b"c"))).await;
    server
        .send(grpc_trailers(1, 9).field("grpc-message", "a%0Ab"))
        .await;
    let response = client.expect_response(1).await;
    assert_eq!(response.messages[0].body, &b"c"[..]);
    assert_eq!(
        (response.trailers.code, response.trailers.message.as_str()),
        (9, "a\nb")
    );

    client.send(grpc_request(3, "/s/m").end_stream()).await;
    assert!(server.expect_request(3).await.messages.is_empty());
    server.send(trailers_only(3, 12)).await;
    assert_eq!(client.expect_response(3).await.trailers.code, 12);
}

#[tokio::test]
async fn a_connection_error_is_goaway_and_the_end_after_any_frames() {
    let (mut client, mut server) = shaken().await;
    server.send(window_update(0, 1)).await;
    server.send(goaway(0, ErrorCode::PROTOCOL_ERROR)).await;
    drop(server);
    client
        .expect_connection_error(ErrorCode::PROTOCOL_ERROR)
        .await;
}

#[tokio::test]
async fn skipping_drops_what_comes_before() {
    let (mut client, mut server) = shaken().await;
    server.send(window_update(0, 1)).await;
    server.send(ping(*b"01234567")).await;
    let found = client.skip_to("PING", |frame| match frame {
        Frame::Ping(ping) => Ok(ping.opaque),
        other => Err(other),
    });
    assert_eq!(found.await, *b"01234567");
}
