//! Pools of the large buffers of messages.
//!
//! A message of a megabyte needs a buffer for each copy on each side, for a moment. An allocator
//! returns such memory to the system as soon as it is free, and the system clears every page of the
//! next allocation. That costs more than all other work on the message. A pool is not bound to a
//! thread, because a buffer is often freed on another one than the next buffer is taken on.
//!
//! Callers: codecs, compressors and transports, on the task of a call or a connection.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;

use crate::lock::lock;

/// The smallest pooled buffer, in bytes. Allocators keep smaller ones by themselves.
pub(crate) const MIN_BUFFER: usize = 32 * 1024;

/// The size of the shared pool, in bytes.
const SHARED: usize = 16 * 1024 * 1024;

static SHARED_POOL: LazyLock<BufferPool> = LazyLock::new(|| BufferPool::new(SHARED));

/// A pool of the buffers of received messages.
///
/// A channel or a server with the option `buffer_pool`
/// ([`ClientConnBuilder::buffer_pool`](crate::ClientConnBuilder::buffer_pool),
/// [`Server::buffer_pool`](crate::Server::buffer_pool)) takes from it the buffers of 32 KiB or more
/// that it reads messages into, joins their pieces in and decompresses them to. A buffer returns to
/// the pool when the message and all `Bytes` that point into it are dropped.
///
/// The clones of a handle are one pool, which any number of channels and servers can share.
/// Default: [`shared`](Self::shared). A program with few large messages keeps less memory with a
/// small pool, and one with many keeps a pool of its own for a channel whose messages are larger
/// than all others.
///
/// Messages are encoded and compressed into buffers of the shared pool, whatever the option.
///
/// Source: grpc-go `mem.BufferPool`, `experimental.WithBufferPool`, `experimental.BufferPool`.
#[derive(Clone)]
pub struct BufferPool(Arc<Pool>);

struct Pool {
    /// The maximum size of all unused buffers, in bytes.
    max: usize,
    unused: Mutex<UnusedBuffers>,
}

impl BufferPool {
    /// Creates a pool that keeps at most `max_bytes` bytes of unused buffers. Buffers in use are
    /// not counted. With 0 each buffer is allocated and freed.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Pool {
            max: max_bytes,
            unused: Mutex::default(),
        }))
    }

    /// Returns the process-wide pool, which keeps at most 16 MiB. It is the default of all channels
    /// and servers.
    #[must_use]
    pub fn shared() -> Self {
        SHARED_POOL.clone()
    }

    /// Returns the maximum size of the unused buffers, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.0.max
    }

    /// Returns the size of the buffers that the pool keeps at present, in bytes.
    #[must_use]
    pub fn unused_bytes(&self) -> usize {
        lock(&self.0.unused).bytes
    }

    /// Takes an empty buffer with a capacity of at least `len` bytes; [`share`](Self::share)
    /// returns it to the pool.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        if len < MIN_BUFFER {
            return Vec::with_capacity(len);
        }
        let unused = lock(&self.0.unused).take(len);
        unused.unwrap_or_else(|| Vec::with_capacity(len.next_multiple_of(MIN_BUFFER)))
    }

    /// Converts a buffer into shared bytes. The buffer returns to the pool with their last clone.
    pub(crate) fn share(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < MIN_BUFFER {
            return buffer.into();
        }
        let pool = self.clone();
        Bytes::from_owner(PooledBuffer { buffer, pool })
    }
}

impl Default for BufferPool {
    /// The [shared](Self::shared) pool.
    fn default() -> Self {
        Self::shared()
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("max_bytes", &self.max_bytes())
            .field("unused_bytes", &self.unused_bytes())
            .finish()
    }
}

/// Takes a buffer of the shared pool; see [`BufferPool::take`].
pub(crate) fn take(len: usize) -> Vec<u8> {
    if len < MIN_BUFFER {
        return Vec::with_capacity(len);
    }
    SHARED_POOL.take(len)
}

/// Converts a buffer of the shared pool into shared bytes; see [`BufferPool::share`].
#[inline]
pub(crate) fn share(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < MIN_BUFFER {
        return buffer.into();
    }
    SHARED_POOL.share(buffer)
}

/// A shared buffer that returns to its pool when it is dropped.
struct PooledBuffer {
    buffer: Vec<u8>,
    pool: BufferPool,
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let Pool { max, unused } = &*self.pool.0;
        // A rejected buffer is freed after the lock is released.
        let _rejected = lock(unused).put(buffer, *max);
    }
}

/// Unused buffers, in the order in which they were freed. The last one is taken first, because the
/// processor's cache may still hold a part of it.
#[derive(Debug, Default)]
struct UnusedBuffers {
    buffers: Vec<Vec<u8>>,
    /// The capacity of all buffers, in bytes.
    bytes: usize,
}

impl UnusedBuffers {
    /// Takes a buffer with a capacity of at least `len` bytes and at most twice that.
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (len..=len * 2).contains(&buffer.capacity());
        let index = self.buffers.iter().rposition(fits)?;
        let buffer = self.buffers.remove(index);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Adds a buffer, or returns it if there would be more than `max` bytes.
    fn put(&mut self, buffer: Vec<u8>, max: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes + buffer.capacity();
        if bytes > max {
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
        let mut pool = UnusedBuffers::default();
        assert!(pool.put(buffer(100_000), SHARED).is_none());
        for len in [100_001, 49_999] {
            assert!(pool.take(len).is_none(), "{len}");
        }
        assert!(pool.take(50_000).is_some());
        assert!(pool.take(50_000).is_none(), "the pool is empty");
        assert_eq!(pool.bytes, 0);
    }

    #[test]
    fn the_pool_holds_at_most_its_limit() {
        let mut pool = UnusedBuffers::default();
        for _ in 0..16 {
            assert!(pool.put(buffer(1 << 20), SHARED).is_none());
        }
        assert!(pool.put(buffer(MIN_BUFFER), SHARED).is_some());
        assert_eq!(pool.bytes, SHARED);
        assert!(pool.take(1 << 20).is_some());
        assert!(pool.put(buffer(MIN_BUFFER), SHARED).is_none());
    }

    #[test]
    fn a_pool_has_what_was_freed_and_no_more_than_its_maximum() {
        for (max, kept) in [
            (0, 0),
            (MIN_BUFFER, MIN_BUFFER),
            (10 * MIN_BUFFER, 2 * MIN_BUFFER),
        ] {
            let pool = BufferPool::new(max);
            let bytes: Vec<_> = [MIN_BUFFER; 2].map(|len| pool.share(pool.take(len))).into();
            assert_eq!(pool.unused_bytes(), 0, "in use");
            let clones = bytes.clone();
            drop(bytes);
            assert_eq!(pool.unused_bytes(), 0, "the clones are in use");
            drop(clones);
            assert_eq!((pool.max_bytes(), pool.unused_bytes()), (max, kept));
            let again = pool.clone().take(MIN_BUFFER);
            assert_eq!(pool.unused_bytes(), kept.saturating_sub(MIN_BUFFER));
            drop(again);
        }
        assert_eq!(BufferPool::default().max_bytes(), 16 * 1024 * 1024);
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
