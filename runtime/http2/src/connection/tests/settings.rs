//! The settings of both ends.

use super::*;
use crate::hpack::DEFAULT_TABLE_SIZE;

use super::super::{OpenError, SendError};

#[test]
fn a_server_announces_its_configuration_and_opens_the_connections_window() {
    let config = Config {
        max_concurrent_streams: Some(100),
        stream_window: 1 << 20,
        connection_window: 1 << 20,
        ..Config::default()
    };
    let mut wire = Wire::with(Connection::server(config, read_head));
    assert_eq!(
        wire.sent(),
        ["SETTINGS 3=100 4=1048576", "WINDOW_UPDATE 0 983041"]
    );
}

#[test]
fn a_client_sends_its_preface_and_disables_push() {
    let mut wire = Wire::with(Connection::client(Config::default(), read_head));
    let octets = wire.take_output();
    assert!(octets.starts_with(PREFACE));
    let mut wire = Wire::with(Connection::client(Config::default(), read_head));
    assert_eq!(wire.sent(), ["SETTINGS 2=0"]);
}

#[test]
fn settings_are_acknowledged_and_applied() {
    let mut wire = Wire::server(Config::default());
    let events = wire.receive(settings(&[
        (3, 7),
        (4, 1_000),
        (5, 20_000),
        (6, 8_192),
        (0x99, 1),
    ]));
    assert_eq!(events, [Event::PeerSettings]);
    assert_eq!(wire.sent(), ["SETTINGS ACK"]);
    let peer = wire.core.peer_settings();
    assert_eq!(peer.max_concurrent_streams, Some(7));
    assert_eq!(peer.initial_window_size, 1_000);
    assert_eq!(peer.max_frame_size, 20_000);
    assert_eq!(peer.max_header_list_size, Some(8_192));
}

#[test]
fn sent_frames_stay_short_even_if_the_peer_accepts_longer_ones() {
    let mut wire = Wire::server(Config::default());
    wire.receive(settings(&[(5, 1 << 20)]));
    let key = wire.request(1, true);
    wire.respond(key);
    wire.sent();
    assert_eq!(wire.core.send_data(key, &[0; 30_000][..], true), Ok(()));
    assert_eq!(wire.sent(), ["DATA 1 16384", "DATA 1 13616 END_STREAM"]);
}

#[test]
fn a_long_header_block_is_sent_with_continuations() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, true);
    let long = vec![b'~'; 40_000];
    let head = response_block();
    let fields = [FieldRef::new(b"long", &long)];
    let sent = wire
        .core
        .send_headers(key, &prepared(&head).with(fields), true);
    assert_eq!(sent, Ok(()));
    let expected = [
        "HEADERS 1 END_STREAM ...",
        "CONTINUATION 1 16384",
        "CONTINUATION 1 7244",
    ];
    let frames = wire.sent();
    assert_eq!(frames[..2], expected[..2]);
    assert_eq!(frames.len(), 3);
}

#[test]
fn a_header_list_larger_than_the_peer_accepts_is_not_sent() {
    let mut wire = Wire::server(Config::default());
    wire.receive(settings(&[(6, 100)]));
    let key = wire.request(1, true);
    wire.sent();
    let long = vec![b'a'; 100];
    let (head, ok) = (response_block(), trailers_block());
    let fields = [FieldRef::new(b"long", &long)];
    // The status counts 42 octets, the field 136.
    let too_large = Err(SendError::HeaderListTooLarge {
        size: 178,
        limit: 100,
    });
    let with_field = prepared(&head).with(fields);
    assert_eq!(wire.core.send_headers(key, &with_field, false), too_large);
    let reply = wire.core.reply(key, &with_field, &b"x"[..], &prepared(&ok));
    assert_eq!(reply, too_large);
    assert!(wire.sent().is_empty());
    wire.respond(key);
    assert!(
        wire.core
            .send_trailers(key, &prepared(&ok).with(fields))
            .is_err()
    );
    assert_eq!(wire.core.send_trailers(key, &prepared(&ok)), Ok(()));
    assert_eq!(wire.sent(), ["HEADERS 1", "HEADERS 1 END_STREAM"]);
}

#[test]
fn a_request_head_larger_than_the_peer_accepts_is_not_sent() {
    let mut wire = Wire::client(Config::default());
    wire.receive(settings(&[(6, 10)]));
    wire.sent();
    let head = request_block();
    let opened = wire.core.open(0, &prepared(&head), true);
    assert!(matches!(
        opened,
        Err(OpenError::HeaderListTooLarge { limit: 10, .. })
    ));
    assert!(wire.sent().is_empty());
    assert_eq!(wire.core.queued_streams(), 0);
}

/// Returns the table size update at the beginning of a block.
fn size_update(octets: &[u8]) -> Option<u8> {
    let first = octets[Head::LEN];
    (first & 0xe0 == 0x20).then_some(first & 0x1f)
}

#[test]
fn a_smaller_table_is_applied_and_confirmed_in_the_next_block() {
    let mut wire = Wire::server(Config::default());
    wire.receive(settings(&[(1, 0)]));
    wire.receive(settings(&[(1, 10)]));
    wire.sent();
    let key = wire.request(1, true);
    let fields = [
        FieldRef::new(b":status", b"200"),
        FieldRef::new(b"te", b"x"),
    ];
    assert_eq!(
        wire.core.send_headers(key, &Block::fields(fields), false),
        Ok(())
    );
    let octets = wire.take_output();
    assert_eq!(
        octets[Head::LEN..][..2],
        [0x20, 0x20 | 10],
        "the smallest, then the last"
    );
    let fields = [FieldRef::new(b"te", b"x")];
    assert_eq!(wire.core.send_trailers(key, &Block::fields(fields)), Ok(()));
    assert_eq!(size_update(&wire.take_output()), None);
}

#[test]
fn a_larger_table_than_the_default_is_not_used() {
    let mut wire = Wire::server(Config::default());
    wire.receive(settings(&[(1, 1 << 20)]));
    wire.sent();
    let key = wire.request(1, true);
    wire.respond(key);
    assert_eq!(size_update(&wire.take_output()), None);
}

#[test]
fn a_peer_that_ignores_our_smaller_table_is_in_error() {
    let config = Config {
        header_table_size: 100,
        ..Config::default()
    };
    let mut wire = Wire::server(config.clone());
    assert_eq!(
        wire.receive_error(request(1, true)).code,
        ErrorCode::COMPRESSION_ERROR
    );

    let mut wire = Wire::server(config);
    let mut payload = vec![0x3f, 100 - 31];
    payload.extend_from_slice(&block(&REQUEST));
    let end = flag::END_HEADERS | flag::END_STREAM;
    wire.receive(frame(Kind::Headers, end, 1, payload));
    assert_eq!(wire.core.open_streams(), 1);
}

#[test]
fn a_table_larger_than_announced_is_refused() {
    let mut wire = Wire::server(Config::default());
    let over = DEFAULT_TABLE_SIZE + 1 - 31;
    let mut payload = vec![0x3f, over as u8 | 0x80, (over >> 7) as u8];
    payload.extend_from_slice(&block(&REQUEST));
    let octets = frame(Kind::Headers, flag::END_HEADERS, 1, payload);
    assert_eq!(
        wire.receive_error(octets).code,
        ErrorCode::COMPRESSION_ERROR
    );
}
