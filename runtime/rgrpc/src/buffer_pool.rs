//! A process-wide pool of large buffers.
//!
//! A message of a megabyte needs a buffer for each copy on each side, for a moment. An allocator
//! returns such memory to the system as soon as it is free, and the system clears every page of the
//! next allocation. That costs more than all other work on the message. The pool is one for the
//! process because a buffer is often freed on another thread than the next one is taken on.
//!
//! Callers: codecs, compressors and transports, on the task of a call or a connection.
//!
//! Source: grpc-go `mem.BufferPool`.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// The smallest pooled buffer, in bytes. Allocators keep smaller ones by themselves.
const MIN_BUFFER: usize = 32 * 1024;

/// The maximum size of all buffers in the pool, in bytes.
const MAX_POOLED: usize = 16 * 1024 * 1024;

static POOL: Mutex<BufferPool> = Mutex::new(BufferPool::new());

/// Takes an empty buffer with a capacity of at least `len` bytes; [`share`] returns it to the pool.
pub(crate) fn take(len: usize) -> Vec<u8> {
    if len < MIN_BUFFER {
        return Vec::with_capacity(len);
    }
    let pooled = with_pool(|pool| pool.take(len));
    pooled.unwrap_or_else(|| Vec::with_capacity(len.next_multiple_of(MIN_BUFFER)))
}

/// Converts a buffer into shared bytes. The buffer returns to the pool with their last clone.
#[inline]
pub(crate) fn share(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < MIN_BUFFER {
        return buffer.into();
    }
    Bytes::from_owner(PooledBuffer(buffer))
}

fn with_pool<T>(operation: impl FnOnce(&mut BufferPool) -> T) -> T {
    // A poisoned pool is valid: each operation is a single step.
    operation(&mut POOL.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A shared buffer that returns to the pool when it is dropped.
struct PooledBuffer(Vec<u8>);

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        // A rejected buffer is freed after the lock is released.
        let _rejected = with_pool(|pool| pool.put(buffer));
    }
}

/// Unused buffers, in the order in which they were freed. The last one is taken first, because the
/// processor's cache may still hold a part of it.
#[derive(Debug)]
struct BufferPool {
    buffers: Vec<Vec<u8>>,
    /// The capacity of all buffers, in bytes.
    bytes: usize,
}

impl BufferPool {
    const fn new() -> Self {
        Self {
            buffers: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a buffer with a capacity of at least `len` bytes and at most twice that.
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (len..=len * 2).contains(&buffer.capacity());
        let index = self.buffers.iter().rposition(fits)?;
        let buffer = self.buffers.remove(index);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Adds a buffer, or returns it if the pool is full.
    fn put(&mut self, buffer: Vec<u8>) -> Option<Vec<u8>> {
        let bytes = self.bytes + buffer.capacity();
        if bytes > MAX_POOLED {
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
    fn a_buffer_is_taken_for_a_length_of_at_least_half_its_capacity() {
        let mut pool = BufferPool::new();
        assert!(pool.put(buffer(100_000)).is_none());
        for len in [100_001, 49_999] {
            assert!(pool.take(len).is_none(), "{len}");
        }
        assert!(pool.take(50_000).is_some());
        assert!(pool.take(50_000).is_none(), "the pool is empty");
        assert_eq!(pool.bytes, 0);
    }

    #[test]
    fn the_pool_holds_at_most_its_limit() {
        let mut pool = BufferPool::new();
        for _ in 0..16 {
            assert!(pool.put(buffer(1 << 20)).is_none());
        }
        assert!(pool.put(buffer(MIN_BUFFER)).is_some());
        assert_eq!(pool.bytes, MAX_POOLED);
        assert!(pool.take(1 << 20).is_some());
        assert!(pool.put(buffer(MIN_BUFFER)).is_none());
    }

    #[test]
    fn shared_bytes_equal_the_buffer_whatever_its_size() {
        for len in [0, 10, MIN_BUFFER, 3 * MIN_BUFFER + 1] {
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
