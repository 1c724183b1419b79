//! The decoder (RFC 7541 sections 3 and 6).

use bytes::{Bytes, BytesMut};

use super::dynamic_table::{DynamicTable, Entry};
use super::integer::{self, IntegerError};
use super::{DEFAULT_TABLE_SIZE, Defect, FIELD_OVERHEAD, Field, huffman, static_table};

/// The size of an allocation for the octets of fields that enter no table.
const ARENA_CHUNK: usize = 4_096;

/// The limits of a header list.
///
/// A block above the limits is still decoded, because the dynamic table depends on it, but the
/// excess fields are dropped.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum size in octets: names, values, and 32 for each field.
    pub list_size: usize,
    /// The maximum number of fields.
    pub fields: usize,
}

/// The result of decoding a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// `true` if the list is above the [`Limits`], so that fields were dropped.
    pub over_limit: bool,
    /// `true` if the block did not change the dynamic table. The same octets then have the same
    /// meaning for as long as [`Decoder::generation`] does not change.
    pub table_untouched: bool,
    /// The difference from the list that was overwritten.
    pub difference: Difference,
}

/// The difference between two header lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The lists are equal.
    None,
    /// Only the value of the field at this index differs.
    Value(usize),
    /// More may differ.
    More,
}

/// The error for an invalid header block, with a description.
///
/// The decoder cannot be used afterwards: the connection must end with COMPRESSION_ERROR (RFC 9113
/// section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError(pub(crate) &'static str);

const TRUNCATED: DecodeError = DecodeError("header block ends within a field");

impl From<IntegerError> for DecodeError {
    fn from(error: IntegerError) -> Self {
        match error {
            IntegerError::Truncated => TRUNCATED,
            IntegerError::TooLarge => Self("integer in a header block is too large"),
        }
    }
}

/// The decoder of a connection's received header blocks.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// The maximum size of the table that the peer may set: our SETTINGS_HEADER_TABLE_SIZE.
    size_limit: usize,
    /// The maximum size that the next block must set at its beginning.
    demanded_size: Option<usize>,
    generation: u64,
    /// The memory for fields that enter no table; one allocation holds many fields. Fields are
    /// copied so that a short field does not keep a long read buffer alive.
    arena: BytesMut,
    /// The buffer for Huffman decoding.
    scratch: Vec<u8>,
}

/// The representation of a literal field (RFC 7541 section 6.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Literal {
    Indexed,
    NotIndexed,
    NeverIndexed,
}

/// The owner of a decoded string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The header list. The string is allocated in the arena.
    List,
    /// The dynamic table, which may keep the string for long. It gets its own allocation.
    Table,
}

impl Decoder {
    /// Creates a decoder with an empty table. `size_limit` is the announced
    /// SETTINGS_HEADER_TABLE_SIZE, in octets.
    pub fn new(size_limit: usize) -> Self {
        Self {
            table: DynamicTable::new(DEFAULT_TABLE_SIZE),
            // Until the peer has received our SETTINGS, the default applies.
            size_limit: size_limit.max(DEFAULT_TABLE_SIZE),
            demanded_size: None,
            generation: 0,
            arena: BytesMut::new(),
            scratch: Vec::new(),
        }
    }

    /// Applies a SETTINGS_HEADER_TABLE_SIZE that the peer has acknowledged.
    pub fn settings_acknowledged(&mut self, size_limit: usize) {
        self.size_limit = size_limit;
        // Section 4.2: the peer must respond to a smaller limit with a size update.
        if self.table.max_size() > size_limit {
            self.demanded_size = Some(size_limit);
            self.generation += 1;
        }
    }

    /// Returns a number that changes with every change of the dynamic table.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Frees memory that is only held for speed.
    pub(crate) fn shrink(&mut self) {
        self.arena = BytesMut::new();
        self.scratch = Vec::new();
    }

    /// Decodes a whole header block and overwrites `fields`, usually the previous list.
    ///
    /// Fields that are the same entries of the table as before stay in place, which is fast.
    ///
    /// # Errors
    ///
    /// Fails for an invalid block. A list above the limits is not an error, see [`Decoded`].
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

    /// Applies the table size updates, which are only allowed at the beginning of a block (sections
    /// 4.2 and 6.3).
    fn size_updates<'b>(&mut self, mut block: &'b [u8]) -> Result<&'b [u8], DecodeError> {
        while let Some(&first) = block.first()
            && first & 0xe0 == 0x20
        {
            let (size, rest) = integer::decode(block, 5)?;
            if size > self.size_limit {
                return Err(DecodeError("table size update above the announced limit"));
            }
            if self.demanded_size.is_some_and(|demanded| size <= demanded) {
                self.demanded_size = None;
            }
            self.table.resize(size);
            self.generation += 1;
            block = rest;
        }
        if self.demanded_size.is_some() {
            return Err(DecodeError("no table size update after a lower limit"));
        }
        Ok(block)
    }

    /// Decodes an indexed field (section 6.1).
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
        entry.ok_or(DecodeError("invalid index in a header block"))
    }

    /// Decodes a literal field (section 6.2). Returns the rest of the input.
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

    /// Decodes the name of a literal field. Returns the name, its defect, and the rest of the
    /// input.
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

/// Decodes a string (section 5.2). Returns the string, which lies in the input or in `scratch`, and
/// the rest of the input.
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
        Err(_) => Err(DecodeError("invalid Huffman code in a header block")),
    }
}

/// Copies a string into memory of its owner.
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

/// A header list that overwrites a previous one.
struct List<'a> {
    /// The new fields, followed by the rest of the previous list.
    fields: &'a mut Vec<Field>,
    limits: Limits,
    /// The size of the new list in octets, including dropped fields.
    size: usize,
    /// The number of new fields, including dropped ones.
    count: usize,
    /// The number of new fields, without dropped ones.
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

    /// Adds an entry of a table. This costs nothing if the previous list has it in the same place.
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

    /// Adds a field.
    #[inline(always)] // A call would copy the whole field.
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

    /// Counts a field. Returns `false` if it must be dropped.
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

    /// Removes the rest of the previous list.
    fn end(self) -> Difference {
        if self.kept == self.fields.len() {
            return self.difference;
        }
        self.fields.truncate(self.kept);
        Difference::More
    }
}

/// Returns `true` if both are the same memory. Equal octets in different memory do not count,
/// because the comparison would cost more than the copy.
#[inline]
fn same_octets(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}
