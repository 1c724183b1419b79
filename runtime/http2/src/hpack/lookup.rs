//! The hash table of the encoder's dynamic table.

use std::collections::VecDeque;

use super::dynamic_table::DynamicTable;
use super::static_table::Match;

const BUCKETS: usize = 64;

/// The number that means "no entry".
const NONE: u64 = u64::MAX;

/// A hash table of entry numbers, with chains from newer to older entries.
///
/// Entry numbers increase, and entries are evicted in order. So a chain ends at the first number
/// that is no longer in the table, and evicted entries need not be unlinked.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The buckets. They are allocated with the first entry, because most servers insert none.
    newest: Option<Box<Newest>>,
    /// The next older entry in the chains of each entry, oldest entry first.
    older: VecDeque<Older>,
}

/// The newest entry of each bucket.
#[derive(Debug)]
struct Newest {
    by_field: [u64; BUCKETS],
    by_name: [u64; BUCKETS],
}

/// The next older entries in the chains of one entry.
#[derive(Clone, Copy, Debug)]
struct Older {
    field: u64,
    name: u64,
}

/// The hashes of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashes {
    /// The hash of the name and the value.
    pub(super) field: u64,
    /// The hash of the name.
    pub(super) name: u64,
}

impl Lookup {
    /// Creates the hash table of an empty dynamic table.
    pub(super) fn new() -> Self {
        Self {
            newest: None,
            older: VecDeque::new(),
        }
    }

    /// Finds a field in the table.
    #[inline]
    pub(super) fn find(
        &self,
        table: &DynamicTable,
        hashes: Hashes,
        name: &[u8],
        value: &[u8],
    ) -> Match {
        let Some(newest) = &self.newest else {
            return Match::None;
        };
        let mut number = newest.by_field[bucket(hashes.field)];
        while let Some((entry, index)) = table.by_number(number) {
            if entry.value == value && entry.name == name {
                return Match::Field(index);
            }
            number = self.older(table, number).field;
        }
        Match::None
    }

    /// Finds a name in the table.
    #[inline]
    pub(super) fn find_name(&self, table: &DynamicTable, name_hash: u64, name: &[u8]) -> Match {
        let Some(newest) = &self.newest else {
            return Match::None;
        };
        let mut number = newest.by_name[bucket(name_hash)];
        while let Some((entry, index)) = table.by_number(number) {
            if entry.name == name {
                return Match::Name(index);
            }
            number = self.older(table, number).name;
        }
        Match::None
    }

    /// Adds the entry that was just inserted into the table.
    pub(super) fn inserted(&mut self, table: &DynamicTable, hashes: Hashes) {
        let number = table.inserted() - 1;
        let newest = self.newest.get_or_insert_with(|| {
            Box::new(Newest {
                by_field: [NONE; BUCKETS],
                by_name: [NONE; BUCKETS],
            })
        });
        let by_field = &mut newest.by_field[bucket(hashes.field)];
        let by_name = &mut newest.by_name[bucket(hashes.name)];
        self.older.push_back(Older {
            field: *by_field,
            name: *by_name,
        });
        *by_field = number;
        *by_name = number;
        self.evicted(table);
    }

    /// Removes entries that were evicted from the table.
    pub(super) fn evicted(&mut self, table: &DynamicTable) {
        let gone = self.older.len().saturating_sub(table.len());
        self.older.drain(..gone);
    }

    fn older(&self, table: &DynamicTable, number: u64) -> Older {
        let age = table.inserted() - number;
        let place = usize::try_from(age)
            .ok()
            .and_then(|age| self.older.len().checked_sub(age));
        match place.and_then(|place| self.older.get(place)) {
            Some(&older) => older,
            None => Older {
                field: NONE,
                name: NONE,
            },
        }
    }
}

#[inline]
const fn bucket(hash: u64) -> usize {
    (hash >> 20) as usize % BUCKETS
}
