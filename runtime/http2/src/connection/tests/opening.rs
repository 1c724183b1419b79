//! A client's streams: limits, waiting, ids.

use super::*;

use super::super::{OpenError, SendError};

fn limited(limit: u32) -> Wire {
    let mut wire = Wire::client(Config::default());
    wire.receive(settings(&[(3, limit)]));
    wire.sent();
    wire
}

#[test]
fn streams_over_the_peers_limit_wait_first_come_first_served() {
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
fn what_is_sent_on_a_waiting_stream_follows_its_head() {
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
fn nothing_more_is_sent_on_a_stream_that_waits_to_be_opened_and_ended_at_once() {
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
fn a_waiting_stream_that_is_reset_leaves_no_trace() {
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
fn a_hundred_streams_go_before_the_server_has_said() {
    let mut wire = Wire::with(Connection::client(Config::default(), read_head));
    for value in 0..150 {
        wire.open(value);
    }
    assert_eq!(wire.core.open_streams(), 100);
    wire.receive(settings(&[]));
    assert_eq!(wire.core.open_streams(), 150);
}

#[test]
fn stream_ids_run_out_in_time() {
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
}

#[test]
fn streams_that_wait_when_the_ids_run_out_are_refused() {
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
fn a_server_refuses_streams_over_its_limit() {
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
fn the_values_of_all_streams_can_be_visited_those_that_wait_included() {
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
