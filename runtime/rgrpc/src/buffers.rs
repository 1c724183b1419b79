//! Large buffers, which are used again.
//!
//! A message of a megabyte needs a buffer on each side of each copy, for a moment. An allocator
//! gives such memory back to the system as soon as it is free, and the system clears every page of
//! the next one: more work than all else that is done with the message. So a few of them are kept,
//! for the whole process, because who frees a buffer is often another thread than who takes the
//! next.
//!
//! Source: grpc-go `mem.BufferPool`.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Smaller ones the allocator keeps by itself.
const SMALLEST: usize = 32 * 1024;

/// How much memory is kept, in bytes.
const MAX_KEPT: usize = 16 * 1024 * 1024;

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    buffers: Vec::new(),
    bytes: 0,
});

/// An empty buffer with room for `len` bytes; to be [shared](share) when it is full.
pub(crate) fn take(len: usize) -> Vec<u8> {
    if len < SMALLEST {
        return Vec::with_capacity(len);
    }
    let kept = kept(|kept| kept.take(len));
    kept.unwrap_or_else(|| Vec::with_capacity(len.next_multiple_of(SMALLEST)))
}

/// The bytes of a buffer, which is kept once nobody has them any more.
#[inline]
pub(crate) fn share(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < SMALLEST {
        return buffer.into();
    }
    Bytes::from_owner(Lent(buffer))
}

fn kept<T>(operation: impl FnOnce(&mut Kept) -> T) -> T {
    // Nothing in here panics half way.
    operation(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A buffer that others read.
struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        // What is not kept is freed after the lock.
        let _surplus = kept(|kept| kept.put(buffer));
    }
}

/// Buffers that nobody uses, the last one freed at the end: what is left of it in the processor's
/// cache is of use to the next.
#[derive(Debug)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Kept {
    /// One with room for `len` bytes, and not for much more.
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (len..=len * 2).contains(&buffer.capacity());
        let index = self.buffers.iter().rposition(fits)?;
        let buffer = self.buffers.remove(index);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Keeps a buffer; gives it back when there are enough.
    fn put(&mut self, buffer: Vec<u8>) -> Option<Vec<u8>> {
        let bytes = self.bytes + buffer.capacity();
        if bytes > MAX_KEPT {
            return Some(buffer);
        }
        self.bytes = bytes;
        self.buffers.push(buffer);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(capacity: usize) -> Vec<u8> {
        Vec::with_capacity(capacity)
    }

    #[test]
    fn a_buffer_is_found_for_what_fills_half_of_it_or_more() {
        let mut kept = Kept {
            buffers: Vec::new(),
            bytes: 0,
        };
        assert!(kept.put(buffer(100_000)).is_none());
        for len in [100_001, 49_999] {
            assert!(kept.take(len).is_none(), "{len}");
        }
        assert!(kept.take(50_000).is_some());
        assert!(kept.take(50_000).is_none(), "it was taken");
        assert_eq!(kept.bytes, 0);
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let mut kept = Kept {
            buffers: Vec::new(),
            bytes: 0,
        };
        for _ in 0..16 {
            assert!(kept.put(buffer(1 << 20)).is_none());
        }
        assert!(kept.put(buffer(SMALLEST)).is_some());
        assert_eq!(kept.bytes, MAX_KEPT);
        assert!(kept.take(1 << 20).is_some());
        assert!(kept.put(buffer(SMALLEST)).is_none());
    }

    #[test]
    fn shared_bytes_are_those_of_the_buffer_large_or_small() {
        for len in [0, 10, SMALLEST, 3 * SMALLEST + 1] {
            let mut buffer = take(len);
            assert!(buffer.capacity() >= len && buffer.is_empty());
            buffer.resize(len, 7);
            let bytes = share(buffer);
            let part = bytes.slice(len / 2..);
            drop(bytes);
            assert_eq!(part, vec![7; len - len / 2]);
        }
    }
}
