use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// What `grpc-message` may not carry literally: everything but 0x20 to 0x7E, and the percent sign.
/// (`percent_encode` encodes all that is not ASCII by itself.)
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// The value of `grpc-message` for a status text ("PROTOCOL-HTTP2", section Responses).
pub(crate) fn encode_message(message: &str) -> Cow<'_, str> {
    percent_encode(message.as_bytes(), ESCAPED).into()
}

/// The status text of a `grpc-message` value. Never fails: a broken escape stays as it is, and
/// bytes that are not UTF-8 become U+FFFD.
pub(crate) fn decode_message(value: &[u8]) -> String {
    percent_decode(value).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_the_protocol_says() {
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
    fn broken_escapes_and_bad_utf8_do_not_fail() {
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
