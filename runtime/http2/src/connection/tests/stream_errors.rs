//! Stream errors, which do not affect the connection (RFC 9113 section 5.4.2).

use super::initial_state::InitialState;
use super::*;

#[test]
fn stream_errors_cause_the_code_of_the_rfc_and_do_not_affect_the_connection() {
    use ErrorCode as Code;
    use InitialState::{HalfClosedRemote, NoStream, Open, ResetByPeer};
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
    let table: Vec<(&str, InitialState, Vec<u8>, ErrorCode)> = vec![
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
        // The connection continues, and its compression state is intact.
        wire.request(3, true);
        assert_eq!(wire.core.open_streams(), 1, "{name}");
    }
}

#[test]
fn a_stream_error_is_reported_to_the_owner() {
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
            "no content after a content-length",
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
