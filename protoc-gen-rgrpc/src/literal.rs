//! Bytes as a literal that a reader, a diff and an editor can bear.

use std::ascii;

use proc_macro2::Literal;

/// How long a line of the literal becomes, about.
const LINE: usize = 100;

/// `bytes` as a byte string over several lines.
pub(crate) fn byte_string(bytes: &[u8]) -> Literal {
    let text = source(bytes);
    // The source is a valid literal by construction; without line breaks it would be the same
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
        // After a broken line, blanks in front are not part of the value.
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
    fn the_literal_reads_back_as_the_same_bytes() {
        let spaces = vec![b' '; 3 * LINE];
        let all: Vec<u8> = (0..=255).cycle().take(2_000).collect();
        for bytes in [&b""[..], b"\"\\\n\t'", &spaces, &all] {
            let literal: syn::LitByteStr = syn::parse_str(&source(bytes)).expect("a byte string");
            assert_eq!(literal.value(), bytes);
            assert!(source(bytes).lines().all(|line| line.len() <= LINE + 8));
        }
    }
}
