//! The storage of streams: reusable slots, found by key or by id.

use super::id_table::IdTable;
use super::{SendQueue, SendWindow, State, Stream, StreamKey, StreamWindow};

/// The generation of an empty slot. No key has it.
const VACANT: u32 = 0;

/// The streams of a connection.
#[derive(Debug)]
pub(crate) struct Store<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    last_generation: u32,
    ids: IdTable,
}

#[derive(Debug)]
struct Slot<T> {
    /// The generation of the stream's key, or [`VACANT`].
    generation: u32,
    stream: Stream<T>,
}

impl<T> Store<T> {
    /// Creates a store without streams.
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            last_generation: VACANT,
            ids: IdTable::default(),
        }
    }

    /// Returns the number of streams.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds a stream. A stream with the id 0 can only be found by its key.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        id: u32,
        state: State,
        send_window: SendWindow,
        receive_window: StreamWindow,
    ) -> StreamKey {
        // A connection has fewer stream ids than there are generations, so none is used twice.
        self.last_generation = self.last_generation.wrapping_add(1);
        let generation = self.last_generation;
        let slot_index = match self.free.pop() {
            Some(slot_index) => {
                let slot = &mut self.slots[slot_index as usize];
                slot.generation = generation;
                let stream = &mut slot.stream;
                stream.id = id;
                stream.state = state;
                stream.send_window = send_window;
                stream.receive_window = receive_window;
                slot_index
            }
            None => {
                if self.slots.is_empty() {
                    // Most idle connections have one call at a time.
                    self.slots.reserve_exact(1);
                }
                self.slots.push(Slot {
                    generation,
                    stream: Stream {
                        id,
                        state,
                        send_window,
                        receive_window,
                        opened_at: None,
                        content_left: None,
                        queue: SendQueue::default(),
                        scheduled: false,
                        wake_below: None,
                        opening: None,
                        value: None,
                    },
                });
                self.slots.len() as u32 - 1
            }
        };
        let key = StreamKey {
            slot: slot_index,
            generation,
        };
        if id != 0 {
            self.ids.insert(id, key);
        }
        key
    }

    /// Sets the id of a stream.
    pub(crate) fn set_id(&mut self, key: StreamKey, id: u32) {
        if let Some(stream) = self.get_mut(key) {
            stream.id = id;
            self.ids.insert(id, key);
        }
    }

    /// Returns the key of the stream with this id.
    #[inline]
    pub(crate) fn find(&self, id: u32) -> Option<StreamKey> {
        self.ids.get(id)
    }

    /// Returns the stream with this key.
    #[inline]
    pub(crate) fn get(&self, key: StreamKey) -> Option<&Stream<T>> {
        let slot = self.slots.get(key.slot as usize)?;
        (slot.generation == key.generation).then_some(&slot.stream)
    }

    /// Returns the stream with this key, mutably.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream<T>> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        (slot.generation == key.generation).then_some(&mut slot.stream)
    }

    /// Removes a stream. Returns the owner's value.
    #[inline]
    pub(crate) fn remove(&mut self, key: StreamKey) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        slot.generation = VACANT;
        let stream = &mut slot.stream;
        stream.queue.clear();
        stream.content_left = None;
        stream.scheduled = false;
        stream.wake_below = None;
        stream.opening = None;
        let value = stream.value.take();
        if stream.id != 0 {
            self.ids.remove(stream.id);
        }
        self.free.push(key.slot);
        value
    }

    /// Returns an iterator over all streams.
    #[cfg(any(test, feature = "invariants"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream<T>> {
        let slots = self.slots.iter();
        slots
            .filter(|slot| slot.generation != VACANT)
            .map(|slot| &slot.stream)
    }

    /// Returns an iterator over all streams and their keys.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (StreamKey, &mut Stream<T>)> {
        let slots = self.slots.iter_mut().enumerate();
        slots
            .filter(|(_, slot)| slot.generation != VACANT)
            .map(|(index, slot)| {
                let key = StreamKey {
                    slot: index as u32,
                    generation: slot.generation,
                };
                (key, &mut slot.stream)
            })
    }

    /// Frees the memory of an empty store.
    pub(crate) fn shrink(&mut self) {
        if self.len() == 0 {
            self.slots = Vec::new();
            self.free = Vec::new();
            self.ids.shrink();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::MessagePhase;

    fn insert(store: &mut Store<u32>, id: u32) -> StreamKey {
        let state = State::Open {
            local: MessagePhase::Head,
            remote: MessagePhase::Body,
        };
        let key = store.insert(id, state, SendWindow::new(0), StreamWindow::new(0));
        if let Some(stream) = store.get_mut(key) {
            stream.value = Some(id);
        }
        key
    }

    #[test]
    fn a_stream_is_found_by_id_and_by_key_until_it_is_removed() {
        let mut store = Store::new();
        let (first, third) = (insert(&mut store, 1), insert(&mut store, 3));
        assert_eq!((store.find(1), store.find(3)), (Some(first), Some(third)));
        assert_eq!(store.get(first).and_then(|stream| stream.value), Some(1));
        assert_eq!(store.remove(first), Some(1));
        assert_eq!((store.find(1), store.find(3)), (None, Some(third)));
        assert!(store.get(first).is_none());
        assert_eq!(store.remove(first), None);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_slot_is_reused_and_its_old_key_is_invalid() {
        let mut store = Store::new();
        let first = insert(&mut store, 1);
        store.remove(first);
        let third = insert(&mut store, 3);
        assert_eq!(first.slot, third.slot);
        assert!(store.get(first).is_none());
        assert_eq!(store.get(third).map(|stream| stream.id), Some(3));
    }

    #[test]
    fn every_one_of_ten_thousand_streams_is_found() {
        let mut store = Store::new();
        let keys: Vec<_> = (0..10_000).map(|n| insert(&mut store, 2 * n + 1)).collect();
        for (n, &key) in keys.iter().enumerate() {
            assert_eq!(store.find(2 * n as u32 + 1), Some(key));
        }
        assert_eq!(store.iter_mut().count(), 10_000);
    }

    #[test]
    fn a_stream_can_get_its_id_later() {
        let mut store = Store::new();
        let key = insert(&mut store, 0);
        assert_eq!(store.find(0), None);
        store.set_id(key, 5);
        assert_eq!(store.find(5), Some(key));
    }
}
