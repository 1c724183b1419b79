//! The encoding of `-bin` values on the wire: base64, sent without padding, accepted with and
//! without it.
//!
//! Called by the engines when they read and write header fields.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Encodes a value for a header field.
pub(crate) fn encode_value(value: &[u8]) -> Bytes {
    encode(value).into()
}

/// Encodes a value for a header field, as text.
pub(super) fn encode(value: &[u8]) -> String {
    BASE64.encode(value)
}

/// Decodes a single value. Returns `None` if it is not base64.
pub(super) fn decode(value: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(value.trim_ascii()).ok()
}

/// Decodes the values of one field, which may be several, joined by commas ("PROTOCOL-HTTP2",
/// Custom-Metadata). An item is `None` if it is not base64.
pub(crate) fn decode_values(field: &[u8]) -> impl Iterator<Item = Option<Bytes>> {
    field
        .split(|&byte| byte == b',')
        .map(|value| decode(value).map(Bytes::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_sent_without_padding() {
        assert_eq!(encode_value(&[0xab, 0xab, 0xab, 0xab]), "q6urqw");
        assert_eq!(encode_value(&[]), "");
    }

    #[test]
    fn padded_unpadded_and_joined_values_are_accepted() {
        for (field, expected) in [
            ("q6urqw", vec![Some(vec![0xab; 4])]),
            ("q6urqw==", vec![Some(vec![0xab; 4])]),
            ("", vec![Some(vec![])]),
            ("AQ, Ag==", vec![Some(vec![1]), Some(vec![2])]),
            ("AQ,!", vec![Some(vec![1]), None]),
        ] {
            let values: Vec<_> = decode_values(field.as_bytes())
                .map(|value| value.map(|value| value.to_vec()))
                .collect();
            assert_eq!(values, expected, "{field}");
        }
    }
}
