//! HPACK (RFC 7541) for the test side: representations written one by one, blocks read in full.
//!
//! The peer writes every field as a literal without indexing and without Huffman, so what it sends
//! depends on no table. A test of the dynamic table concatenates the other representations itself
//! and sends them as a raw block. Reading goes through a published decoder that is not the
//! runtime's: it is the judge of the runtime's encoder.

use loona_hpack::Decoder as Loona;

use crate::frame::Malformation;
use crate::header_list::HeaderList;

/// A block of literals without indexing (section 6.2.2): the default for everything that is sent.
pub fn encode(fields: &HeaderList) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|(name, value)| literal(name, value))
        .collect()
}

/// A literal that the table does not take in (section 6.2.2).
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    literal_field(0x00, name, value)
}

/// A literal that the decoder adds to its dynamic table (section 6.2.1).
pub fn literal_with_indexing(name: &[u8], value: &[u8]) -> Vec<u8> {
    literal_field(0x40, name, value)
}

/// A literal that no hop may ever index (section 6.2.3).
pub fn literal_never_indexed(name: &[u8], value: &[u8]) -> Vec<u8> {
    literal_field(0x10, name, value)
}

/// A reference to an entry of the static and dynamic table (section 6.1); 0 is invalid.
pub fn indexed(index: u64) -> Vec<u8> {
    integer(0x80, 7, index)
}

/// A dynamic table size update (section 6.3).
pub fn size_update(size: u64) -> Vec<u8> {
    integer(0x20, 5, size)
}

/// A string literal (section 5.2) without Huffman.
pub fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = integer(0x00, 7, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

/// An integer (section 5.1) in the low `bits` of a first octet whose high bits are `pattern`.
pub fn integer(pattern: u8, bits: u32, value: u64) -> Vec<u8> {
    let limit = (1u64 << bits) - 1;
    if value < limit {
        return vec![pattern | value as u8];
    }
    let mut out = vec![pattern | limit as u8];
    let mut rest = value - limit;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

fn literal_field(pattern: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![pattern];
    out.extend(string(name));
    out.extend(string(value));
    out
}

/// Reads the header blocks of one direction of one connection, in order.
pub(crate) struct Decoder(Loona<'static>);

impl Decoder {
    /// A decoder with RFC 9113's initial table size, 4,096 octets.
    pub(crate) fn new() -> Self {
        let mut decoder = Loona::new();
        decoder.set_max_allowed_table_size(4_096);
        Self(decoder)
    }

    /// The SETTINGS_HEADER_TABLE_SIZE that this side announced: the encoder may not exceed it.
    pub(crate) fn allow_table_size(&mut self, size: u32) {
        self.0.set_max_allowed_table_size(size as usize);
    }

    /// Decodes a whole block, all its CONTINUATION fragments joined.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<HeaderList, Malformation> {
        match self.0.decode(block) {
            Ok(fields) => Ok(fields.into_iter().collect()),
            Err(error) => Err(Malformation::new(format!("HPACK: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_rfc_7541_appendix_c_1() {
        assert_eq!(integer(0, 5, 10), [0x0a]);
        assert_eq!(integer(0, 5, 1337), [0x1f, 0x9a, 0x0a]);
        assert_eq!(integer(0, 8, 42), [0x2a]);
        assert_eq!(integer(0, 7, 127), [0x7f, 0x00]);
    }

    #[test]
    fn literals_are_those_of_rfc_7541_appendix_c_2() {
        assert_eq!(
            literal_with_indexing(b"custom-key", b"custom-header"),
            b"\x40\x0acustom-key\x0dcustom-header"
        );
        assert_eq!(
            literal_never_indexed(b"password", b"secret"),
            b"\x10\x08password\x06secret"
        );
        assert_eq!(indexed(2), [0x82]);
    }

    #[test]
    fn decoder_reads_the_huffman_requests_of_rfc_7541_appendix_c_4() {
        let mut decoder = Decoder::new();
        let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let fields = decoder.decode(first).unwrap();
        assert_eq!(fields.get(":authority"), Some("www.example.com"));
        // The second request refers to the entry that the first one put into the dynamic table.
        let second = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
        let fields = decoder.decode(second).unwrap();
        assert_eq!(fields.get(":authority"), Some("www.example.com"));
        assert_eq!(fields.get("cache-control"), Some("no-cache"));
    }

    #[test]
    fn encoded_fields_decode_to_themselves() {
        let long = "x".repeat(300);
        let fields: HeaderList = [(":path", "/a/b"), ("k", ""), ("k", long.as_str())]
            .into_iter()
            .collect();
        assert_eq!(Decoder::new().decode(&encode(&fields)).unwrap(), fields);
    }

    #[test]
    fn decoder_refuses_a_table_beyond_what_was_announced() {
        let mut decoder = Decoder::new();
        decoder.allow_table_size(100);
        let mut block = size_update(101);
        block.extend(indexed(2));
        assert!(decoder.decode(&block).is_err());
    }

    #[test]
    fn decoder_refuses_an_index_beyond_the_tables() {
        assert!(Decoder::new().decode(&indexed(62)).is_err());
        assert!(Decoder::new().decode(&indexed(0)).is_err());
    }
}
