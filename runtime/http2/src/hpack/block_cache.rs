//! A cache of decoded header blocks.
//!
//! A peer whose fields are all in the dynamic table sends the same few octets for every call of a
//! method. As long as no block changes the table, they have the same meaning and need no decoding.

use super::hash;

/// The number of cached blocks, about the number of methods that a connection uses at a time.
const PLACES: usize = 16;

/// The maximum length of a cached block, in octets. Longer blocks rarely repeat.
const MAX_BLOCK: usize = 256;

/// A bounded cache from encoded header blocks to values of the owner.
///
/// A block is stored when it is seen for the second time. So blocks that never repeat cost no copy
/// and evict nothing.
#[derive(Debug)]
pub(crate) struct BlockCache<V> {
    places: Vec<Place<V>>,
}

#[derive(Debug)]
struct Place<V> {
    /// The hash of the last block that was not found in this place.
    seen: u64,
    entry: Option<Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    block: Box<[u8]>,
    /// The generation of the decoder's table for which the block is valid.
    generation: u64,
    value: V,
}

/// The hash of a block that was not found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockHash(u64);

impl<V> BlockCache<V> {
    /// Creates an empty cache, which does not allocate until a block is stored.
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new() }
    }

    /// Returns the value of a block in this generation of the table, or the hash for
    /// [`store`](Self::store).
    #[inline]
    pub(crate) fn get(&self, block: &[u8], generation: u64) -> Result<&V, BlockHash> {
        let hash = hash::hash(block.get(..MAX_BLOCK).unwrap_or(block));
        if let Some(place) = self.places.get(place(hash))
            && let Some(entry) = &place.entry
            && entry.generation == generation
            && *entry.block == *block
        {
            return Ok(&entry.value);
        }
        Err(BlockHash(hash))
    }

    /// Stores the value of a block if the block is short and was seen before.
    pub(crate) fn store(
        &mut self,
        block: &[u8],
        hash: BlockHash,
        generation: u64,
        value: impl FnOnce() -> V,
    ) {
        if block.len() > MAX_BLOCK {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || Place {
                seen: 0,
                entry: None,
            });
        }
        let BlockHash(hash) = hash;
        let place = &mut self.places[place(hash)];
        if place.seen != hash {
            place.seen = hash;
            return;
        }
        place.entry = Some(Entry {
            block: block.into(),
            generation,
            value: value(),
        });
    }

    /// Removes everything and frees the memory.
    pub(crate) fn clear(&mut self) {
        self.places = Vec::new();
    }
}

#[inline]
const fn place(hash: u64) -> usize {
    (hash >> 16) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(cache: &mut BlockCache<u32>, block: &[u8], generation: u64, value: u32) {
        if let Err(hash) = cache.get(block, generation) {
            cache.store(block, hash, generation, || value);
        }
    }

    #[test]
    fn a_block_is_stored_when_it_is_seen_a_second_time() {
        let mut cache = BlockCache::new();
        store(&mut cache, b"block", 1, 10);
        assert!(cache.get(b"block", 1).is_err());
        store(&mut cache, b"block", 1, 10);
        assert_eq!(cache.get(b"block", 1).ok(), Some(&10));
        assert!(cache.get(b"other", 1).is_err());
    }

    #[test]
    fn a_block_of_another_generation_of_the_table_is_not_found() {
        let mut cache = BlockCache::new();
        store(&mut cache, b"block", 1, 10);
        store(&mut cache, b"block", 1, 10);
        assert!(cache.get(b"block", 2).is_err());
        store(&mut cache, b"block", 2, 20);
        assert_eq!(cache.get(b"block", 2).ok(), Some(&20));
    }

    #[test]
    fn a_long_block_is_not_stored() {
        let mut cache = BlockCache::new();
        let block = [7; MAX_BLOCK + 1];
        for _ in 0..3 {
            store(&mut cache, &block, 1, 10);
        }
        assert!(cache.get(&block, 1).is_err());
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = BlockCache::new();
        for value in 0..10_000_u32 {
            store(&mut cache, &value.to_be_bytes(), 1, value);
            store(&mut cache, &value.to_be_bytes(), 1, value);
        }
        assert_eq!(cache.places.len(), PLACES);
    }
}
