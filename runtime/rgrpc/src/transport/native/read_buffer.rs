//! The input buffer of a connection. Owned by the connection's task.

use std::cell::RefCell;

use bytes::BytesMut;

/// The minimum size of a read, in octets.
const MIN_READ: usize = 8 * 1024;

/// The maximum size of a read, in octets.
const MAX_READ: usize = 256 * 1024;

/// The maximum number of buffers that a thread keeps.
const MAX_KEPT: usize = 8;

thread_local! {
    /// Buffers that no connection has, the last used at the end. Frames that were read into them
    /// may still be in use.
    static KEPT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// The input of a connection that is not a complete frame yet, and the target of the next read.
///
/// Frames are parts of the buffer that they were read into. The buffer can be used again once they
/// are dropped; until then reads go to another one. The buffers belong to the thread. A connection
/// has one while it reads, and while it has part of a frame. So an idle connection holds none, and
/// consecutive connections read into the same memory, which is still in the processor's cache.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    current: BytesMut,
    /// The size of the next read. It grows where reads fill the buffer.
    read_size: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self {
            current: BytesMut::new(),
            read_size: MIN_READ,
        }
    }

    /// Returns the input. The caller takes frames off its front.
    pub(super) fn unread(&mut self) -> &mut BytesMut {
        &mut self.current
    }

    /// Returns the input, with capacity for the next read behind it.
    pub(super) fn with_spare_capacity(&mut self) -> &mut BytesMut {
        let free = self.current.capacity() - self.current.len();
        if free < self.read_size / 2 && !self.current.try_reclaim(self.read_size) {
            let mut next = take(self.read_size + self.current.len());
            next.extend_from_slice(&self.current);
            keep(std::mem::replace(&mut self.current, next));
        }
        &mut self.current
    }

    /// Records that a read has filled a part of the capacity.
    pub(super) fn has_read(&mut self) {
        if self.current.len() == self.current.capacity() {
            self.read_size = (self.read_size * 2).min(MAX_READ);
        }
    }

    /// Releases the buffer to the thread if it is empty. Called when there is nothing to read.
    pub(super) fn park(&mut self) {
        if self.current.is_empty() {
            keep(std::mem::take(&mut self.current));
        }
    }

    /// Releases memory that is only held for speed, including the thread's buffers. Connections of
    /// the thread that are used soon allocate new ones.
    pub(super) fn shrink(&mut self) {
        self.read_size = MIN_READ;
        self.current = BytesMut::from(&self.current[..]);
        KEPT.take();
    }
}

/// Returns a buffer with a capacity of `len` octets: one that the thread keeps, or a new one.
fn take(len: usize) -> BytesMut {
    KEPT.with_borrow_mut(|kept| {
        let fits = kept.iter_mut().rposition(|buffer| buffer.try_reclaim(len));
        fits.map(|index| kept.remove(index))
    })
    .unwrap_or_else(|| BytesMut::with_capacity(len))
}

/// Keeps a buffer for the thread's connections, even if its content is still in use.
fn keep(mut buffer: BytesMut) {
    buffer.clear();
    KEPT.with_borrow_mut(|kept| {
        // The oldest is dropped: it is too small, or has been in use for long.
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        kept.push(buffer);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads this many octets. Returns their address.
    fn read(buffer: &mut ReadBuffer, octets: usize) -> *const u8 {
        let input = buffer.with_spare_capacity();
        let before = input.len();
        input.resize(input.capacity().min(before + octets), 1);
        let place = input[before..].as_ptr();
        buffer.has_read();
        place
    }

    #[test]
    fn a_buffer_is_used_again_when_its_parts_are_gone() {
        let mut buffer = ReadBuffer::new();
        let first = read(&mut buffer, MIN_READ * 3 / 4);
        let frame = buffer.unread().split().freeze();
        let second = read(&mut buffer, MIN_READ * 3 / 4);
        assert_ne!(first, second, "the first is in use");
        drop(frame);
        buffer.unread().clear();
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(read(&mut buffer, MIN_READ * 3 / 4));
            buffer.unread().clear();
        }
        places.dedup();
        assert_eq!(places.len(), 1, "one buffer does");
    }

    #[test]
    fn connections_of_a_thread_read_into_one_buffer() {
        let (mut one, mut other) = (ReadBuffer::new(), ReadBuffer::new());
        let first = read(&mut one, 100);
        one.unread().clear();
        one.park();
        assert_eq!(one.unread().capacity(), 0);
        assert_eq!(read(&mut other, 100), first);
    }

    #[test]
    fn a_connection_keeps_part_of_a_frame() {
        let (mut one, mut other) = (ReadBuffer::new(), ReadBuffer::new());
        let first = read(&mut one, 5);
        one.park();
        assert_ne!(read(&mut other, 100), first);
        assert_eq!(one.unread(), &[1; 5][..]);
    }

    #[test]
    fn unread_input_stays_in_front_of_the_next_input() {
        let mut buffer = ReadBuffer::new();
        let mut held = Vec::new();
        let mut expected = 0;
        for round in 0..200 {
            read(&mut buffer, 900);
            expected += 900;
            let taken = (round * 37) % expected;
            held.push(buffer.unread().split_to(taken).freeze());
            expected -= taken;
            assert_eq!(buffer.unread().len(), expected);
            assert!(buffer.unread().iter().all(|&octet| octet == 1));
        }
    }

    #[test]
    fn reads_that_come_back_full_grow_and_idle_connections_start_small_again() {
        let mut buffer = ReadBuffer::new();
        for _ in 0..20 {
            read(&mut buffer, usize::MAX);
            buffer.unread().clear();
        }
        assert_eq!(buffer.read_size, MAX_READ);
        buffer.unread().extend_from_slice(b"part of a frame");
        buffer.shrink();
        assert_eq!(buffer.unread(), "part of a frame");
        assert!(buffer.unread().capacity() < MIN_READ);
        assert!(buffer.with_spare_capacity().capacity() < 2 * MIN_READ);
    }

    #[test]
    fn few_buffers_are_kept_however_many_are_in_use() {
        let mut buffer = ReadBuffer::new();
        let mut frames = Vec::new();
        for _ in 0..100 {
            read(&mut buffer, MIN_READ * 3 / 4);
            frames.push(buffer.unread().split().freeze());
        }
        assert_eq!(KEPT.with_borrow(Vec::len), MAX_KEPT);
    }
}
