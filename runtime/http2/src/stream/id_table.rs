//! From stream ids to streams.

use std::collections::HashMap;

use super::StreamKey;

/// How many places a table begins with.
const FIRST_PLACES: usize = 32;

/// A map that makes use of how ids come: one after the other, most of them gone again by the time
/// their place comes around. An id has one place; whoever finds that taken goes into a hash map,
/// whose hashing a peer that picks its ids cannot foresee.
#[derive(Debug, Default)]
pub(super) struct IdTable {
    /// A power of two of them, or none. Id 0 marks an empty one.
    places: Vec<Place>,
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

    /// Adds a stream. The id must not be 0, and not be in the table.
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

    /// Gives back memory, if the table is empty.
    pub(super) fn shrink(&mut self) {
        if self.len == 0 {
            *self = Self::default();
        }
    }

    /// The place of an id: those of one end's streams are all odd, or all even.
    #[inline]
    fn place(&self, id: u32) -> usize {
        (id >> 1) as usize & self.places.len().wrapping_sub(1)
    }

    #[cold]
    fn insert_displaced(&mut self, id: u32, key: StreamKey) {
        // There is room to be had only while there are fewer than two places for a stream.
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
    fn ids_that_all_have_one_place_are_found() {
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
    fn ids_in_sequence_need_no_more_places_than_streams_live_at_a_time() {
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
