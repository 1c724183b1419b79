//! The flow-control windows in both directions, and the order in which streams send.

use super::*;
use crate::{Config, Reading, bdp};

fn window() -> Config {
    Config {
        bdp_estimation: false,
        ..Config::default()
    }
}

/// Creates a server with a stream whose response head has been sent.
fn responding() -> (Wire, StreamKey) {
    let mut wire = Wire::server(window());
    let key = wire.request(1, true);
    wire.respond(key);
    wire.sent();
    (wire, key)
}

fn send(wire: &mut Wire, key: StreamKey, length: usize, end_stream: bool) {
    let sent = wire
        .core
        .send_data(key, vec![0; length].as_slice(), end_stream);
    assert_eq!(sent, Ok(()));
}

#[test]
fn data_is_sent_up_to_the_window_and_continues_when_it_opens() {
    let (mut wire, key) = responding();
    send(&mut wire, key, 70_000, true);
    let full = ["DATA 1 16384"; 3];
    assert_eq!(wire.sent(), [&full[..], &["DATA 1 16383"]].concat());
    assert_eq!(wire.core.queued(key), 70_000 - 65_535);
    wire.receive(window_update(0, 1_000));
    assert!(wire.sent().is_empty());
    wire.receive(window_update(1, 2_000));
    assert_eq!(wire.sent(), ["DATA 1 1000"]);
    wire.receive([window_update(0, 10_000), window_update(1, 10_000)].concat());
    assert_eq!(wire.sent(), ["DATA 1 3465 END_STREAM"]);
    assert_eq!(wire.core.open_streams(), 0);
}

#[test]
fn trailers_wait_for_the_data_and_need_no_window() {
    let (mut wire, key) = responding();
    send(&mut wire, key, 65_536, false);
    let ok = trailers_block();
    assert_eq!(wire.core.send_trailers(key, &prepared(&ok)), Ok(()));
    assert_eq!(wire.sent().len(), 4);
    wire.receive([window_update(0, 256), window_update(1, 256)].concat());
    assert_eq!(wire.sent(), ["DATA 1 1", "HEADERS 1 END_STREAM"]);
}

#[test]
fn a_reply_larger_than_the_window_is_sent_in_parts() {
    let mut wire = Wire::server(window());
    wire.receive(settings(&[(4, 10)]));
    wire.sent();
    let key = wire.request(1, true);
    let (head, ok) = (response_block(), trailers_block());
    let reply = wire
        .core
        .reply(key, &prepared(&head), &[0; 25][..], &prepared(&ok));
    assert_eq!(reply, Ok(()));
    assert_eq!(wire.sent(), ["HEADERS 1", "DATA 1 10"]);
    wire.receive(window_update(1, 300));
    assert_eq!(wire.sent(), ["DATA 1 15", "HEADERS 1 END_STREAM"]);
    assert_eq!(wire.core.open_streams(), 0);
}

#[test]
fn a_reply_within_the_window_is_three_frames() {
    let mut wire = Wire::server(window());
    let key = wire.request(1, true);
    let (head, ok) = (response_block(), trailers_block());
    let reply = wire
        .core
        .reply(key, &prepared(&head), &b"hello"[..], &prepared(&ok));
    assert_eq!(reply, Ok(()));
    assert_eq!(
        wire.sent(),
        ["HEADERS 1", "DATA 1 5", "HEADERS 1 END_STREAM"]
    );
    let again = wire
        .core
        .reply(key, &prepared(&head), &b"hello"[..], &prepared(&ok));
    assert_eq!(again, Err(super::super::SendError::Closed));
}

#[test]
fn a_lower_initial_window_makes_windows_negative() {
    let (mut wire, key) = responding();
    send(&mut wire, key, 60_000, false);
    assert_eq!(wire.sent().len(), 4);
    // 65,535 - 60,000 - 65,535 + 10,000 = -50,000.
    wire.receive(settings(&[(4, 10_000)]));
    wire.receive(window_update(0, 1 << 20));
    send(&mut wire, key, 1, false);
    wire.receive(window_update(1, 50_000));
    assert_eq!(wire.sent(), ["SETTINGS ACK"]);
    wire.receive(window_update(1, 1_000));
    assert_eq!(wire.sent(), ["DATA 1 1"]);
}

#[test]
fn a_higher_initial_window_wakes_every_waiting_stream() {
    let mut wire = Wire::server(window());
    wire.receive([settings(&[(4, 0)]), window_update(0, 1 << 20)].concat());
    wire.sent();
    for id in [1, 3, 5] {
        let key = wire.request(id, true);
        wire.respond(key);
        send(&mut wire, key, 100, true);
    }
    assert_eq!(wire.sent().len(), 3);
    wire.receive(settings(&[(4, 100)]));
    let expected = [
        "DATA 1 100 END_STREAM",
        "DATA 3 100 END_STREAM",
        "DATA 5 100 END_STREAM",
    ];
    assert_eq!(wire.sent(), [&["SETTINGS ACK"], &expected[..]].concat());
}

#[test]
fn streams_take_turns_of_one_frame_each() {
    let mut wire = Wire::server(window());
    wire.receive([settings(&[(4, 1 << 20)]), window_update(0, 1 << 20)].concat());
    wire.sent();
    for id in [1, 3, 5] {
        let key = wire.request(id, true);
        wire.respond(key);
        send(&mut wire, key, 40_000, true);
    }
    let sent = wire.sent();
    let order: Vec<_> = sent
        .iter()
        .filter(|line| line.starts_with("DATA"))
        .collect();
    let expected = [
        "DATA 1 16384",
        "DATA 3 16384",
        "DATA 5 16384",
        "DATA 1 16384",
        "DATA 3 16384",
        "DATA 5 16384",
        "DATA 1 7232 END_STREAM",
        "DATA 3 7232 END_STREAM",
        "DATA 5 7232 END_STREAM",
    ];
    assert_eq!(order, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_control_frame_precedes_queued_data() {
    let (mut wire, key) = responding();
    wire.receive([window_update(0, 1 << 20), window_update(1, 1 << 20)].concat());
    send(&mut wire, key, 200_000, false);
    wire.receive(ping([9; 8]));
    assert_eq!(wire.sent()[0], "PING ACK 09");
}

#[test]
fn a_batch_bounds_the_output_before_a_control_frame() {
    let (mut wire, key) = responding();
    wire.receive([window_update(0, 1 << 20), window_update(1, 1 << 20)].concat());
    send(&mut wire, key, 1_000_000, false);
    let batch = Config::default().output_batch;
    let committed = wire.core.output().len();
    assert!(
        (batch..batch + 16_384 + 9).contains(&committed),
        "{committed}"
    );
}

#[test]
fn small_queued_messages_share_frames() {
    let mut wire = Wire::server(window());
    wire.receive(settings(&[(4, 0)]));
    let key = wire.request(1, true);
    wire.respond(key);
    for _ in 0..100 {
        send(&mut wire, key, 100, false);
    }
    wire.sent();
    wire.receive(window_update(1, 60_000));
    assert_eq!(wire.sent(), ["DATA 1 10000"]);
}

#[test]
fn a_stream_without_window_does_not_delay_others() {
    let mut wire = Wire::server(window());
    wire.receive(settings(&[(4, 100)]));
    let first = wire.request(1, true);
    let third = wire.request(3, true);
    wire.respond(first);
    wire.respond(third);
    wire.sent();
    send(&mut wire, first, 1_000, false);
    send(&mut wire, third, 50, true);
    assert_eq!(wire.sent(), ["DATA 1 100", "DATA 3 50 END_STREAM"]);
}

#[test]
fn send_ready_is_reported_once_when_the_queue_is_short() {
    let (mut wire, key) = responding();
    send(&mut wire, key, 65_535 + 1_000, false);
    wire.sent();
    wire.core.wake_when_below(key, 500);
    wire.receive([window_update(0, 300), window_update(1, 300)].concat());
    wire.sent();
    assert_eq!(wire.receive(b""), []);
    wire.receive([window_update(0, 300), window_update(1, 300)].concat());
    wire.sent();
    assert_eq!(wire.receive(b""), [Event::SendReady { key }]);
    wire.core.wake_when_below(key, 500);
    wire.receive([window_update(0, 300), window_update(1, 300)].concat());
    wire.sent();
    assert_eq!(wire.receive(b""), []);
}

#[test]
fn the_connections_window_is_returned_on_receipt_and_a_streams_window_on_read() {
    let mut wire = Wire::server(window());
    let key = wire.request(1, false);
    wire.receive(data(1, 16_384, false));
    assert_eq!(wire.sent(), ["WINDOW_UPDATE 0 16384"]);
    wire.core.release(key, 16_382);
    assert!(wire.sent().is_empty());
    wire.core.release(key, 1);
    assert_eq!(wire.sent(), ["WINDOW_UPDATE 1 16383"]);
}

#[test]
fn padding_is_returned_without_being_read() {
    let mut wire = Wire::server(window());
    wire.request(1, false);
    let mut payload = vec![255];
    payload.resize(256, 0);
    for n in 1..=64 {
        let events = wire.receive(frame(Kind::Data, flag::PADDED, 1, &payload[..]));
        assert!(
            events
                .iter()
                .all(|event| matches!(event, Event::Data { data, .. } if data.is_empty()))
        );
        if n < 64 {
            assert!(wire.sent().is_empty());
        }
    }
    assert_eq!(
        wire.sent(),
        ["WINDOW_UPDATE 0 16384", "WINDOW_UPDATE 1 16384"]
    );
}

#[test]
fn discarded_content_counts_as_read() {
    let mut wire = Wire::server(window());
    let key = wire.request(1, false);
    wire.receive(data(1, 16_384, false));
    wire.sent();
    wire.core.discard(key);
    assert_eq!(wire.sent(), ["WINDOW_UPDATE 1 16384"]);
    wire.core.discard(key);
    assert!(wire.sent().is_empty());
}

#[test]
fn an_ended_stream_gets_no_window_update() {
    let mut wire = Wire::server(window());
    let key = wire.request(1, false);
    wire.receive(data(1, 16_000, false));
    wire.receive(data(1, 300, true));
    wire.core.release(key, 16_300);
    assert!(wire.sent().is_empty());
}

#[test]
fn a_large_needed_message_gets_its_credit_in_one_update() {
    let mut wire = Wire::server(window());
    let key = wire.request(1, false);
    wire.receive(data(1, 5, false));
    let reading = Reading {
        taken: 5,
        needed: 5 + (1 << 20),
    };
    wire.core.read(key, reading);
    assert_eq!(wire.sent(), ["WINDOW_UPDATE 1 1048581"]);
    wire.core.read(key, reading);
    assert!(wire.sent().is_empty());
}

#[test]
fn more_data_than_the_streams_window_is_a_stream_error() {
    let config = Config {
        connection_window: 1 << 20,
        ..window()
    };
    let mut wire = Wire::server(config);
    wire.request(1, false);
    for _ in 0..4 {
        wire.receive(data(1, 16_384, false));
    }
    assert_eq!(
        wire.sent().last().map(String::as_str),
        Some("RST_STREAM 1 FLOW_CONTROL_ERROR")
    );
}

#[test]
fn more_data_than_the_connections_window_is_a_connection_error() {
    let config = Config {
        max_frame_size: 1 << 20,
        ..window()
    };
    let mut wire = Wire::server(config);
    wire.request(1, false);
    let error = wire.receive_error(data(1, 65_536, false));
    assert_eq!(error.code, ErrorCode::FLOW_CONTROL_ERROR);
}

#[test]
fn data_of_closed_streams_counts_against_the_connections_window() {
    let mut wire = Wire::server(window());
    let key = wire.request(1, false);
    wire.core.reset(key, ErrorCode::CANCEL);
    wire.sent();
    for _ in 0..10 {
        wire.receive(data(1, 16_384, false));
        assert_eq!(wire.sent(), ["WINDOW_UPDATE 0 16384"]);
    }
}

#[test]
fn windows_grow_when_they_limit_the_path() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, false);
    wire.receive(data(1, 16_384, false));
    assert_eq!(wire.sent(), ["WINDOW_UPDATE 0 16384", "PING 02"]);
    for _ in 0..3 {
        wire.receive(data(1, 16_000, false));
    }
    wire.sent();
    wire.pass(Duration::from_millis(10));
    assert_eq!(wire.receive(ping_ack(bdp::PING)), []);
    let expected = ["WINDOW_UPDATE 0 30465", "SETTINGS 4=96000"];
    assert_eq!(wire.sent(), expected);
    // The stream has the new window as well: 64,384 of 96,000 octets are used.
    wire.receive(data(1, 16_000, false));
    wire.receive(data(1, 15_616, false));
    wire.core.release(key, 24_000);
    let sent = wire.sent();
    assert!(
        sent.contains(&"WINDOW_UPDATE 1 24000".to_owned()),
        "{sent:?}"
    );
    assert_eq!(wire.receive(settings_ack()), [Event::SettingsAcked]);
}

#[test]
fn small_calls_are_not_measured() {
    let mut wire = Wire::server(Config::default());
    for n in 0..100 {
        let key = wire.request(2 * n + 1, false);
        wire.receive(data(2 * n + 1, 100, true));
        wire.core.reset(key, ErrorCode::NO_ERROR);
    }
    assert!(!wire.sent().iter().any(|line| line.starts_with("PING")));
}
