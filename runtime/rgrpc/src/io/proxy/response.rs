//! The response of a proxy to CONNECT: the head of an HTTP/1 response (RFC 9112, section 2).
//!
//! Called by the proxy's dialer, on the task of the attempt to connect.

/// The maximum size of a head, in bytes.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// The maximum length of a reason phrase in an error, in characters.
const MAX_REASON: usize = 100;

const BEGIN: &[u8] = b"HTTP/1.";
const END: &[u8] = b"\r\n\r\n";

/// The relevant parts of a response's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// The reason phrase: printable, possibly empty.
    pub(super) reason: String,
}

/// Returns the number of bytes of `next` that belong to the head that begins with `begun`, and
/// whether the head ends there. The bytes after it belong to the server behind the proxy.
pub(super) fn take(begun: &[u8], next: &[u8]) -> (usize, bool) {
    // `begun` may hold a part of the end marker.
    let overlap = begun.len().min(END.len() - 1);
    let mut window = begun[begun.len() - overlap..].to_vec();
    window.extend_from_slice(next);
    match window.windows(END.len()).position(|bytes| bytes == END) {
        Some(at) => (at + END.len() - overlap, true),
        None => (next.len(), false),
    }
}

/// Returns whether these first bytes can begin a response.
pub(super) fn may_be_http(begun: &[u8]) -> bool {
    let length = begun.len().min(BEGIN.len());
    begun[..length] == BEGIN[..length]
}

/// Parses a whole head. Returns `None` if it is malformed.
pub(super) fn parse(head: &[u8]) -> Option<Response> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = line.strip_prefix(BEGIN)?;
    let (minor, rest) = line.split_first()?;
    let status = rest.strip_prefix(b" ")?;
    let (status, reason) = status.split_at_checked(3)?;
    let digits = minor.is_ascii_digit() && status.iter().all(u8::is_ascii_digit);
    let ends = reason.is_empty() || reason.starts_with(b" ");
    if !digits || !ends {
        return None;
    }
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    let reason = String::from_utf8_lossy(reason);
    let reason = reason.trim().chars().take(MAX_REASON);
    Some(Response {
        status,
        reason: reason.flat_map(char::escape_debug).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line_and_excludes_the_bytes_after_it() {
        for (begun, next, taken) in [
            ("", "HTTP/1.1 200 OK\r\n\r\nabc", (19, true)),
            ("", "HTTP/1.1 200 OK\r\n", (17, false)),
            ("HTTP/1.1 200 OK\r\n", "\r\nabc", (2, true)),
            ("HTTP/1.1 200 OK\r\n\r", "\nabc", (1, true)),
            ("HTTP/1.1 200 OK\r", "\n\r\n\r\n", (3, true)),
            ("HTTP/1.1 200 OK\r\n", "a: b\r\n", (6, false)),
            ("\r", "\n", (1, false)),
            ("a", "", (0, false)),
        ] {
            assert_eq!(
                take(begun.as_bytes(), next.as_bytes()),
                taken,
                "{begun:?} {next:?}"
            );
        }
    }

    #[test]
    fn a_response_begins_with_the_http_version() {
        for (begun, expected) in [
            ("", true),
            ("H", true),
            ("HTTP/1.1 200 OK", true),
            ("HTTP/2", false),
            ("hTTP/1.", false),
            ("\0\0\x12\x04", false),
            ("SSH-2.0", false),
        ] {
            assert_eq!(may_be_http(begun.as_bytes()), expected, "{begun:?}");
        }
    }

    #[test]
    fn a_status_line_has_a_status_and_a_reason() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some((200, "OK"))),
            ("HTTP/1.0 200\r\n\r\n", Some((200, ""))),
            ("HTTP/1.1 200 \r\na: b\r\n\r\n", Some((200, ""))),
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                Some((407, "Proxy Authentication Required")),
            ),
            ("HTTP/1.1 502 \x1b[2J\r\n\r\n", Some((502, "\\u{1b}[2J"))),
            ("HTTP/1.1 20\r\n\r\n", None),
            ("HTTP/1.1 2000\r\n\r\n", None),
            ("HTTP/1.1 +20 OK\r\n\r\n", None),
            ("HTTP/1.1\r\n\r\n", None),
            ("HTTP/1.x 200 OK\r\n\r\n", None),
            ("HTTP/2 200\r\n\r\n", None),
            ("\r\n\r\n", None),
        ] {
            let response = parse(head.as_bytes());
            let response = response.as_ref().map(|r| (r.status, &*r.reason));
            assert_eq!(response, expected, "{head:?}");
        }
        let long = format!("HTTP/1.1 502 {}\r\n\r\n", "x".repeat(1000));
        let reason = parse(long.as_bytes()).expect("a head").reason;
        assert_eq!(reason.len(), MAX_REASON);
    }
}
