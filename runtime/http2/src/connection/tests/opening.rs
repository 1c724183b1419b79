//! Opening of streams: the peer's limit, waiting streams, stream ids.

use super::*;

use super::super::{OpenError, SendError};

fn limited(limit: u32) -> Wire {
    let mut wire = Wire::client(Config::default());
    wire.receive(settings(&[(3, limit)]));
    wire.sent();
    wire
}

#[test]
fn streams_above_the_peers_limit_wait_in_order() {
    let mut wire = limited(2);
    let keys: Vec<_> = (0..4).map(|value| wire.open(value)).collect();
    assert_eq!(wire.sent(), ["HEADERS 1", "HEADERS 3"]);
    assert_eq!(
        (wire.core.open_streams(), wire.core.queued_streams()),
        (2, 2)
    );
    wire.core.reset(keys[1], ErrorCode::CANCEL);
    assert_eq!(wire.sent(), ["RST_STREAM 3 CANCEL", "HEADERS 5"]);
    let expected = Event::Opened {
        key: keys[2],
        id: 5,
    };
    assert_eq!(wire.receive(b""), [expected]);
    let events = wire.receive(rst_stream(1, ErrorCode::CANCEL));
    assert_eq!(events.len(), 2);
    assert_eq!(wire.sent(), ["HEADERS 7"]);
}

#[test]
fn content_of_a_waiting_stream_follows_its_head() {
    let mut wire = limited(0);
    let key = wire.open(0);
    assert_eq!(wire.core.send_data(key, &[0; 20_000][..], true), Ok(()));
    assert!(wire.sent().is_empty());
    wire.receive(settings(&[(3, 1)]));
    let expected = [
        "SETTINGS ACK",
        "HEADERS 1",
        "DATA 1 16384",
        "DATA 1 3616 END_STREAM",
    ];
    assert_eq!(wire.sent(), expected);
}

#[test]
fn a_waiting_stream_without_content_accepts_no_content() {
    let mut wire = limited(0);
    let head = request_block();
    let key = wire.core.open(1, &Block::prepared(&head), true);
    let key = key.expect("opened");
    let data = wire.core.send_data(key, &b"x"[..], false);
    assert_eq!(data, Err(SendError::Closed));
    let trailers = wire.core.send_trailers(key, &prepared(&trailers_block()));
    assert_eq!(trailers, Err(SendError::Closed));
    wire.receive(settings(&[(3, 1)]));
    assert_eq!(wire.sent(), ["SETTINGS ACK", "HEADERS 1 END_STREAM"]);
}

#[test]
fn a_reset_of_a_waiting_stream_causes_no_frames() {
    let mut wire = limited(0);
    let (first, second) = (wire.open(0), wire.open(1));
    assert_eq!(wire.core.send_data(first, &[0; 10][..], true), Ok(()));
    wire.core.reset(first, ErrorCode::CANCEL);
    wire.receive(settings(&[(3, 5)]));
    assert_eq!(wire.sent(), ["SETTINGS ACK", "HEADERS 1"]);
    assert_eq!(wire.core.value_mut(second), Some(&mut 1));
    assert!(wire.core.value_mut(first).is_none());
}

#[test]
fn a_hundred_streams_may_be_opened_before_the_servers_settings() {
    let mut wire = Wire::with(Connection::client(Config::default(), read_head));
    for value in 0..150 {
        wire.open(value);
    }
    assert_eq!(wire.core.open_streams(), 100);
    wire.receive(settings(&[]));
    assert_eq!(wire.core.open_streams(), 150);
}

#[test]
fn no_stream_is_opened_after_the_last_stream_id() {
    let config = Config {
        last_local_stream_id: 3,
        ..Config::default()
    };
    let mut wire = Wire::client(config);
    wire.open(0);
    wire.open(1);
    let head = request_block();
    let opened = wire.core.open(2, &prepared(&head), true);
    assert_eq!(opened, Err(OpenError::StreamIdsExhausted));
    assert_eq!(
        OpenError::StreamIdsExhausted.to_string(),
        "the connection has no stream ids left"
    );
}

#[test]
fn waiting_streams_are_refused_when_the_stream_ids_run_out() {
    let config = Config {
        last_local_stream_id: 1,
        ..Config::default()
    };
    let mut wire = Wire::client(config);
    wire.receive(settings(&[(3, 0)]));
    let (first, second) = (wire.open(0), wire.open(1));
    let events = wire.receive(settings(&[(3, 2)]));
    let expected = [
        Event::PeerSettings,
        Event::Opened { key: first, id: 1 },
        Event::Refused { key: second },
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_server_refuses_streams_above_its_limit() {
    let config = Config {
        max_concurrent_streams: Some(1),
        ..Config::default()
    };
    let mut wire = Wire::server(config);
    let key = wire.request(1, false);
    assert_eq!(wire.receive(request(3, true)), []);
    assert_eq!(wire.sent(), ["RST_STREAM 3 REFUSED_STREAM"]);
    assert_eq!(wire.core.stats().streams_refused, 1);
    wire.core.reset(key, ErrorCode::CANCEL);
    wire.request(5, true);
}

#[test]
fn the_values_of_all_streams_are_visited_including_waiting_ones() {
    let mut wire = limited(1);
    let keys: Vec<_> = (0..3).map(|value| wire.open(value)).collect();
    let visited: Vec<_> = wire
        .core
        .values_mut()
        .map(|(key, value)| (key, *value))
        .collect();
    let expected: Vec<_> = keys.into_iter().zip(0..3).collect();
    assert_eq!(visited, expected);
}
