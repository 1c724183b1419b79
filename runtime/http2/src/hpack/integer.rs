//! Integers with a prefix (RFC 7541 section 5.1).

/// An error in an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntegerError {
    /// The block ends within the integer.
    Truncated,
    /// The integer has too many octets.
    TooLarge,
}

/// The maximum number of octets after the prefix. Their 28 bits are enough for every valid length
/// and index.
const MAX_OCTETS: usize = 4;

/// Decodes an integer whose prefix is the low `prefix_bits` of the first octet. Returns the integer
/// and the rest of the input.
#[inline]
pub(super) fn decode(input: &[u8], prefix_bits: u32) -> Result<(usize, &[u8]), IntegerError> {
    let Some((&first, mut rest)) = input.split_first() else {
        return Err(IntegerError::Truncated);
    };
    let mask = (1_usize << prefix_bits) - 1;
    let mut value = usize::from(first) & mask;
    if value < mask {
        return Ok((value, rest));
    }
    for octet_index in 0..MAX_OCTETS {
        let Some((&octet, after)) = rest.split_first() else {
            return Err(IntegerError::Truncated);
        };
        rest = after;
        value += (usize::from(octet) & 0x7f) << (7 * octet_index);
        if octet & 0x80 == 0 {
            return Ok((value, rest));
        }
    }
    Err(IntegerError::TooLarge)
}

/// Appends an encoded integer. `pattern` contains the bits of the first octet above the prefix.
#[inline]
pub(super) fn encode(value: usize, prefix_bits: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1_usize << prefix_bits) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appendix_c1_integers_are_encoded_and_decoded() {
        let table: [(usize, u32, &[u8]); 5] = [
            (10, 5, &[0x0a]),
            (1_337, 5, &[0x1f, 0x9a, 0x0a]),
            (42, 8, &[0x2a]),
            (30, 5, &[0x1e]),
            (31, 5, &[0x1f, 0x00]),
        ];
        for (value, prefix_bits, octets) in table {
            let mut out = Vec::new();
            encode(value, prefix_bits, 0, &mut out);
            assert_eq!(out, octets);
            assert_eq!(decode(octets, prefix_bits), Ok((value, &[][..])));
        }
    }

    #[test]
    fn a_truncated_integer_is_refused() {
        assert_eq!(decode(&[], 5), Err(IntegerError::Truncated));
        assert_eq!(decode(&[0x1f], 5), Err(IntegerError::Truncated));
        assert_eq!(decode(&[0x1f, 0x9a], 5), Err(IntegerError::Truncated));
    }

    #[test]
    fn an_endless_integer_is_refused() {
        let endless = [0x1f, 0x80, 0x80, 0x80, 0x80, 0x80];
        assert_eq!(decode(&endless, 5), Err(IntegerError::TooLarge));
    }
}
