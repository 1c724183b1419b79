//! Requests and responses without errors.

use super::*;
use crate::message::HeadKind;

use super::super::SendError;

#[test]
fn a_request_consists_of_head_content_and_trailers() {
    let mut wire = Wire::server(Config::default());
    let octets = [request(1, false), data(1, 3, false), trailers(1)].concat();
    let events = wire.receive(octets);
    let [Event::Headers { key, .. }, ..] = events[..] else {
        panic!("{events:?}");
    };
    let expected = [
        Event::Headers {
            key,
            id: 1,
            kind: HeadKind::Request,
            head: ":method=POST :scheme=http :path=/s/m te=trailers".to_owned(),
            end_stream: false,
        },
        Event::Data {
            key,
            data: "xxx".into(),
            end_stream: false,
        },
        Event::Headers {
            key,
            id: 1,
            kind: HeadKind::Trailers,
            head: "grpc-status=0".to_owned(),
            end_stream: true,
        },
    ];
    assert_eq!(events, expected);
}

#[test]
fn informational_responses_may_precede_a_response() {
    let mut wire = Wire::client(Config::default());
    wire.open(0);
    let early = headers(1, &[(":status", "103")], false);
    let events = wire.receive([early.clone(), early, response(1, false), trailers(1)].concat());
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Headers { kind, .. } => *kind,
            other => panic!("{other:?}"),
        })
        .collect();
    use HeadKind::{Informational, Response, Trailers};
    assert_eq!(kinds, [Informational, Informational, Response, Trailers]);
}

#[test]
fn a_header_block_may_arrive_in_several_frames() {
    let mut wire = Wire::server(Config::default());
    let whole = block(&REQUEST);
    let (first, rest) = whole.split_at(3);
    let (second, third) = rest.split_at(1);
    let octets = [
        frame(Kind::Headers, flag::END_STREAM, 1, first),
        frame(Kind::Continuation, 0, 1, second),
        frame(Kind::Continuation, flag::END_HEADERS, 1, third),
    ];
    let events = wire.receive(octets.concat());
    assert!(
        matches!(&events[..], [Event::Headers { head, end_stream: true, .. }]
        if head == ":method=POST :scheme=http :path=/s/m te=trailers")
    );
}

#[test]
fn padding_and_priority_fields_are_removed() {
    let mut wire = Wire::server(Config::default());
    let mut payload = vec![4, 0x80, 0, 0, 7, 200];
    payload.extend_from_slice(&block(&REQUEST));
    payload.extend_from_slice(&[0; 4]);
    let flags = flag::PADDED | flag::PRIORITY | flag::END_HEADERS;
    let events = wire.receive(frame(Kind::Headers, flags, 1, payload));
    assert!(
        matches!(&events[..], [Event::Headers { head, end_stream: false, .. }]
        if head == ":method=POST :scheme=http :path=/s/m te=trailers")
    );
    let events = wire.receive(frame(
        Kind::Data,
        flag::PADDED | flag::END_STREAM,
        1,
        b"\x02abc\0\0",
    ));
    assert!(matches!(&events[..], [Event::Data { data, end_stream: true, .. }] if data == "abc"));
}

#[test]
fn frames_may_arrive_octet_by_octet() {
    let mut wire = Wire::server(Config::default());
    let mut events = Vec::new();
    for octet in [request(1, false), data(1, 3, true)].concat() {
        events.extend(wire.receive([octet]));
    }
    assert_eq!(events.len(), 2);
}

#[test]
fn content_shares_the_memory_of_the_input() {
    let mut wire = Wire::server(Config::default());
    wire.request(1, false);
    wire.input.extend_from_slice(&data(1, 5_000, true));
    let place = wire.input[Head::LEN..].as_ptr();
    let event = wire.core.next_event(&mut wire.input, wire.now);
    assert!(matches!(event, Ok(Some(Event::Data { data, .. })) if data.as_ptr() == place));
}

#[test]
fn a_repeated_block_has_the_same_meaning_until_the_table_changes() {
    let mut wire = Wire::server(Config::default());
    let indexed = |id, octets: &[u8]| {
        let mut payload = block(&REQUEST);
        payload.extend_from_slice(octets);
        let end = flag::END_HEADERS | flag::END_STREAM;
        frame(Kind::Headers, end, id, payload)
    };
    let head = |wire: &mut Wire, octets: Vec<u8>| match &wire.receive(octets)[..] {
        [Event::Headers { head, .. }] => head.clone(),
        events => panic!("{events:?}"),
    };
    // a=1 enters the table, and 0xbe is its newest entry.
    head(&mut wire, indexed(1, &[0x40, 1, b'a', 1, b'1']));
    for id in [3, 5, 7, 9] {
        assert!(head(&mut wire, indexed(id, &[0xbe])).ends_with(" a=1"));
    }
    head(&mut wire, indexed(11, &[0x40, 1, b'b', 1, b'2']));
    for id in [13, 15, 17] {
        assert!(head(&mut wire, indexed(id, &[0xbe])).ends_with(" b=2"));
    }
}

#[test]
fn a_repeated_block_is_validated_for_its_use() {
    let mut wire = Wire::server(Config::default());
    for id in [1, 3, 5] {
        wire.request(id, false);
    }
    // A request head is not valid as trailers.
    assert!(matches!(
        wire.receive(request(5, true))[..],
        [Event::StreamError { .. }]
    ));
}

#[test]
fn sending_out_of_order_is_an_error() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, true);
    let ok = trailers_block();
    let early = wire.core.send_data(key, &b"x"[..], false);
    assert_eq!(early, Err(SendError::OutOfOrder));
    assert_eq!(
        SendError::OutOfOrder.to_string(),
        "the message's parts are sent out of order"
    );
    assert_eq!(
        wire.core.send_trailers(key, &prepared(&ok)),
        Err(SendError::OutOfOrder)
    );
    wire.respond(key);
    let head = response_block();
    let twice = wire.core.send_headers(key, &prepared(&head), false);
    assert_eq!(twice, Err(SendError::OutOfOrder));
    assert_eq!(wire.core.send_trailers(key, &prepared(&ok)), Ok(()));
    let late = wire.core.send_data(key, &b"x"[..], false);
    assert_eq!(late, Err(SendError::Closed));
    assert_eq!(wire.sent(), ["HEADERS 1", "HEADERS 1 END_STREAM"]);
}

#[test]
fn no_content_may_follow_a_queued_end() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, true);
    wire.respond(key);
    assert_eq!(wire.core.send_data(key, &[0; 70_000][..], true), Ok(()));
    assert_eq!(
        wire.core.send_data(key, &b"x"[..], false),
        Err(SendError::Closed)
    );
}

#[test]
fn a_reset_drops_queued_content() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, true);
    wire.respond(key);
    assert_eq!(wire.core.send_data(key, &[0; 70_000][..], true), Ok(()));
    wire.sent();
    wire.core.reset(key, ErrorCode::CANCEL);
    assert_eq!(wire.sent(), ["RST_STREAM 1 CANCEL"]);
    wire.core.reset(key, ErrorCode::CANCEL);
    assert!(wire.sent().is_empty());
    wire.receive([window_update(0, 10_000), window_update(1, 10_000)].concat());
    assert!(wire.sent().is_empty());
}

#[test]
fn a_response_before_the_end_of_the_request_is_followed_by_a_reset() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, false);
    wire.respond(key);
    let ok = trailers_block();
    wire.core.reset_when_sent(key, ErrorCode::NO_ERROR);
    assert_eq!(wire.core.send_data(key, &[0; 65_536][..], false), Ok(()));
    assert_eq!(wire.core.send_trailers(key, &prepared(&ok)), Ok(()));
    assert!(!wire.sent().iter().any(|line| line.starts_with("RST")));
    wire.receive([window_update(0, 256), window_update(1, 256)].concat());
    let expected = ["DATA 1 1", "HEADERS 1 END_STREAM", "RST_STREAM 1 NO_ERROR"];
    assert_eq!(wire.sent(), expected);
}

#[test]
fn a_response_after_the_end_of_the_request_is_not_followed_by_a_reset() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, true);
    wire.core.reset_when_sent(key, ErrorCode::NO_ERROR);
    let head = response_block();
    assert_eq!(wire.core.send_headers(key, &prepared(&head), true), Ok(()));
    assert_eq!(wire.sent(), ["HEADERS 1 END_STREAM"]);
}

#[test]
fn a_reset_by_the_peer_is_reported_with_its_code() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, false);
    wire.core.set_value(key, 7);
    wire.input
        .extend_from_slice(&rst_stream(1, ErrorCode(0xabcd)));
    let event = wire.core.next_event(&mut wire.input, wire.now);
    let code = ErrorCode(0xabcd);
    assert_eq!(event, Ok(Some(Event::Reset { key, code })));
    assert_eq!(wire.core.take_value(key), Some(7));
    assert_eq!(wire.core.open_streams(), 0);
}

#[test]
fn streams_are_counted_by_how_they_ended() {
    let mut wire = Wire::server(Config::default());
    let head = response_block();
    let first = wire.request(1, true);
    assert_eq!(
        wire.core.send_headers(first, &prepared(&head), true),
        Ok(())
    );
    wire.request(3, true);
    wire.receive(rst_stream(3, ErrorCode::CANCEL));
    wire.request(5, true);
    let stats = wire.core.stats();
    assert_eq!(
        (
            stats.streams_opened,
            stats.streams_ended,
            stats.streams_reset
        ),
        (3, 1, 1)
    );
    assert_eq!((stats.headers_received, stats.headers_sent), (3, 1));
    assert_eq!(stats.streams_succeeded, 1);

    // A whole response to an incomplete request, followed by a reset.
    let seventh = wire.request(7, false);
    let sent = wire.core.send_headers(seventh, &prepared(&head), true);
    assert_eq!(sent, Ok(()));
    wire.core.reset(seventh, ErrorCode::NO_ERROR);
    let stats = wire.core.stats();
    assert_eq!((stats.streams_ended, stats.streams_reset), (1, 2));
    assert_eq!(stats.streams_succeeded, 2);
}

#[test]
fn the_connections_windows_are_reported() {
    let mut wire = Wire::server(Config::default());
    assert_eq!(wire.core.send_window(), 65_535);
    assert_eq!(wire.core.receive_window(), 65_535);
    let key = wire.request(1, false);
    wire.receive(data(1, 1_000, false));
    assert_eq!(wire.core.receive_window(), 64_535);
    wire.core.discard(key);
    let head = response_block();
    let headers = wire.core.send_headers(key, &prepared(&head), false);
    assert_eq!(headers, Ok(()));
    let body = wire.core.send_data(key, &b"0123456789"[..], false);
    assert_eq!(body, Ok(()));
    assert_eq!(wire.core.send_window(), 65_525);
}

#[test]
fn content_and_pings_are_counted() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, false);
    let padded = frame(Kind::Data, flag::PADDED, 1, [3, b'a', b'b', 0, 0, 0]);
    wire.receive([padded, data(1, 100, false), data(1, 0, true)].concat());
    wire.respond(key);
    assert_eq!(wire.core.send_data(key, &[0; 70][..], true), Ok(()));
    wire.receive(ping([1; 8]));
    wire.core.ping([2; 8]);
    wire.receive(ping_ack([2; 8]));
    let stats = wire.core.stats();
    assert_eq!(
        (stats.data_frames_received, stats.octets_received),
        (2, 102)
    );
    assert_eq!((stats.data_frames_sent, stats.octets_sent), (1, 70));
    assert_eq!((stats.pings_received, stats.pings_sent), (1, 1));
    assert_eq!(wire.core.queued(key), 0);
}

#[test]
fn an_idle_connection_frees_memory_and_continues() {
    let mut wire = Wire::server(Config::default());
    let old = wire.request(1, true);
    let (head, ok) = (response_block(), trailers_block());
    let reply = wire
        .core
        .reply(old, &prepared(&head), &b"x"[..], &prepared(&ok));
    assert_eq!(reply, Ok(()));
    wire.sent();
    wire.core.shrink();
    let new = wire.request(3, true);
    assert_ne!(old, new);
    assert_eq!(
        wire.core.set_value(old, 1),
        Some(1),
        "the old key is still invalid"
    );
    wire.respond(new);
    assert_eq!(wire.sent(), ["HEADERS 3"]);
}
