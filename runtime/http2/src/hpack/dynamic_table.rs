//! The dynamic table (RFC 7541 sections 2.3.2 and 4) of a decoder or an encoder.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Defect, FIELD_OVERHEAD, static_table};

/// An entry of the table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The name.
    pub(super) name: Bytes,
    /// The value.
    pub(super) value: Bytes,
    /// The defect of the name. The encoder does not check names.
    pub(super) name_defect: Option<Defect>,
    /// The defect of the value. The encoder does not check values.
    pub(super) value_defect: Option<Defect>,
}

impl Entry {
    fn size(&self) -> usize {
        self.name.len() + self.value.len() + FIELD_OVERHEAD
    }
}

/// A first-in, first-out table with a maximum size.
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// The entries, oldest first.
    entries: VecDeque<Entry>,
    /// The current size, in octets including 32 for each entry.
    size: usize,
    max_size: usize,
    /// The number of entries inserted so far.
    inserted: u64,
}

impl DynamicTable {
    /// Creates an empty table.
    pub(super) fn new(max_size: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max_size,
            inserted: 0,
        }
    }

    /// Returns the maximum size, in octets.
    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the number of entries inserted so far, which is the number of the next entry.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Returns the entry with this index (section 2.3.3). The newest entry has the first index
    /// after the static table.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        let age = index.checked_sub(static_table::LEN + 1)?;
        self.entries.get(self.entries.len().checked_sub(age + 1)?)
    }

    /// Returns the entry with this number and its index, or `None` if it has been evicted.
    #[inline]
    pub(super) fn by_number(&self, number: u64) -> Option<(&Entry, usize)> {
        let age = usize::try_from(self.inserted.checked_sub(number.checked_add(1)?)?).ok()?;
        let index = static_table::LEN + 1 + age;
        Some((self.get(index)?, index))
    }

    /// Sets the maximum size, and evicts entries if necessary.
    pub(super) fn resize(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict_to(max_size);
    }

    /// Inserts an entry. An entry larger than the table empties the table, which is not an error
    /// (section 4.4).
    pub(super) fn insert(&mut self, entry: Entry) {
        self.inserted += 1;
        let size = entry.size();
        self.evict_to(self.max_size.saturating_sub(size));
        if size <= self.max_size {
            self.size += size;
            self.entries.push_back(entry);
        }
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.size -= oldest.size();
        }
    }
}
