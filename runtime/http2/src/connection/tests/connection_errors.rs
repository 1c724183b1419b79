//! Connection errors, and frames that are not errors (RFC 9113 section 5.4.1).

use super::initial_state::InitialState;
use super::*;

fn continuation(id: u32, flags: u8, fragment: &[u8]) -> Vec<u8> {
    frame(Kind::Continuation, flags, id, fragment)
}

fn open_headers(id: u32) -> Vec<u8> {
    frame(Kind::Headers, 0, id, &block(&REQUEST)[..2])
}

#[test]
fn connection_errors_cause_goaway_with_the_code_of_the_rfc() {
    use ErrorCode as Code;
    use InitialState::{Ended, NoStream, Open};
    let padded = flag::PADDED | flag::END_HEADERS;
    let table: Vec<(&str, InitialState, Vec<u8>, ErrorCode)> = vec![
        (
            "4.2: a frame longer than MAX_FRAME_SIZE",
            Open,
            data(1, 16_385, false),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "4.3: a block that cannot be decoded",
            NoStream,
            frame(Kind::Headers, flag::END_HEADERS, 1, [0xff, 0xff]),
            Code::COMPRESSION_ERROR,
        ),
        (
            "5.1: DATA on an idle stream",
            NoStream,
            data(1, 1, false),
            Code::PROTOCOL_ERROR,
        ),
        (
            "5.1: RST_STREAM on an idle stream",
            NoStream,
            rst_stream(1, Code::CANCEL),
            Code::PROTOCOL_ERROR,
        ),
        (
            "5.1: WINDOW_UPDATE on an idle stream",
            NoStream,
            window_update(1, 1),
            Code::PROTOCOL_ERROR,
        ),
        (
            "5.1: DATA after END_STREAM in both directions",
            Ended,
            data(1, 1, false),
            Code::STREAM_CLOSED,
        ),
        (
            "5.1: HEADERS after END_STREAM in both directions",
            Ended,
            request(1, true),
            Code::STREAM_CLOSED,
        ),
        (
            "5.1.1: an even stream id from a client",
            NoStream,
            request(2, true),
            Code::PROTOCOL_ERROR,
        ),
        (
            "5.1.1: a stream id lower than a previous one",
            NoStream,
            [request(5, true), request(3, true)].concat(),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.1: DATA on stream 0",
            Open,
            data(0, 1, false),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.1: padding longer than the frame",
            Open,
            frame(Kind::Data, flag::PADDED, 1, [3, 0, 0]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.1: padded without a pad length",
            Open,
            frame(Kind::Data, flag::PADDED, 1, []),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "6.2: HEADERS on stream 0",
            NoStream,
            request(0, true),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.2: padding longer than the frame",
            NoStream,
            frame(Kind::Headers, padded, 1, [200, 0x83]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.2: too short for priority fields",
            NoStream,
            frame(
                Kind::Headers,
                flag::PRIORITY | flag::END_HEADERS,
                1,
                [0, 0, 0],
            ),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "6.3: PRIORITY on stream 0",
            NoStream,
            frame(Kind::Priority, 0, 0, [0; 5]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.4: RST_STREAM on stream 0",
            NoStream,
            rst_stream(0, Code::CANCEL),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.4: RST_STREAM not of 4 octets",
            Open,
            frame(Kind::RstStream, 0, 1, [0; 3]),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "6.5: SETTINGS on a stream",
            Open,
            frame(Kind::Settings, 0, 1, []),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.5: acknowledgement with a payload",
            NoStream,
            frame(Kind::Settings, flag::ACK, 0, [0; 6]),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "6.5: SETTINGS not of a multiple of 6",
            NoStream,
            frame(Kind::Settings, 0, 0, [0; 7]),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "6.5.2: ENABLE_PUSH of 2",
            NoStream,
            settings(&[(2, 2)]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.5.2: INITIAL_WINDOW_SIZE of 2^31",
            NoStream,
            settings(&[(4, 1 << 31)]),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "6.5.2: MAX_FRAME_SIZE of 16,383",
            NoStream,
            settings(&[(5, 16_383)]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.5.2: MAX_FRAME_SIZE of 2^24",
            NoStream,
            settings(&[(5, 1 << 24)]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.6: PUSH_PROMISE",
            Open,
            frame(Kind::PushPromise, flag::END_HEADERS, 1, [0, 0, 0, 2]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.7: PING on a stream",
            Open,
            frame(Kind::Ping, 0, 1, [0; 8]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.7: PING not of 8 octets",
            NoStream,
            frame(Kind::Ping, 0, 0, [0; 7]),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "6.8: GOAWAY on a stream",
            Open,
            frame(Kind::GoAway, 0, 1, [0; 8]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.8: GOAWAY of fewer than 8 octets",
            NoStream,
            frame(Kind::GoAway, 0, 0, [0; 7]),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "6.9: WINDOW_UPDATE not of 4 octets",
            Open,
            frame(Kind::WindowUpdate, 0, 1, [0; 3]),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "6.9: WINDOW_UPDATE of 0 on the connection",
            NoStream,
            window_update(0, 0),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.9.1: the connection's window beyond 2^31-1",
            NoStream,
            window_update(0, (1 << 31) - 1),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "6.9.2: a stream's window beyond 2^31-1 by SETTINGS",
            Open,
            [
                window_update(1, (1 << 31) - 1 - 65_535),
                settings(&[(4, 65_536)]),
            ]
            .concat(),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "6.10: CONTINUATION without a block",
            Open,
            continuation(1, flag::END_HEADERS, &[]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.10: CONTINUATION on stream 0",
            Open,
            continuation(0, flag::END_HEADERS, &[]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.10: CONTINUATION of another stream",
            NoStream,
            [open_headers(1), continuation(3, flag::END_HEADERS, &[])].concat(),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.10: another frame within a block",
            NoStream,
            [open_headers(1), ping([0; 8])].concat(),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.10: an unknown frame within a block",
            NoStream,
            [open_headers(1), frame(Kind::Unknown(0x77), 0, 1, [])].concat(),
            Code::PROTOCOL_ERROR,
        ),
    ];
    for (name, given, octets, code) in table {
        let mut wire = given.server();
        assert_eq!(wire.receive_error(octets).code, code, "{name}");
    }
}

#[test]
fn late_frames_of_a_stream_that_we_reset_are_ignored() {
    let mut wire = InitialState::ResetLocally.server();
    for octets in [
        data(1, 10, false),
        window_update(1, 10),
        trailers(1),
        rst_stream(1, ErrorCode::CANCEL),
        frame(Kind::Priority, 0, 1, [0; 5]),
    ] {
        assert_eq!(wire.receive(octets), []);
    }
    assert!(wire.sent().is_empty());
}

#[test]
fn window_updates_and_resets_of_a_stream_that_has_ended_are_ignored() {
    let mut wire = InitialState::Ended.server();
    assert_eq!(wire.receive(window_update(1, 10)), []);
    assert_eq!(wire.receive(rst_stream(1, ErrorCode::CANCEL)), []);
    assert!(wire.sent().is_empty());
}

#[test]
fn frames_of_unknown_types_and_unknown_flags_are_ignored() {
    let mut wire = Wire::server(Config::default());
    assert_eq!(
        wire.receive(frame(Kind::Unknown(0xbe), 0xff, 7, b"anything")),
        []
    );
    assert_eq!(
        wire.receive(ping([7; 8])),
        [Event::Ping { payload: [7; 8] }]
    );
    let key = wire.request(1, false);
    let events = wire.receive(frame(Kind::Data, !flag::PADDED, 1, b"x"));
    assert!(matches!(&events[..], [Event::Data { key: of, .. }] if *of == key));
}

#[test]
fn a_client_without_the_preface_is_refused() {
    for octets in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX"] {
        let mut wire = Wire::with(Connection::server(Config::default(), read_head));
        assert_eq!(wire.receive_error(octets).code, ErrorCode::PROTOCOL_ERROR);
    }
}

#[test]
fn a_preface_may_arrive_octet_by_octet() {
    let mut wire = Wire::with(Connection::server(Config::default(), read_head));
    for octet in PREFACE {
        assert_eq!(wire.receive([*octet]), []);
    }
    for octet in settings(&[]) {
        let events = wire.receive([octet]);
        assert!(events.is_empty() || events == [Event::PeerSettings]);
    }
    assert_eq!(wire.sent(), ["SETTINGS", "SETTINGS ACK"]);
}

#[test]
fn the_first_frame_must_be_settings() {
    for octets in [ping([0; 8]), settings_ack(), request(1, true)] {
        let mut wire = Wire::with(Connection::server(Config::default(), read_head));
        wire.receive(PREFACE);
        assert_eq!(wire.receive_error(octets).code, ErrorCode::PROTOCOL_ERROR);
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_before_its_payload_arrives() {
    let mut wire = Wire::server(Config::default());
    let head = Head::new(Kind::Data, 0, 1, 16_385);
    assert_eq!(
        wire.receive_error(head.octets()).code,
        ErrorCode::FRAME_SIZE_ERROR
    );
}

#[test]
fn a_server_may_not_open_streams_on_a_client() {
    let mut wire = Wire::client(Config::default());
    assert_eq!(
        wire.receive_error(response(2, true)).code,
        ErrorCode::PROTOCOL_ERROR
    );
    let mut wire = Wire::client(Config::default());
    assert_eq!(
        wire.receive_error(response(1, true)).code,
        ErrorCode::PROTOCOL_ERROR
    );
    let mut wire = Wire::client(Config::default());
    wire.open(0);
    let promise = frame(Kind::PushPromise, flag::END_HEADERS, 1, [0, 0, 0, 2]);
    assert_eq!(wire.receive_error(promise).code, ErrorCode::PROTOCOL_ERROR);
}
