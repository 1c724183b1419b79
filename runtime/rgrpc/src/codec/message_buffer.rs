//! The buffer that a message is encoded into.
//!
//! Created for each message by `framing.rs`; written by codecs, on the task that sends. The only
//! file of the crate with unsafe code, which Miri tests.

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes};
use rgrpc_http2::BytesQueue;

use crate::buffer_pool;

/// The minimum length of a [`Bytes`] that is shared instead of copied, in bytes.
const SEGMENT: usize = 16 * 1024;

/// The initial capacity for a message that may have shared parts, in bytes.
const INITIAL_CAPACITY: usize = 1024;

/// The buffer that a codec writes a message to, as a [`BufMut`].
///
/// Written data is copied into contiguous memory. The exception is a [`Bytes`] of 16 KiB or more:
/// it is shared and sent without a copy. A codec hands it over by [`put_shared`](Self::put_shared).
/// [`put`](BufMut::put), which prost calls, shares a source that gives its bytes away without a
/// copy. So a field of type `Bytes`, which the code generator's option `bytes` makes, costs the
/// same whatever its length.
#[derive(Debug, Default)]
pub struct MessageBuffer {
    /// The copied data.
    copied: Vec<u8>,
    segments: Vec<Segment>,
    /// The expected length of the message.
    expected: usize,
    /// The total length of the segments.
    shared: usize,
}

/// A shared part of the message.
#[derive(Debug)]
struct Segment {
    /// The offset in the copied data that the segment is inserted at.
    at: usize,
    bytes: Bytes,
}

impl MessageBuffer {
    /// Creates an empty buffer for a message of about `expected` bytes.
    #[must_use]
    #[inline]
    pub fn with_capacity(expected: usize) -> Self {
        let capacity = if expected < SEGMENT {
            expected
        } else {
            INITIAL_CAPACITY
        };
        Self {
            copied: Vec::with_capacity(capacity),
            segments: Vec::new(),
            expected,
            shared: 0,
        }
    }

    /// Returns the number of bytes written.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.copied.len() + self.shared
    }

    /// Returns whether nothing was written.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends `bytes` as they are. A short one is copied: a separate piece of the message costs
    /// more than the copy of less than 16 KiB.
    pub fn put_shared(&mut self, bytes: Bytes) {
        if bytes.len() >= SEGMENT {
            self.share(bytes);
        } else {
            self.put_slice(&bytes);
        }
    }

    /// Returns the copied data, which begins with the prefix of the message.
    #[inline]
    pub(super) fn copied_mut(&mut self) -> &mut [u8] {
        &mut self.copied
    }

    /// Converts the buffer into the pieces of the message, in order.
    #[inline]
    pub(super) fn into_pieces(self) -> BytesQueue {
        let mut copied = buffer_pool::share(self.copied);
        if self.segments.is_empty() {
            return copied.into();
        }
        let mut pieces = BytesQueue::default();
        let mut from = 0;
        for Segment { at, bytes } in self.segments {
            pieces.push(copied.split_to(at - from));
            pieces.push(bytes);
            from = at;
        }
        pieces.push(copied);
        pieces
    }

    /// Reserves capacity for `additional` bytes. If the buffer has to grow, it grows to the
    /// expected length at once.
    #[inline]
    fn reserve(&mut self, additional: usize) {
        if self.copied.capacity() - self.copied.len() < additional {
            self.grow(additional);
        }
    }

    #[cold]
    fn grow(&mut self, additional: usize) {
        let expected = self.expected.saturating_sub(self.shared);
        let len = self.copied.len() + additional;
        let mut grown = buffer_pool::take(expected.max(len).max(2 * self.copied.len()));
        grown.extend_from_slice(&self.copied);
        self.copied = grown;
    }

    fn share(&mut self, bytes: Bytes) {
        self.shared += bytes.len();
        self.segments.push(Segment {
            at: self.copied.len(),
            bytes,
        });
    }
}

// SAFETY: `chunk_mut` returns the spare memory of `copied`, and `advance_mut` marks a part of it as
// initialized. Both delegate to `Vec`'s implementation of the trait, which is sound. `chunk_mut`
// grows the `Vec` before it borrows from it, never after.
//
// The reason for unsafe code: `BufMut` is an unsafe trait, prost writes only to a `BufMut`, and the
// echo of a message of 1 MiB takes a quarter longer with one more copy.
#[allow(unsafe_code, reason = "see above")]
unsafe impl BufMut for MessageBuffer {
    #[inline]
    fn remaining_mut(&self) -> usize {
        usize::MAX - self.len()
    }

    #[inline]
    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller promises that it has written `count` bytes to the slice that
        // `chunk_mut` returned.
        unsafe { self.copied.advance_mut(count) }
    }

    #[inline]
    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.reserve(1);
        self.copied.chunk_mut()
    }

    #[inline]
    fn put<T: Buf>(&mut self, mut source: T) {
        let len = source.remaining();
        if len >= SEGMENT && is_shared(&mut source) {
            return self.share(source.copy_to_bytes(len));
        }
        self.reserve(len);
        self.copied.put(source);
    }

    #[inline]
    fn put_slice(&mut self, source: &[u8]) {
        self.reserve(source.len());
        self.copied.extend_from_slice(source);
    }

    #[inline]
    fn put_u8(&mut self, byte: u8) {
        self.reserve(1);
        self.copied.push(byte);
    }

    #[inline]
    fn put_bytes(&mut self, value: u8, count: usize) {
        self.reserve(count);
        self.copied.put_bytes(value, count);
    }
}

/// Returns whether `copy_to_bytes` gives all of a source's bytes away without a copy: an empty part
/// of it then points into the source.
///
/// This is the only way on which prost hands over a field of type `Bytes`.
fn is_shared(source: &mut impl Buf) -> bool {
    let all = source.chunk();
    let (is_contiguous, place) = (all.len() == source.remaining(), all.as_ptr());
    is_contiguous && source.copy_to_bytes(0).as_ptr() == place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(buffer: MessageBuffer) -> Vec<Bytes> {
        let mut pieces = buffer.into_pieces();
        std::iter::from_fn(|| pieces.pop()).collect()
    }

    #[test]
    fn long_bytes_are_shared_and_the_rest_is_copied() {
        let long = Bytes::from(vec![b'L'; SEGMENT]);
        for (expected, name) in [(0, "unknown"), (100, "too few"), (3 * SEGMENT, "enough")] {
            let mut buffer = MessageBuffer::with_capacity(expected);
            buffer.put_slice(b"front");
            buffer.put(long.clone());
            buffer.put(long.slice(1..));
            buffer.put_bytes(b'!', 3);
            buffer.put(&long[..]);
            buffer.put_u16(0x4142);
            buffer.put(long.clone());
            assert_eq!(buffer.len(), 4 * SEGMENT + 9, "{name}");
            let pieces = pieces(buffer);
            let lengths: Vec<_> = pieces.iter().map(Bytes::len).collect();
            assert_eq!(lengths, [5, SEGMENT, 2 * SEGMENT + 4, SEGMENT], "{name}");
            for shared in [&pieces[1], &pieces[3]] {
                assert_eq!(shared.as_ptr(), long.as_ptr(), "{name}");
            }
            assert_eq!(pieces[2][SEGMENT - 1..][..4], *b"!!!L", "{name}");
            assert!(pieces[2].ends_with(b"LAB"), "{name}");
        }
    }

    #[test]
    fn bytes_that_a_codec_hands_over_are_shared_unless_they_are_short() {
        for (len, is_shared) in [(0, false), (SEGMENT - 1, false), (SEGMENT, true)] {
            let bytes = Bytes::from(vec![b'B'; len]);
            let mut buffer = MessageBuffer::with_capacity(0);
            buffer.put_u8(b'-');
            buffer.put_shared(bytes.clone());
            assert_eq!(buffer.len(), 1 + len);
            let pieces = pieces(buffer);
            assert_eq!(pieces.concat().len(), 1 + len);
            let shared = pieces.iter().any(|piece| piece.as_ptr() == bytes.as_ptr());
            assert_eq!(shared, is_shared, "{len}");
        }
    }

    #[test]
    fn a_source_is_shared_if_it_gives_its_bytes_away_without_a_copy() {
        let bytes = Bytes::from(vec![b'B'; 100]);
        assert!(is_shared(&mut bytes.clone()));
        assert!(is_shared(&mut bytes.clone().take(50)));
        assert!(is_shared(&mut Bytes::from_static(b"static")));
        assert!(!is_shared(&mut &bytes[..]));
        assert!(!is_shared(&mut std::io::Cursor::new(&bytes)));
        assert!(!is_shared(&mut bytes.clone().chain(bytes.clone())));
    }

    #[test]
    fn copied_data_is_contiguous_whatever_length_was_expected() {
        let chunk: Vec<u8> = (0..100).collect();
        for expected in [0, 1, 1_000, SEGMENT, 1 << 20] {
            let mut buffer = MessageBuffer::with_capacity(expected);
            assert!(buffer.is_empty());
            for _ in 0..500 {
                buffer.put_u8(chunk[0]);
                buffer.put_slice(&chunk[1..]);
            }
            let pieces = pieces(buffer);
            let [piece] = &pieces[..] else {
                panic!("{} pieces", pieces.len());
            };
            assert_eq!(piece, &chunk.repeat(500));
        }
    }

    #[test]
    fn the_buffer_grows_once_to_the_expected_length() {
        let mut buffer = MessageBuffer::with_capacity(1 << 20);
        assert!(buffer.copied.capacity() < SEGMENT);
        buffer.put_bytes(0, INITIAL_CAPACITY + 1);
        assert!(buffer.copied.capacity() >= 1 << 20);
        let place = buffer.copied.as_ptr();
        buffer.put_slice(&vec![0; (1 << 20) - buffer.len()]);
        assert_eq!(buffer.copied.as_ptr(), place);
    }
}
