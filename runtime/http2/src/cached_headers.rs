//! Header fields that many requests of a connection share, and their cached encoding.

use std::cell::RefCell;

use super::hpack::{Encoder, Field, FieldRef};

/// The first fields of many header blocks of one connection, with their cached encoding.
///
/// An example is the fields that all calls of a method have in common. The encoding is reused for
/// as long as the connection's dynamic table does not change. A value belongs to one connection.
#[derive(Debug)]
pub struct CachedHeaders {
    fields: Vec<Field>,
    list_size: usize,
    encoded: RefCell<Encoded>,
}

#[derive(Debug, Default)]
struct Encoded {
    octets: Vec<u8>,
    /// The generation of the dynamic table that the octets are valid for.
    generation: Option<u64>,
}

impl CachedHeaders {
    /// Creates the shared fields of one connection. Nothing is encoded until the first use.
    pub fn new(fields: Vec<Field>) -> Self {
        Self {
            list_size: fields.iter().map(|field| field.as_ref().size()).sum(),
            fields,
            encoded: RefCell::default(),
        }
    }

    /// Returns the fields in order.
    pub(super) fn fields(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.fields.iter().map(Field::as_ref)
    }

    /// Returns the fields' size in a header list, in octets (RFC 9113 section 6.5.2).
    #[inline]
    pub(super) fn list_size(&self) -> usize {
        self.list_size
    }

    /// Appends the encoded fields to `out`.
    #[inline]
    pub(super) fn encode(&self, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let mut encoded = self.encoded.borrow_mut();
        if encoded.generation != Some(encoder.generation()) {
            encoded.encode(self.fields(), encoder);
        }
        out.extend_from_slice(&encoded.octets);
    }
}

impl Encoded {
    #[cold]
    fn encode<'f>(&mut self, fields: impl Iterator<Item = FieldRef<'f>>, encoder: &mut Encoder) {
        let before = encoder.generation();
        self.octets.clear();
        for field in fields {
            encoder.encode(field, &mut self.octets);
        }
        // Octets that insert an entry into the table would insert it again when repeated.
        self.generation = (encoder.generation() == before).then_some(before);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hpack::{Decoder, Limits};
    use super::*;

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Vec<(String, String)> {
        let limits = Limits {
            list_size: 4_096,
            fields: 100,
        };
        let mut fields = Vec::new();
        decoder
            .decode(block, limits, &mut fields)
            .expect("a valid block");
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let pair = |field: Field| (text(&field.name), text(&field.value));
        fields.into_iter().map(pair).collect()
    }

    #[test]
    fn cached_octets_always_decode_to_the_same_fields() {
        let list = [(":path", "/a/b"), ("te", "trailers"), ("user-agent", "x")];
        let field = |(name, value): (&str, &str)| {
            FieldRef::new(name.as_bytes(), value.as_bytes()).to_field()
        };
        let cached = CachedHeaders::new(list.map(field).into());
        let expected = list.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4_096));
        let mut lengths = Vec::new();
        for round in 0..20 {
            let mut block = Vec::new();
            encoder.begin(&mut block);
            cached.encode(&mut encoder, &mut block);
            lengths.push(block.len());
            assert_eq!(decode(&mut decoder, &block), expected, "round {round}");
            match round {
                // Another entry enters the table, which changes the indices of the others.
                5 => {
                    let mut other = Vec::new();
                    encoder.encode(FieldRef::new(b":authority", b"elsewhere"), &mut other);
                    decode(&mut decoder, &other);
                }
                // The table is emptied.
                10 => encoder.set_size_limit(0),
                15 => encoder.set_size_limit(4_096),
                _ => {}
            }
        }
        assert!(lengths[0] > lengths[1], "in the table from the second on");
        assert_eq!(lengths[1..5], [3; 4]);
    }
}
