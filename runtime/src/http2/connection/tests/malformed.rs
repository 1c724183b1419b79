//! What breaks RFC 9113, and how far the answer reaches.

use super::*;

/// What the connection is when the offending frames come.
#[derive(Clone, Copy, Debug)]
enum Given {
    /// Nothing has been asked for.
    NoStream,
    /// Stream 1 is open.
    Open,
    /// The client has ended stream 1; the server has not answered.
    HalfClosedRemote,
    /// Stream 1 has ended in both directions.
    Ended,
    /// The client has reset stream 1.
    ResetByPeer,
    /// The server has reset stream 1.
    ResetLocally,
}

impl Given {
    fn server(self) -> Wire {
        let mut wire = Wire::server(Config::default());
        match self {
            Self::NoStream => {}
            Self::Open => drop(wire.request(1, false)),
            Self::HalfClosedRemote => drop(wire.request(1, true)),
            Self::Ended => {
                let key = wire.request(1, true);
                let head = response_block();
                let sent = wire.core.send_headers(key, &prepared(&head), true);
                assert_eq!(sent, Ok(()));
            }
            Self::ResetByPeer => {
                wire.request(1, false);
                wire.receive(rst_stream(1, ErrorCode::CANCEL));
            }
            Self::ResetLocally => {
                let key = wire.request(1, false);
                wire.core.reset(key, ErrorCode::CANCEL);
            }
        }
        wire.sent();
        wire
    }
}

fn continuation(id: u32, flags: u8, fragment: &[u8]) -> Vec<u8> {
    frame(Kind::Continuation, flags, id, fragment)
}

fn open_headers(id: u32) -> Vec<u8> {
    frame(Kind::Headers, 0, id, &block(&REQUEST)[..2])
}

#[test]
fn connection_errors_are_answered_with_the_code_of_the_rfc() {
    use ErrorCode as Code;
    use Given::{Ended, NoStream, Open};
    let padded = flag::PADDED | flag::END_HEADERS;
    let table: Vec<(&str, Given, Vec<u8>, ErrorCode)> = vec![
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
            "5.1.1: a stream id lower than one before",
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
            "6.9.2: a stream's window beyond it by SETTINGS",
            Open,
            [
                window_update(1, (1 << 31) - 1 - 65_535),
                settings(&[(4, 65_536)]),
            ]
            .concat(),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "6.10: CONTINUATION of no block",
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
fn stream_errors_are_answered_with_the_code_of_the_rfc_and_leave_the_connection_alone() {
    use ErrorCode as Code;
    use Given::{HalfClosedRemote, NoStream, Open, ResetByPeer};
    let more = |fields: &[(&'static str, &'static str)]| {
        headers(1, &[&REQUEST[..], fields].concat(), true)
    };
    let priority_of_itself = {
        let payload = [&[0, 0, 0, 1, 16][..], &block(&REQUEST)].concat();
        frame(
            Kind::Headers,
            flag::PRIORITY | flag::END_HEADERS,
            1,
            payload,
        )
    };
    let table: Vec<(&str, Given, Vec<u8>, ErrorCode)> = vec![
        (
            "5.1: DATA after END_STREAM",
            HalfClosedRemote,
            data(1, 1, false),
            Code::STREAM_CLOSED,
        ),
        (
            "5.1: HEADERS after END_STREAM",
            HalfClosedRemote,
            trailers(1),
            Code::STREAM_CLOSED,
        ),
        (
            "5.1: DATA after RST_STREAM",
            ResetByPeer,
            data(1, 1, false),
            Code::STREAM_CLOSED,
        ),
        (
            "5.1: HEADERS after RST_STREAM",
            ResetByPeer,
            trailers(1),
            Code::STREAM_CLOSED,
        ),
        (
            "6.3: PRIORITY not of 5 octets",
            Open,
            frame(Kind::Priority, 0, 1, [0; 4]),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "RFC 7540 5.3.1: PRIORITY on itself",
            Open,
            frame(Kind::Priority, 0, 1, [0, 0, 0, 1, 16]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "RFC 7540 5.3.1: HEADERS on itself",
            NoStream,
            priority_of_itself,
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.9: WINDOW_UPDATE of 0",
            Open,
            window_update(1, 0),
            Code::PROTOCOL_ERROR,
        ),
        (
            "6.9.1: the window beyond 2^31-1",
            Open,
            window_update(1, (1 << 31) - 1),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "8.1: trailers without END_STREAM",
            Open,
            headers(1, &[("a", "b")], false),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.1.1: more content than content-length",
            NoStream,
            [
                headers(
                    1,
                    &[&REQUEST[..], &[("content-length", "1")]].concat(),
                    false,
                ),
                data(1, 2, true),
            ]
            .concat(),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.1.1: less content than content-length",
            NoStream,
            [
                headers(
                    1,
                    &[&REQUEST[..], &[("content-length", "3")]].concat(),
                    false,
                ),
                data(1, 2, true),
            ]
            .concat(),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.1.1: less content, ended by trailers",
            NoStream,
            [
                headers(
                    1,
                    &[&REQUEST[..], &[("content-length", "3")]].concat(),
                    false,
                ),
                trailers(1),
            ]
            .concat(),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.1.1: no content",
            NoStream,
            more(&[("content-length", "3")]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.2.1: an upper-case name",
            NoStream,
            more(&[("Name", "x")]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.2.2: a connection-specific field",
            NoStream,
            more(&[("connection", "close")]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.2.2: te other than trailers",
            NoStream,
            headers(
                1,
                &[
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", "/"),
                    ("te", "gzip"),
                ],
                true,
            ),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.3: a pseudo-header field after a regular one",
            NoStream,
            more(&[(":authority", "a")]),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.3: a pseudo-header field in trailers",
            Open,
            headers(1, &[(":status", "200")], true),
            Code::PROTOCOL_ERROR,
        ),
        (
            "8.3.1: no path",
            NoStream,
            headers(1, &[(":method", "POST"), (":scheme", "http")], true),
            Code::PROTOCOL_ERROR,
        ),
    ];
    for (name, given, octets, code) in table {
        let mut wire = given.server();
        wire.receive(octets);
        let expected = format!("RST_STREAM 1 {code}");
        assert_eq!(wire.sent(), [expected], "{name}");
        // The connection goes on, its compression state intact.
        wire.request(3, true);
        assert_eq!(wire.core.open_streams(), 1, "{name}");
    }
}

#[test]
fn a_stream_error_is_told_to_the_owner_of_the_stream() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, false);
    let events = wire.receive(window_update(1, 0));
    let expected = Event::StreamError {
        key,
        code: ErrorCode::PROTOCOL_ERROR,
        reason: "WINDOW_UPDATE of 0",
    };
    assert_eq!(events, [expected]);
}

#[test]
fn late_frames_of_a_stream_that_we_reset_are_ignored() {
    let mut wire = Given::ResetLocally.server();
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
    let mut wire = Given::Ended.server();
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
fn a_client_that_is_no_http2_client_is_refused() {
    for octets in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX"] {
        let mut wire = Wire::with(Connection::server(Config::default(), read_head));
        assert_eq!(wire.receive_error(octets).code, ErrorCode::PROTOCOL_ERROR);
    }
}

#[test]
fn a_preface_may_come_octet_by_octet() {
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
fn the_first_frame_has_to_be_settings() {
    for octets in [ping([0; 8]), settings_ack(), request(1, true)] {
        let mut wire = Wire::with(Connection::server(Config::default(), read_head));
        wire.receive(PREFACE);
        assert_eq!(wire.receive_error(octets).code, ErrorCode::PROTOCOL_ERROR);
    }
}

#[test]
fn a_frame_too_long_is_refused_before_it_has_arrived() {
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

#[test]
fn malformed_responses_are_stream_errors() {
    let table: [(&str, Vec<u8>); 6] = [
        ("DATA before HEADERS", data(1, 1, false)),
        ("no status", headers(1, &[("a", "b")], false)),
        (
            "an informational response with END_STREAM",
            headers(1, &[(":status", "100")], true),
        ),
        (
            "trailers without END_STREAM",
            [response(1, false), headers(1, &[("a", "b")], false)].concat(),
        ),
        ("a request", headers(1, &REQUEST, false)),
        (
            "no content where some is announced",
            headers(1, &[(":status", "200"), ("content-length", "5")], true),
        ),
    ];
    for (name, octets) in table {
        let mut wire = Wire::client(Config::default());
        let key = wire.open(0);
        wire.sent();
        let events = wire.receive(octets);
        assert!(
            matches!(events.last(), Some(Event::StreamError { key: of, .. }) if *of == key),
            "{name}: {events:?}"
        );
        assert_eq!(wire.sent(), ["RST_STREAM 1 PROTOCOL_ERROR"], "{name}");
    }
}
