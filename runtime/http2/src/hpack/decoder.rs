//! The decoder (RFC 7541 sections 3 and 6).

use bytes::{Bytes, BytesMut};

use super::dynamic_table::{DynamicTable, Entry};
use super::integer::{self, IntegerError};
use super::{DEFAULT_TABLE_SIZE, Defect, FIELD_OVERHEAD, Field, huffman, static_table};

/// How much is allocated at once for the octets of fields that enter no table.
const ARENA_CHUNK: usize = 4_096;

/// How large a header list may be. Beyond either bound a block is still decoded, because the table
/// depends on it, but no more of its fields are kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Names and values, and 32 octets for each field.
    pub list_size: usize,
    /// Fields.
    pub fields: usize,
}

/// What became of a block that could be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The list is beyond the [`Limits`], and not all of it was kept.
    pub over_limit: bool,
    /// The block left the table as it was, so that the same octets will mean the same again for as
    /// long as [`Decoder::generation`] does not change.
    pub table_untouched: bool,
    /// How the list differs from the one that it was written over.
    pub difference: Difference,
}

/// How one header list differs from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Not at all.
    None,
    /// In the value of the field at this place.
    Value(usize),
    /// In more than that, or it is not known.
    More,
}

/// The block is none, and the table is lost: COMPRESSION_ERROR (RFC 9113 section 4.3). The text
/// says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError(pub(crate) &'static str);

const TRUNCATED: DecodeError = DecodeError("header block ends within a field");

impl From<IntegerError> for DecodeError {
    fn from(error: IntegerError) -> Self {
        match error {
            IntegerError::Truncated => TRUNCATED,
            IntegerError::TooLarge => Self("integer in a header block too large"),
        }
    }
}

/// Decodes header blocks; one for each connection.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// What the peer may set the table's size to: our SETTINGS_HEADER_TABLE_SIZE.
    size_limit: usize,
    /// The next block has to begin by making the table no larger than this.
    demanded_size: Option<usize>,
    generation: u64,
    /// Where the octets of fields that enter no table go, many fields to an allocation. They are
    /// copied so that a short field does not keep a long read buffer alive.
    arena: BytesMut,
    /// A string after Huffman decoding.
    scratch: Vec<u8>,
}

/// How a literal field is to be treated (RFC 7541 section 6.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Literal {
    Indexed,
    NotIndexed,
    NeverIndexed,
}

/// Whose octets a string becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The header list's alone.
    List,
    /// The table's, which may keep it for long: an allocation of its own.
    Table,
}

impl Decoder {
    /// A decoder with an empty table. `size_limit` is the SETTINGS_HEADER_TABLE_SIZE announced.
    pub fn new(size_limit: usize) -> Self {
        Self {
            table: DynamicTable::new(DEFAULT_TABLE_SIZE),
            // Until the peer has our settings it goes by the default.
            size_limit: size_limit.max(DEFAULT_TABLE_SIZE),
            demanded_size: None,
            generation: 0,
            arena: BytesMut::new(),
            scratch: Vec::new(),
        }
    }

    /// The peer has acknowledged this SETTINGS_HEADER_TABLE_SIZE.
    pub fn settings_acknowledged(&mut self, size_limit: usize) {
        self.size_limit = size_limit;
        // Section 4.2: a smaller limit has to be answered with a size update.
        if self.table.max_size() > size_limit {
            self.demanded_size = Some(size_limit);
            self.generation += 1;
        }
    }

    /// Changes whenever the table does.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Gives back what memory it holds for speed alone.
    pub fn trim(&mut self) {
        self.arena = BytesMut::new();
        self.scratch = Vec::new();
    }

    /// Decodes a whole header block. Its fields are written over those of another list, usually the
    /// one before: then most are the same entries of the table, and are there already.
    pub fn decode(
        &mut self,
        block: &[u8],
        limits: Limits,
        fields: &mut Vec<Field>,
    ) -> Result<Decoded, DecodeError> {
        let generation = self.generation;
        let mut rest = self.size_updates(block)?;
        let mut list = List::over(fields, limits);
        while let Some(&first) = rest.first() {
            rest = if first & 0x80 != 0 {
                let (index, after) = integer::decode(rest, 7)?;
                self.indexed(index, &mut list)?;
                after
            } else if first & 0x40 != 0 {
                self.literal(rest, 6, Literal::Indexed, &mut list)?
            } else if first & 0x20 != 0 {
                return Err(DecodeError("table size update within a header block"));
            } else if first & 0x10 != 0 {
                self.literal(rest, 4, Literal::NeverIndexed, &mut list)?
            } else {
                self.literal(rest, 4, Literal::NotIndexed, &mut list)?
            };
        }
        Ok(Decoded {
            over_limit: list.is_over(),
            table_untouched: generation == self.generation,
            difference: list.end(),
        })
    }

    /// Section 6.3: size updates stand at the beginning of a block or nowhere.
    fn size_updates<'b>(&mut self, mut block: &'b [u8]) -> Result<&'b [u8], DecodeError> {
        while let Some(&first) = block.first()
            && first & 0xe0 == 0x20
        {
            let (size, rest) = integer::decode(block, 5)?;
            if size > self.size_limit {
                return Err(DecodeError("table size update beyond the setting"));
            }
            if self.demanded_size.is_some_and(|demanded| size <= demanded) {
                self.demanded_size = None;
            }
            self.table.resize(size);
            self.generation += 1;
            block = rest;
        }
        if self.demanded_size.is_some() {
            return Err(DecodeError("table size not updated after a lower setting"));
        }
        Ok(block)
    }

    /// Section 6.1.
    #[inline]
    fn indexed(&self, index: usize, list: &mut List<'_>) -> Result<(), DecodeError> {
        if let Some((name, value)) = static_table::get(index) {
            list.push_entry(&name, &value, None);
        } else {
            let entry = self.entry(index)?;
            let defect = entry.name_defect.or(entry.value_defect);
            list.push_entry(&entry.name, &entry.value, defect);
        }
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<&Entry, DecodeError> {
        let entry = self.table.get(index);
        entry.ok_or(DecodeError("index of no entry in a header block"))
    }

    /// Section 6.2.
    fn literal<'b>(
        &mut self,
        input: &'b [u8],
        prefix_bits: u32,
        literal: Literal,
        list: &mut List<'_>,
    ) -> Result<&'b [u8], DecodeError> {
        let owner = match literal {
            Literal::Indexed => Owner::Table,
            Literal::NotIndexed | Literal::NeverIndexed => Owner::List,
        };
        let (index, rest) = integer::decode(input, prefix_bits)?;
        let (name, name_defect, rest) = self.literal_name(index, rest, owner)?;
        let (octets, rest) = read_string(rest, &mut self.scratch)?;
        let value_defect = Defect::of_value(octets);
        let value = keep(octets, owner, &mut self.arena);
        if literal == Literal::Indexed {
            self.table.insert(Entry {
                name: name.clone(),
                value: value.clone(),
                name_defect,
                value_defect,
            });
            self.generation += 1;
        }
        list.push(Field {
            name,
            value,
            never_indexed: literal == Literal::NeverIndexed,
            defect: name_defect.or(value_defect),
        });
        Ok(rest)
    }

    /// The name of a literal field, what is wrong with it, and what follows it.
    fn literal_name<'b>(
        &mut self,
        index: usize,
        rest: &'b [u8],
        owner: Owner,
    ) -> Result<(Bytes, Option<Defect>, &'b [u8]), DecodeError> {
        if index == 0 {
            let (octets, rest) = read_string(rest, &mut self.scratch)?;
            if let Some(name) = static_table::frequent_name(octets) {
                return Ok((Bytes::from_static(name), None, rest));
            }
            let defect = Defect::of_name(octets);
            return Ok((keep(octets, owner, &mut self.arena), defect, rest));
        }
        if let Some((name, _)) = static_table::get(index) {
            return Ok((name, None, rest));
        }
        let entry = self.entry(index)?;
        Ok((entry.name.clone(), entry.name_defect, rest))
    }
}

/// Section 5.2: a string, in the input or in `scratch`, and what follows it.
fn read_string<'s, 'b: 's>(
    input: &'b [u8],
    scratch: &'s mut Vec<u8>,
) -> Result<(&'s [u8], &'b [u8]), DecodeError> {
    let huffman = input.first().is_some_and(|first| first & 0x80 != 0);
    let (length, rest) = integer::decode(input, 7)?;
    let (octets, rest) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    if !huffman {
        return Ok((octets, rest));
    }
    scratch.clear();
    match huffman::decode(octets, scratch) {
        Ok(()) => Ok((scratch, rest)),
        Err(_) => Err(DecodeError("string in a header block not Huffman-coded")),
    }
}

/// A string of its own.
fn keep(octets: &[u8], owner: Owner, arena: &mut BytesMut) -> Bytes {
    match owner {
        Owner::Table => Bytes::copy_from_slice(octets),
        Owner::List if octets.is_empty() => Bytes::new(),
        Owner::List => {
            if arena.capacity() < octets.len() {
                arena.reserve(octets.len().max(ARENA_CHUNK));
            }
            arena.extend_from_slice(octets);
            arena.split().freeze()
        }
    }
}

/// A header list in the making, over another one.
struct List<'a> {
    /// Those of the list, then what is left of the other one.
    fields: &'a mut Vec<Field>,
    limits: Limits,
    size: usize,
    /// How many fields there are.
    count: usize,
    /// How many are kept.
    kept: usize,
    difference: Difference,
}

impl<'a> List<'a> {
    fn over(fields: &'a mut Vec<Field>, limits: Limits) -> Self {
        Self {
            fields,
            limits,
            size: 0,
            count: 0,
            kept: 0,
            difference: Difference::None,
        }
    }

    /// Adds an entry of a table, which costs nothing where it is in place.
    #[inline]
    fn push_entry(&mut self, name: &Bytes, value: &Bytes, defect: Option<Defect>) {
        let in_place = |field: &Field| {
            same_octets(&field.name, name)
                && same_octets(&field.value, value)
                && !field.never_indexed
        };
        if self.fields.get(self.kept).is_some_and(in_place) {
            self.add(name.len() + value.len());
            return;
        }
        self.push(Field {
            name: name.clone(),
            value: value.clone(),
            never_indexed: false,
            defect,
        });
    }

    #[inline(always)] // A field is many words to pass on.
    fn push(&mut self, field: Field) {
        let at = self.kept;
        if !self.add(field.name.len() + field.value.len()) {
            return;
        }
        match self.fields.get_mut(at) {
            Some(place) => {
                let only_value = self.difference == Difference::None && place.name == field.name;
                self.difference = if only_value {
                    Difference::Value(at)
                } else {
                    Difference::More
                };
                *place = field;
            }
            None => {
                self.difference = Difference::More;
                self.fields.push(field);
            }
        }
    }

    /// Counts a field. Returns whether it is kept.
    #[inline]
    fn add(&mut self, octets: usize) -> bool {
        self.size += octets + FIELD_OVERHEAD;
        self.count += 1;
        let kept = !self.is_over();
        self.kept += usize::from(kept);
        kept
    }

    fn is_over(&self) -> bool {
        self.size > self.limits.list_size || self.count > self.limits.fields
    }

    /// Drops what is left of the other list.
    fn end(self) -> Difference {
        if self.kept == self.fields.len() {
            return self.difference;
        }
        self.fields.truncate(self.kept);
        Difference::More
    }
}

/// Whether both are the same octets in memory. Such as are equal and lie elsewhere are not looked
/// for.
#[inline]
fn same_octets(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}
