use bytes::BytesMut;

/// How much a read takes at least: what a connection holds that has little to say.
const MIN_READ: usize = 2 * 1024;

/// How much a read takes at most.
const MAX_READ: usize = 256 * 1024;

/// How many buffers are kept, of which parts were handed on.
const MAX_LENT: usize = 8;

/// What was read and is not a whole frame yet, and where the next read goes.
///
/// Frames are handed on as parts of the buffer that they were read into, which can be used again once
/// they are gone. Until then reading goes on in another.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    current: BytesMut,
    /// Those that parts of may be in use, the oldest first.
    lent: Vec<BytesMut>,
    /// How much the next read takes: more where reads come back full.
    read_size: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self {
            current: BytesMut::new(),
            lent: Vec::new(),
            read_size: MIN_READ,
        }
    }

    /// What was read, of which frames are taken off the front.
    pub(super) fn unread(&mut self) -> &mut BytesMut {
        &mut self.current
    }

    /// The same, with room for the next read behind it.
    pub(super) fn with_room(&mut self) -> &mut BytesMut {
        if self.room() < self.read_size / 2 && !self.current.try_reclaim(self.read_size) {
            let next = self.replacement();
            self.replace(next);
        }
        &mut self.current
    }

    /// How much the next read can take.
    pub(super) fn room(&self) -> usize {
        self.current.capacity() - self.current.len()
    }

    /// A read has taken this much, and could have taken as much as there was `room` for.
    pub(super) fn has_read(&mut self, octets: usize, room: usize) {
        if octets == room {
            self.read_size = (self.read_size * 2).min(MAX_READ);
        }
    }

    /// Gives back the memory that is only held for speed.
    pub(super) fn trim(&mut self) {
        self.lent = Vec::new();
        self.read_size = MIN_READ;
        self.current = BytesMut::from(&self.current[..]);
    }

    /// A buffer that has come back, or a new one, with room for what is unread and the next read.
    fn replacement(&mut self) -> BytesMut {
        let needed = self.read_size + self.current.len();
        let back = |buffer: &mut BytesMut| buffer.try_reclaim(needed);
        match self.lent.iter_mut().position(back) {
            Some(index) => self.lent.remove(index),
            None => BytesMut::with_capacity(needed),
        }
    }

    fn replace(&mut self, mut next: BytesMut) {
        next.extend_from_slice(&self.current);
        let mut lent = std::mem::replace(&mut self.current, next);
        lent.clear();
        // Also one that is too small by now, until newer ones have taken its place.
        self.lent.push(lent);
        if self.lent.len() > MAX_LENT {
            self.lent.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads this many octets; returns where they lie.
    fn read(buffer: &mut ReadBuffer, octets: usize) -> *const u8 {
        let before = buffer.unread().len();
        let input = buffer.with_room();
        let octets = octets.min(input.capacity() - input.len());
        let room = input.capacity() - input.len();
        input.resize(before + octets, 1);
        let place = input[before..].as_ptr();
        buffer.has_read(octets, room);
        place
    }

    #[test]
    fn a_buffer_is_used_again_when_its_parts_are_gone() {
        let mut buffer = ReadBuffer::new();
        let first = read(&mut buffer, 1_500);
        let frame = buffer.unread().split_to(1_500).freeze();
        let second = read(&mut buffer, 1_500);
        assert_ne!(first, second, "the first is in use");
        drop(frame);
        buffer.unread().clear();
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(read(&mut buffer, 1_500));
            buffer.unread().clear();
        }
        places.dedup();
        assert_eq!(places.len(), 1, "one buffer does");
    }

    #[test]
    fn what_is_unread_stays_in_front_of_what_is_read_next() {
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
        buffer.trim();
        assert_eq!(buffer.unread(), "part of a frame");
        assert!(buffer.unread().capacity() < MIN_READ);
        buffer.with_room();
        assert!(buffer.room() < 2 * MIN_READ);
    }

    #[test]
    fn few_buffers_are_kept_however_many_are_lent() {
        let mut buffer = ReadBuffer::new();
        let mut frames = Vec::new();
        for _ in 0..100 {
            read(&mut buffer, 1_500);
            frames.push(buffer.unread().split_to(1_500).freeze());
        }
        assert_eq!(buffer.lent.len(), MAX_LENT);
    }
}
