//! The form of a status text on the wire, in `grpc-message`.
//!
//! Called by the engines when they write and read trailers.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// The ASCII characters that `grpc-message` escapes: controls and the percent sign.
/// (`percent_encode` escapes everything that is not ASCII by itself.)
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Encodes a status text as a value of `grpc-message` ("PROTOCOL-HTTP2", section Responses).
pub(crate) fn encode_message(message: &str) -> Cow<'_, str> {
    percent_encode(message.as_bytes(), ESCAPED).into()
}

/// Decodes a value of `grpc-message`. It never fails: an invalid escape is kept, and bytes that are
/// not UTF-8 become U+FFFD.
pub(crate) fn decode_message(value: &[u8]) -> String {
    percent_decode(value).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_percent_encoded() {
        for (text, wire) in [
            ("", ""),
            ("plain ~ text", "plain ~ text"),
            ("100%", "100%25"),
            ("a\tb\r\nc", "a%09b%0D%0Ac"),
            ("\u{7f}", "%7F"),
            ("☺ 😈", "%E2%98%BA %F0%9F%98%88"),
        ] {
            assert_eq!(encode_message(text), wire);
            assert_eq!(decode_message(wire.as_bytes()), text);
        }
    }

    #[test]
    fn invalid_escapes_and_invalid_utf8_do_not_fail() {
        for (wire, text) in [
            (&b"%"[..], "%"),
            (b"%2", "%2"),
            (b"%zz%25", "%zz%"),
            (b"a%FFb", "a\u{fffd}b"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(decode_message(wire), text);
        }
    }
}
