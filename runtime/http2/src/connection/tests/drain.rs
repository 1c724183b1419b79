//! PING and GOAWAY, in both directions.

use super::*;
use crate::role::Role;

use super::super::OpenError;

const DRAIN_PING: [u8; 8] = [0x01, 0x06, 0x01, 0x08, 0x00, 0x03, 0x03, 0x09];

#[test]
fn a_ping_is_acknowledged_and_reported() {
    let mut wire = Wire::server(Config::default());
    assert_eq!(
        wire.receive(ping([5; 8])),
        [Event::Ping { payload: [5; 8] }]
    );
    assert_eq!(wire.sent(), ["PING ACK 05"]);
}

#[test]
fn several_pings_may_be_in_flight() {
    let mut wire = Wire::server(Config::default());
    wire.core.ping([1; 8]);
    wire.core.ping([2; 8]);
    assert_eq!(wire.sent(), ["PING 01", "PING 02"]);
    let events = wire.receive([ping_ack([1; 8]), ping_ack([2; 8]), ping_ack([3; 8])].concat());
    let expected = [
        Event::Pong { payload: [1; 8] },
        Event::Pong { payload: [2; 8] },
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_server_drains_in_two_steps() {
    let mut wire = Wire::server(Config::default());
    let first = wire.request(1, true);
    wire.core.drain("graceful_stop".into(), wire.now);
    assert_eq!(
        wire.sent(),
        ["GOAWAY 2147483647 NO_ERROR graceful_stop", "PING 01"]
    );
    // A request that was in flight is accepted.
    let third = wire.request(3, true);
    assert_eq!(wire.receive(ping_ack(DRAIN_PING)), []);
    assert_eq!(wire.sent(), ["GOAWAY 3 NO_ERROR graceful_stop"]);
    // A later request is ignored.
    assert_eq!(wire.receive(request(5, false)), []);
    assert_eq!(wire.receive(data(5, 10, true)), []);
    assert!(wire.sent().is_empty());
    assert!(!wire.core.is_drained());
    for key in [first, third] {
        let head = response_block();
        assert_eq!(wire.core.send_headers(key, &prepared(&head), true), Ok(()));
    }
    assert!(wire.core.is_drained());
}

#[test]
fn a_drain_continues_without_an_acknowledgement_after_five_seconds() {
    let mut wire = Wire::server(Config::default());
    wire.core.drain("max_age".into(), wire.now);
    wire.sent();
    assert_eq!(
        wire.core.next_deadline(),
        Some(wire.now + Duration::from_secs(5))
    );
    wire.pass(Duration::from_millis(4_999));
    assert_eq!(wire.core.handle_timeout(wire.now), Ok(()));
    assert!(wire.sent().is_empty());
    wire.pass(Duration::from_millis(1));
    assert_eq!(wire.core.handle_timeout(wire.now), Ok(()));
    assert_eq!(wire.sent(), ["GOAWAY 0 NO_ERROR max_age"]);
    assert_eq!(wire.core.next_deadline(), None);
    assert!(wire.core.is_drained());
}

#[test]
fn a_drain_begins_once() {
    let mut wire = Wire::server(Config::default());
    wire.core.drain("max_idle".into(), wire.now);
    wire.core.drain("graceful_stop".into(), wire.now);
    assert_eq!(wire.sent().len(), 2);
}

#[test]
fn a_goaway_has_the_last_stream_and_its_debug_data() {
    let mut wire = Wire::server(Config::default());
    wire.request(1, true);
    wire.core
        .goaway(ErrorCode::ENHANCE_YOUR_CALM, b"too_many_pings");
    assert_eq!(wire.sent(), ["GOAWAY 1 ENHANCE_YOUR_CALM too_many_pings"]);
    assert_eq!(wire.receive(request(3, true)), []);
}

#[test]
fn streams_that_the_server_did_not_process_are_refused_in_order() {
    let config = Config {
        initial_max_send_streams: 0,
        ..Config::default()
    };
    let mut wire = Wire::client(config);
    wire.receive(settings(&[(3, 3)]));
    let keys: Vec<_> = (0..5).map(|value| wire.open(value)).collect();
    let events = wire.receive(goaway(3, ErrorCode::ENHANCE_YOUR_CALM, "too_many_pings"));
    let expected = [
        Event::GoAway {
            last_id: 3,
            code: ErrorCode::ENHANCE_YOUR_CALM,
            debug: "too_many_pings".into(),
        },
        Event::Refused { key: keys[3] },
        Event::Refused { key: keys[4] },
        Event::Refused { key: keys[2] },
    ];
    assert_eq!(events, expected);
    assert_eq!(wire.core.open_streams(), 2);
    let head = request_block();
    let opened = wire.core.open(9, &prepared(&head), true);
    assert_eq!(opened, Err(OpenError::GoingAway));
    assert!(!wire.core.takes_new_streams());
    // Streams that the server processes continue.
    assert_eq!(wire.receive(response(1, false)).len(), 1);
    wire.receive([trailers(1), response(3, true)].concat());
    for key in &keys[..2] {
        wire.core.reset(*key, ErrorCode::CANCEL);
    }
    assert!(wire.core.is_drained());
}

#[test]
fn the_value_of_a_refused_stream_can_be_taken_with_its_event() {
    let mut wire = Wire::client(Config::default());
    let key = wire.open(42);
    wire.input
        .extend_from_slice(&goaway(0, ErrorCode::NO_ERROR, ""));
    let mut next = || wire.core.next_event(&mut wire.input, wire.now);
    assert!(matches!(next(), Ok(Some(Event::GoAway { .. }))));
    assert_eq!(next(), Ok(Some(Event::Refused { key })));
    assert_eq!(wire.core.take_value(key), Some(42));
    assert_eq!(wire.receive(b""), []);
    assert_eq!(wire.core.set_value(key, 1), Some(1), "the stream is gone");
}

#[test]
fn late_frames_of_a_refused_stream_are_ignored() {
    let mut wire = Wire::client(Config::default());
    wire.open(0);
    wire.receive(goaway(0, ErrorCode::NO_ERROR, ""));
    wire.sent();
    assert_eq!(
        wire.receive([response(1, false), data(1, 5, true)].concat()),
        []
    );
    assert!(wire.sent().is_empty());
}

#[test]
fn a_second_goaway_may_lower_but_not_raise_the_last_stream() {
    let mut wire = Wire::client(Config::default());
    let (first, second) = (wire.open(0), wire.open(1));
    wire.receive(goaway((1 << 31) - 1, ErrorCode::NO_ERROR, ""));
    assert_eq!(wire.core.open_streams(), 2);
    let events = wire.receive(goaway(1, ErrorCode::NO_ERROR, ""));
    assert_eq!(events[1..], [Event::Refused { key: second }]);
    assert!(wire.core.value_mut(first).is_some());
    let error = wire.receive_error(goaway(3, ErrorCode::NO_ERROR, ""));
    assert_eq!(error.code, ErrorCode::PROTOCOL_ERROR);
}

#[test]
fn a_goaway_with_an_even_stream_is_an_error_of_a_server() {
    let mut wire = Wire::client(Config::default());
    let error = wire.receive_error(goaway(2, ErrorCode::NO_ERROR, ""));
    assert_eq!(error.code, ErrorCode::PROTOCOL_ERROR);
}

#[test]
fn a_goaway_from_a_client_does_not_affect_its_streams() {
    let mut wire = Wire::server(Config::default());
    assert_eq!(wire.core.role(), Role::Server);
    let key = wire.request(1, true);
    let events = wire.receive(goaway(0, ErrorCode::NO_ERROR, "bye"));
    assert_eq!(events.len(), 1);
    wire.respond(key);
    assert_eq!(wire.sent(), ["HEADERS 1"]);
}
