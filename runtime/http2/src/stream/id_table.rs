//! The map from stream ids to stream keys.

use std::collections::HashMap;

use super::StreamKey;

/// The initial number of places of a table.
const FIRST_PLACES: usize = 4;

/// A map from stream ids to stream keys, optimized for consecutive ids.
///
/// Stream ids are assigned in order, and most streams are short. So each id has one place in a
/// ring. If that place is occupied, the id goes into a hash map. The hash function of that map is
/// seeded randomly, so a peer cannot choose ids that collide in it.
#[derive(Debug, Default)]
pub(super) struct IdTable {
    /// The ring. Its length is zero or a power of two. Id 0 marks an empty place.
    places: Vec<Place>,
    /// The ids whose place was occupied.
    displaced: HashMap<u32, StreamKey>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    id: u32,
    key: StreamKey,
}

const EMPTY: Place = Place {
    id: 0,
    key: StreamKey {
        slot: 0,
        generation: 0,
    },
};

impl IdTable {
    /// Finds a stream.
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<StreamKey> {
        match self.places.get(self.place(id)) {
            Some(place) if place.id == id && id != 0 => Some(place.key),
            _ if self.displaced.is_empty() => None,
            _ => self.displaced.get(&id).copied(),
        }
    }

    /// Adds a stream. The id must not be 0 and must not be in the table.
    #[inline]
    pub(super) fn insert(&mut self, id: u32, key: StreamKey) {
        self.len += 1;
        let index = self.place(id);
        match self.places.get_mut(index) {
            Some(place) if place.id == 0 => *place = Place { id, key },
            _ => self.insert_displaced(id, key),
        }
    }

    /// Removes a stream.
    #[inline]
    pub(super) fn remove(&mut self, id: u32) {
        let index = self.place(id);
        match self.places.get_mut(index) {
            Some(place) if place.id == id => *place = EMPTY,
            _ => drop(self.displaced.remove(&id)),
        }
        self.len -= 1;
    }

    /// Frees the memory of an empty table.
    pub(super) fn shrink(&mut self) {
        if self.len == 0 {
            *self = Self::default();
        }
    }

    /// Returns the place of an id. The lowest bit is ignored, because the ids of one end are all
    /// odd or all even.
    #[inline]
    fn place(&self, id: u32) -> usize {
        (id >> 1) as usize & self.places.len().wrapping_sub(1)
    }

    /// Adds a stream whose place is occupied, or enlarges the ring.
    #[cold]
    fn insert_displaced(&mut self, id: u32, key: StreamKey) {
        // The ring grows only while it has fewer than two places per stream.
        if self.places.len() >= 2 * self.len {
            self.displaced.insert(id, key);
            return;
        }
        let length = (2 * self.places.len()).max(FIRST_PLACES);
        let old = std::mem::replace(&mut self.places, vec![EMPTY; length]);
        let displaced = std::mem::take(&mut self.displaced);
        let old = old.into_iter().filter(|place| place.id != 0);
        let displaced = displaced.into_iter().map(|(id, key)| Place { id, key });
        for moved in old.chain(displaced).chain([Place { id, key }]) {
            let index = self.place(moved.id);
            if self.places[index].id == 0 {
                self.places[index] = moved;
            } else {
                self.displaced.insert(moved.id, moved.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32) -> StreamKey {
        StreamKey {
            slot: id,
            generation: 1,
        }
    }

    fn check(ids: impl Iterator<Item = u32> + Clone) {
        let mut table = IdTable::default();
        for id in ids.clone() {
            assert_eq!(table.get(id), None);
            table.insert(id, key(id));
        }
        for id in ids.clone() {
            assert_eq!(table.get(id), Some(key(id)));
        }
        for id in ids.clone().step_by(2) {
            table.remove(id);
        }
        for (count, id) in ids.clone().enumerate() {
            assert_eq!(table.get(id).is_some(), count % 2 == 1);
        }
        for id in ids.skip(1).step_by(2) {
            table.remove(id);
        }
        assert_eq!(table.len, 0);
        assert!(table.displaced.is_empty());
    }

    #[test]
    fn ids_in_sequence_are_found() {
        check((1..20_000).step_by(2));
    }

    #[test]
    fn ids_that_share_one_place_are_found() {
        check((0..1_000).map(|n| n * (1 << 20) + 1));
    }

    #[test]
    fn id_0_is_never_found() {
        let mut table = IdTable::default();
        assert_eq!(table.get(0), None);
        table.insert(1, key(1));
        assert_eq!(table.get(0), None);
    }

    #[test]
    fn the_ring_grows_with_concurrent_streams_and_not_with_ids() {
        let mut table = IdTable::default();
        table.insert(1, key(1));
        for id in (3..100_000).step_by(2) {
            table.insert(id, key(id));
            table.remove(id);
            assert_eq!(table.get(1), Some(key(1)));
        }
        assert_eq!(table.places.len(), FIRST_PLACES);
    }
}
