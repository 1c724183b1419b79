//! String literals in the Huffman code (RFC 7541 section 5.2).

use super::huffman_table::{BY_LENGTH, CODES, EOS, LENGTHS, MAX_LENGTH, SHORT, SORTED};

/// The error for an invalid string: EOS within the string, or invalid padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HuffmanError;

/// Returns the length of a string in the Huffman code, in octets.
#[inline]
pub(super) fn encoded_len(string: &[u8]) -> usize {
    let bits: usize = string
        .iter()
        .map(|&octet| usize::from(LENGTHS[usize::from(octet)]))
        .sum();
    bits.div_ceil(8)
}

/// Appends a string in the Huffman code.
pub(super) fn encode(string: &[u8], out: &mut Vec<u8>) {
    // The low `pending` bits are not yet written. There are fewer than 32 before each symbol.
    let mut bits: u64 = 0;
    let mut pending: u32 = 0;
    for &octet in string {
        let length = u32::from(LENGTHS[usize::from(octet)]);
        bits = bits << length | u64::from(CODES[usize::from(octet)]);
        pending += length;
        if pending >= 32 {
            pending -= 32;
            out.extend_from_slice(&((bits >> pending) as u32).to_be_bytes());
        }
    }
    while pending >= 8 {
        pending -= 8;
        out.push((bits >> pending) as u8);
    }
    if pending > 0 {
        // The padding is the beginning of EOS, which consists of ones.
        out.push((bits << (8 - pending)) as u8 | 0xff >> pending);
    }
}

/// Decodes a string and appends it.
pub(super) fn decode(mut input: &[u8], out: &mut Vec<u8>) -> Result<(), HuffmanError> {
    // The high `available` bits are not yet decoded. The bits below them are 0.
    let mut bits: u64 = 0;
    let mut available: u32 = 0;
    out.reserve(input.len() * 8 / 5);
    loop {
        if available < 32
            && let Some((&octets, rest)) = input.split_first_chunk::<4>()
        {
            bits |= u64::from(u32::from_be_bytes(octets)) << (32 - available);
            available += 32;
            input = rest;
        }
        while available < 32 {
            let Some((&octet, rest)) = input.split_first() else {
                break;
            };
            bits |= u64::from(octet) << (56 - available);
            available += 8;
            input = rest;
        }
        if available < 8 && bits == !(u64::MAX >> available) {
            return Ok(()); // The end, with up to seven ones of padding.
        }
        let (symbol, length) = match SHORT[(bits >> 56) as usize] {
            (_, 0) => long_code(bits)?,
            (symbol, length) => (symbol, u32::from(length)),
        };
        available = available.checked_sub(length).ok_or(HuffmanError)?;
        bits <<= length;
        out.push(symbol);
    }
}

/// Decodes a code of more than eight bits. Returns the symbol and the length of the code.
fn long_code(bits: u64) -> Result<(u8, u32), HuffmanError> {
    for (length, codes) in BY_LENGTH.iter().enumerate().take(MAX_LENGTH + 1).skip(9) {
        let code = (bits >> (64 - length)) as u32;
        let place = code.wrapping_sub(codes.first_code);
        if place < codes.count {
            let symbol = SORTED[(codes.first_symbol + place) as usize];
            if symbol == EOS {
                return Err(HuffmanError);
            }
            return Ok((symbol as u8, length as u32));
        }
    }
    // Not reached, because the code is complete.
    Err(HuffmanError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(string: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(string, &mut out);
        out
    }

    fn decoded(octets: &[u8]) -> Result<Vec<u8>, HuffmanError> {
        let mut out = Vec::new();
        decode(octets, &mut out).map(|()| out)
    }

    #[test]
    fn appendix_c4_strings_are_encoded_and_decoded() {
        let table: [(&[u8], &[u8]); 3] = [
            (
                b"www.example.com",
                b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            ),
            (b"no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            (b"custom-value", b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"),
        ];
        for (string, octets) in table {
            assert_eq!(encoded(string), octets);
            assert_eq!(encoded_len(string), octets.len());
            assert_eq!(decoded(octets).as_deref(), Ok(string));
        }
    }

    #[test]
    fn every_octet_is_decoded_alone_and_beside_every_other() {
        for first in 0..=u8::MAX {
            assert_eq!(decoded(&encoded(&[first])), Ok(vec![first]));
            for second in 0..=u8::MAX {
                let string = [first, second, first];
                let octets = encoded(&string);
                assert_eq!(octets.len(), encoded_len(&string));
                assert_eq!(decoded(&octets).as_deref(), Ok(&string[..]));
            }
        }
    }

    #[test]
    fn padding_of_eight_bits_or_more_is_refused() {
        assert_eq!(decoded(b"\x1f").as_deref(), Ok(&b"a"[..]));
        assert_eq!(decoded(b"\x1f\xff"), Err(HuffmanError));
        assert_eq!(decoded(b"\xff"), Err(HuffmanError));
    }

    #[test]
    fn padding_that_is_not_the_start_of_eos_is_refused() {
        assert_eq!(decoded(b"\x1e"), Err(HuffmanError));
        assert_eq!(decoded(b"\x18"), Err(HuffmanError));
    }

    #[test]
    fn eos_in_a_string_is_refused() {
        assert_eq!(decoded(b"\xff\xff\xff\xff"), Err(HuffmanError));
        assert_eq!(decoded(b"\x1f\xff\xff\xff\xff"), Err(HuffmanError));
    }
}
