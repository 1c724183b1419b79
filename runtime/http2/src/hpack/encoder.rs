//! The encoder (RFC 7541 sections 3 and 6), and its policy for the dynamic table.

use bytes::Bytes;

use super::dynamic_table::{DynamicTable, Entry};
use super::lookup::{Hashes, Lookup};
use super::static_table::{self, Match};
use super::{DEFAULT_TABLE_SIZE, FieldRef, hash, huffman, integer};

/// The number of stored hashes of fields that were seen once.
const SEEN: usize = 64;

/// The encoder of a connection's sent header blocks.
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable,
    lookup: Lookup,
    /// The pending size updates.
    resized: Option<Resized>,
    /// The hashes of fields and names that were sent as literals. It is allocated on first use.
    seen: Option<Box<[u32; SEEN]>>,
    /// The number of changes of the table.
    generation: u64,
}

/// The size updates that the next block must begin with: the smallest and the last size since the
/// last block (section 4.2).
#[derive(Clone, Copy, Debug)]
struct Resized {
    smallest: usize,
    last: usize,
}

/// The policy for entering a field into the dynamic table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// Index the field at first use, because its value is usually the same on every call.
    Index,
    /// Index the field at its second use, because nothing is known about it.
    IndexRepeated,
    /// Index the field only once, for its name, because its value usually differs on every call.
    /// Further entries would evict entries that repeat.
    Literal,
    /// Never index the field, because it is a secret (section 7.1.3).
    NeverIndex,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Creates an encoder with an empty table of 4,096 octets.
    pub fn new() -> Self {
        Self {
            table: DynamicTable::new(DEFAULT_TABLE_SIZE),
            lookup: Lookup::new(),
            resized: None,
            seen: None,
            generation: 0,
        }
    }

    /// Returns a number that changes with every change of the dynamic table.
    ///
    /// An encoded field that did not change the table stays valid while the number is the same.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Applies the peer's SETTINGS_HEADER_TABLE_SIZE, in octets.
    ///
    /// The table never exceeds the default of 4,096 octets, which is enough for the repeated fields
    /// of gRPC.
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

    /// Returns `true` if the next block must begin with a table size update.
    #[inline]
    pub(crate) fn has_pending_resize(&self) -> bool {
        self.resized.is_some()
    }

    /// Begins a block: appends pending table size updates. Call it before the first field.
    #[inline]
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(Resized { smallest, last }) = self.resized.take() {
            if smallest < last {
                integer::encode(smallest, 5, 0x20, out);
            }
            integer::encode(last, 5, 0x20, out);
        }
    }

    /// Appends an encoded field.
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

    /// Returns `true` if a field that is in no table should enter the dynamic table.
    fn admits(&mut self, policy: Policy, name: Match, hashes: Hashes, field: FieldRef<'_>) -> bool {
        // A large field would evict many entries that repeat.
        if field.size() > self.table.max_size() / 4 {
            return false;
        }
        match policy {
            Policy::Index => true,
            Policy::IndexRepeated => {
                let field_again = self.sees_again(hashes.field);
                // An entry is useful even if its value never repeats, because of its name.
                field_again || (name == Match::None && self.sees_again(hashes.name))
            }
            Policy::Literal => name == Match::None,
            Policy::NeverIndex => false,
        }
    }

    /// Returns `true` if this hash was seen before, and stores it.
    fn sees_again(&mut self, hash: u64) -> bool {
        // 0 marks an empty place.
        let mark = (hash >> 32) as u32 | 1;
        let seen = self.seen.get_or_insert_with(|| Box::new([0; SEEN]));
        let seen = &mut seen[hash as usize % SEEN];
        std::mem::replace(seen, mark) == mark
    }

    /// Appends a literal that enters the table (section 6.2.1).
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

    /// Appends a literal that does not enter the table (sections 6.2.2 and 6.2.3).
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

/// Returns the policy for a field, by its name. Names that gRPC does not use get
/// [`Policy::IndexRepeated`].
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

/// Appends a field that is encoded without the dynamic table. The octets are valid at any time.
pub(crate) fn encode_stateless(field: FieldRef<'_>, out: &mut Vec<u8>) {
    match static_table::find(field.name, field.value) {
        Match::Field(index) => integer::encode(index, 7, 0x80, out),
        Match::Name(index) => literal(Some(index), field, 4, 0x00, out),
        Match::None => literal(None, field, 4, 0x00, out),
    }
}

/// Appends a literal field (section 6.2).
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

/// Appends a string, in the Huffman code if that is shorter (section 5.2).
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
