//! The encoder (RFC 7541 sections 3 and 6), and its policy: what enters the dynamic table.

use bytes::Bytes;

use super::dynamic_table::{DynamicTable, Entry};
use super::lookup::{Hashes, Lookup};
use super::static_table::{self, Match};
use super::{DEFAULT_TABLE_SIZE, FieldRef, hash, huffman, integer};

/// How many hashes of fields seen once are remembered.
const SEEN: usize = 64;

/// Encodes header blocks; one for each connection.
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable,
    lookup: Lookup,
    /// The sizes the table has had since the last block, of which the peer is to be told the
    /// smallest and the last (section 4.2).
    resized: Option<Resized>,
    /// Hashes of fields, and of names, that went out as literals; nothing until there are any.
    seen: Option<Box<[u32; SEEN]>>,
    /// How often the table has changed.
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Resized {
    smallest: usize,
    last: usize,
}

/// What may be done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// Its value tends to be the same on every call of a connection: index it at first sight.
    Index,
    /// Nothing is known of it: index it when it comes a second time.
    IndexRepeated,
    /// Its value tends to differ on every call: one entry, for the sake of the name, and no more,
    /// which would only push out what repeats.
    Literal,
    /// A secret (section 7.1.3).
    NeverIndex,
}

impl Encoder {
    /// An encoder with an empty table.
    pub fn new() -> Self {
        Self {
            table: DynamicTable::new(DEFAULT_TABLE_SIZE),
            lookup: Lookup::new(),
            resized: None,
            seen: None,
            generation: 0,
        }
    }

    /// Changes whenever the table does: an encoded field that changed nothing means the same until
    /// then.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Obeys the peer's SETTINGS_HEADER_TABLE_SIZE. A larger table than the default is not used:
    /// what repeats in gRPC's header lists fits into that.
    pub fn set_size_limit(&mut self, limit: usize) {
        let size = limit.min(DEFAULT_TABLE_SIZE);
        if size == self.table.max_size() && self.resized.is_none() {
            return;
        }
        self.generation += 1;
        self.table.resize(size);
        self.lookup.evicted(&self.table);
        let smallest = self
            .resized
            .map_or(size, |before| before.smallest.min(size));
        self.resized = Some(Resized {
            smallest,
            last: size,
        });
    }

    /// Whether the next block can begin with its first field.
    #[inline]
    pub fn has_pending_resize(&self) -> bool {
        self.resized.is_some()
    }

    /// Appends what has to stand at the beginning of a block: call it before the first field.
    #[inline]
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(Resized { smallest, last }) = self.resized.take() {
            if smallest < last {
                integer::encode(smallest, 5, 0x20, out);
            }
            integer::encode(last, 5, 0x20, out);
        }
    }

    /// Appends a field.
    pub fn encode(&mut self, field: FieldRef<'_>, out: &mut Vec<u8>) {
        let FieldRef { name, value, .. } = field;
        let known = static_table::find(name, value);
        if let Match::Field(index) = known {
            return integer::encode(index, 7, 0x80, out);
        }
        let policy = policy(field);
        let name_hash = hash::hash(name);
        if policy == Policy::NeverIndex {
            return self.literal(known, name_hash, field, 0x10, out);
        }
        let hashes = Hashes {
            field: hash::extend(name_hash, value),
            name: name_hash,
        };
        if policy != Policy::Literal
            && let Match::Field(index) = self.lookup.find(&self.table, hashes, name, value)
        {
            return integer::encode(index, 7, 0x80, out);
        }
        let known = match known {
            Match::None => self.lookup.find_name(&self.table, name_hash, name),
            known => known,
        };
        if self.admits(policy, known, hashes, field) {
            self.insert(known, hashes, field, out);
        } else {
            self.literal(known, name_hash, field, 0x00, out);
        }
    }

    /// Whether a field that is in no table is to enter the dynamic one.
    fn admits(&mut self, policy: Policy, name: Match, hashes: Hashes, field: FieldRef<'_>) -> bool {
        // One that took up most of the table would push out what repeats.
        if field.size() > self.table.max_size() / 4 {
            return false;
        }
        match policy {
            Policy::Index => true,
            Policy::IndexRepeated => {
                let field_again = self.sees_again(hashes.field);
                // With any value an entry has a use: the name need not be spelled out any more.
                field_again || (name == Match::None && self.sees_again(hashes.name))
            }
            Policy::Literal => name == Match::None,
            Policy::NeverIndex => false,
        }
    }

    /// Whether this hash was seen before; it is from now on.
    fn sees_again(&mut self, hash: u64) -> bool {
        // 0 stands for nothing seen.
        let mark = (hash >> 32) as u32 | 1;
        let seen = self.seen.get_or_insert_with(|| Box::new([0; SEEN]));
        let seen = &mut seen[hash as usize % SEEN];
        std::mem::replace(seen, mark) == mark
    }

    /// Section 6.2.1: a literal that enters the table.
    fn insert(&mut self, known: Match, hashes: Hashes, field: FieldRef<'_>, out: &mut Vec<u8>) {
        let name = self.name_index(known, hashes.name, field.name);
        literal(name, field, 6, 0x40, out);
        self.generation += 1;
        self.table.insert(Entry {
            name: Bytes::copy_from_slice(field.name),
            value: Bytes::copy_from_slice(field.value),
            name_defect: None,
            value_defect: None,
        });
        self.lookup.inserted(&self.table, hashes);
    }

    /// Sections 6.2.2 and 6.2.3: a literal that does not.
    fn literal(
        &self,
        known: Match,
        name_hash: u64,
        field: FieldRef<'_>,
        pattern: u8,
        out: &mut Vec<u8>,
    ) {
        let name = self.name_index(known, name_hash, field.name);
        literal(name, field, 4, pattern, out);
    }

    fn name_index(&self, known: Match, name_hash: u64, name: &[u8]) -> Option<usize> {
        let found = match known {
            Match::None => self.lookup.find_name(&self.table, name_hash, name),
            known => known,
        };
        match found {
            Match::Name(index) | Match::Field(index) => Some(index),
            Match::None => None,
        }
    }
}

/// Decides by the name. Names that gRPC and its neighbours use are told apart here; any other is
/// judged by whether it repeats.
fn policy(field: FieldRef<'_>) -> Policy {
    if field.never_indexed {
        return Policy::NeverIndex;
    }
    match field.name {
        b"authorization" | b"proxy-authorization" | b"cookie" | b"set-cookie" => Policy::NeverIndex,
        b":authority"
        | b":method"
        | b":path"
        | b":scheme"
        | b":status"
        | b"content-type"
        | b"te"
        | b"user-agent"
        | b"grpc-encoding"
        | b"grpc-accept-encoding"
        | b"accept-encoding" => Policy::Index,
        b"grpc-timeout"
        | b"grpc-message"
        | b"grpc-status-details-bin"
        | b"grpc-trace-bin"
        | b"grpc-tags-bin"
        | b"traceparent"
        | b"tracestate"
        | b"content-length"
        | b"date" => Policy::Literal,
        _ => Policy::IndexRepeated,
    }
}

/// Appends a field without reference to a dynamic table: the octets mean the same at any time.
pub fn encode_stateless(field: FieldRef<'_>, out: &mut Vec<u8>) {
    match static_table::find(field.name, field.value) {
        Match::Field(index) => integer::encode(index, 7, 0x80, out),
        Match::Name(index) => literal(Some(index), field, 4, 0x00, out),
        Match::None => literal(None, field, 4, 0x00, out),
    }
}

/// Section 6.2.
fn literal(
    name: Option<usize>,
    field: FieldRef<'_>,
    prefix_bits: u32,
    pattern: u8,
    out: &mut Vec<u8>,
) {
    integer::encode(name.unwrap_or(0), prefix_bits, pattern, out);
    if name.is_none() {
        string(field.name, out);
    }
    string(field.value, out);
}

/// Section 5.2: in the Huffman code if that is shorter.
fn string(string: &[u8], out: &mut Vec<u8>) {
    let encoded_len = huffman::encoded_len(string);
    if encoded_len < string.len() {
        integer::encode(encoded_len, 7, 0x80, out);
        huffman::encode(string, out);
    } else {
        integer::encode(string.len(), 7, 0x00, out);
        out.extend_from_slice(string);
    }
}
