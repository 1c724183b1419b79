//! Peers that do not speak HTTP/2 in plain text, recognised by the first octets that they send.
//!
//! The error of a user with a wrong port, or with credentials for the other kind of server, names
//! the protocol of the peer, not the meaning of its octets as a frame. The connection's task asks when it
//! ends.

use crate::disconnect_reason::OtherProtocol;

/// The number of first octets that are inspected: a status line with a usual reason.
pub(crate) const MAX_FIRST_OCTETS: usize = 64;

impl OtherProtocol {
    /// Recognises the protocol of a server by its first octets. Returns `None` if it may be HTTP/2.
    pub(crate) fn of_server(octets: &[u8]) -> Option<Self> {
        if octets.starts_with(b"HTTP/1") {
            return Some(Self::Http1(first_line(octets).into()));
        }
        is_tls(octets).then_some(Self::Tls)
    }

    /// Recognises the protocol of a client by its first octets. Returns `None` if it is unknown.
    pub(crate) fn of_client(octets: &[u8]) -> Option<Self> {
        let line = first_line(octets);
        let is_http1 = line.split(' ').next_back() == Some("HTTP/1.1")
            || ["GET ", "HEAD ", "POST ", "PUT ", "OPTIONS ", "CONNECT "]
                .iter()
                .any(|method| line.starts_with(method));
        if is_http1 {
            return Some(Self::Http1(line.into()));
        }
        is_tls(octets).then_some(Self::Tls)
    }
}

/// Returns the first line as far as it was received, without characters that are not ASCII.
fn first_line(octets: &[u8]) -> String {
    let octets = &octets[..octets.len().min(MAX_FIRST_OCTETS)];
    let line = octets.split(|octet| matches!(octet, b'\r' | b'\n')).next();
    line.unwrap_or_default()
        .iter()
        .map(|octet| match octet {
            0x20..=0x7e => char::from(*octet),
            _ => '\u{fffd}',
        })
        .collect()
}

/// Returns whether the octets begin as a TLS record: the type and the version, 3.x.
fn is_tls(octets: &[u8]) -> bool {
    matches!(octets, [0x14..=0x17, 3, 0..=4, ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disconnect_reason::DisconnectReason;
    use crate::side::Side;

    fn text(other: OtherProtocol, side: Side) -> String {
        DisconnectReason::OtherProtocol(other).at(side).to_string()
    }

    #[test]
    fn a_server_that_does_not_speak_http_2_is_recognised() {
        for (octets, text) in [
            (
                &b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n"[..],
                "the server speaks HTTP/1, not HTTP/2: it answered \"HTTP/1.1 400 Bad Request\"",
            ),
            (
                b"HTTP/1.0 4",
                "the server speaks HTTP/1, not HTTP/2: it answered \"HTTP/1.0 4\"",
            ),
            (
                b"\x15\x03\x01\x00\x02\x02\x46",
                "the server speaks TLS, not plain text: it answered with a TLS record",
            ),
        ] {
            let other = OtherProtocol::of_server(octets).expect("recognised");
            assert_eq!(self::text(other, Side::Client), text);
        }
        for octets in [
            &b""[..],
            b"HTTP",
            b"\x00\x00\x06\x04\x00\x00\x00\x00\x00",
            b"SSH-2.0",
        ] {
            assert_eq!(OtherProtocol::of_server(octets), None, "{octets:?}");
        }
    }

    #[test]
    fn a_client_that_does_not_speak_http_2_is_recognised() {
        for (octets, text) in [
            (
                &b"GET / HTTP/1.1\r\nHost: x\r\n"[..],
                "the client speaks HTTP/1, not HTTP/2: it sent \"GET / HTTP/1.1\"",
            ),
            (
                b"POST /a.B/C HTTP/1.0",
                "the client speaks HTTP/1, not HTTP/2: it sent \"POST /a.B/C HTTP/1.0\"",
            ),
            (
                b"\x16\x03\x01\x02\x00\x01",
                "the client speaks TLS, and the server is in plain text; the server's option is \
                 credentials",
            ),
        ] {
            let other = OtherProtocol::of_client(octets).expect("recognised");
            assert_eq!(self::text(other, Side::Server), text);
        }
        for octets in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00"] {
            assert_eq!(OtherProtocol::of_client(octets), None, "{octets:?}");
        }
    }

    #[test]
    fn a_line_of_any_length_and_content_is_shown_in_short() {
        let mut octets = b"HTTP/1.1 \x00\xff".to_vec();
        octets.extend([b'x'; 10_000]);
        let other = OtherProtocol::of_server(&octets).expect("recognised");
        assert!(text(other, Side::Client).len() < 200);
    }
}
