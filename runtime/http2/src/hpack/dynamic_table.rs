//! The dynamic table (RFC 7541 sections 2.3.2 and 4), the same for both directions.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Defect, FIELD_OVERHEAD, static_table};

/// An entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The name.
    pub(super) name: Bytes,
    /// The value.
    pub(super) value: Bytes,
    /// What no name may have. The encoder, which is not asked to judge, finds none.
    pub(super) name_defect: Option<Defect>,
    /// Likewise for the value.
    pub(super) value_defect: Option<Defect>,
}

impl Entry {
    fn size(&self) -> usize {
        self.name.len() + self.value.len() + FIELD_OVERHEAD
    }
}

/// First in, first out, and never larger than its maximum.
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// The oldest first.
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
    inserted: u64,
}

impl DynamicTable {
    /// An empty table.
    pub(super) fn new(max_size: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max_size,
            inserted: 0,
        }
    }

    /// The maximum size.
    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries have been inserted, ever: the number of the next one.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted
    }

    /// The entry of an index (section 2.3.3): the newest has the first after the static table.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        let age = index.checked_sub(static_table::LEN + 1)?;
        self.entries.get(self.entries.len().checked_sub(age + 1)?)
    }

    /// The entry of a number, and its index, while it is in the table.
    #[inline]
    pub(super) fn by_number(&self, number: u64) -> Option<(&Entry, usize)> {
        let age = usize::try_from(self.inserted.checked_sub(number.checked_add(1)?)?).ok()?;
        let index = static_table::LEN + 1 + age;
        Some((self.get(index)?, index))
    }

    /// Sets the maximum size. Returns whether that evicted anything.
    pub(super) fn resize(&mut self, max_size: usize) -> bool {
        self.max_size = max_size;
        let before = self.entries.len();
        self.evict_to(max_size);
        before != self.entries.len()
    }

    /// Inserts an entry. One that is larger than the table empties it, which is no error (section
    /// 4.4).
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
