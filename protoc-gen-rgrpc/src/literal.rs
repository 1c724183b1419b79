//! Byte string literals with lines of a readable length.
//!
//! Called by the generator for the embedded descriptors.

use std::ascii;

use proc_macro2::Literal;

/// The approximate length of a line of the literal.
const LINE: usize = 100;

/// Returns `bytes` as a byte string literal over several lines.
pub(crate) fn byte_string(bytes: &[u8]) -> Literal {
    let text = source(bytes);
    // The source is a valid literal by construction. Without line breaks it would have the same
    // value.
    text.parse().unwrap_or_else(|_| Literal::byte_string(bytes))
}

fn source(bytes: &[u8]) -> String {
    let mut text = String::from("b\"");
    let mut length = 0;
    for byte in bytes {
        if length >= LINE {
            text.push_str("\\\n");
            length = 0;
        }
        // After a line break, leading blanks are not part of the value.
        let escaped = match byte {
            b' ' if length == 0 => "\\x20".to_owned(),
            _ => ascii::escape_default(*byte).to_string(),
        };
        length += escaped.len();
        text.push_str(&escaped);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_round_trips() {
        let spaces = vec![b' '; 3 * LINE];
        let all: Vec<u8> = (0..=255).cycle().take(2_000).collect();
        for bytes in [&b""[..], b"\"\\\n\t'", &spaces, &all] {
            let literal: syn::LitByteStr = syn::parse_str(&source(bytes)).expect("a byte string");
            assert_eq!(literal.value(), bytes);
            assert!(source(bytes).lines().all(|line| line.len() <= LINE + 8));
        }
    }
}
