use std::any::type_name;

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes};
use rgrpc_http2::BytesQueue;

use crate::buffers;

/// A part of a message from this length on is sent from where it lies, if it can be shared.
const SEGMENT: usize = 16 * 1024;

/// How much room a message gets at first that may have such parts.
const FIRST_ROOM: usize = 1024;

/// Where a codec writes a message, as a [`BufMut`].
///
/// Most of it is copied, one part behind the other. [`Bytes`] of 16 KiB and more that are
/// [`put`](BufMut::put) in whole are not: they are shared, and sent from where they lie. So a field
/// of type `Bytes`, as the option `bytes` of the code generator makes it, costs the same whatever
/// its length.
#[derive(Debug, Default)]
pub struct MessageBuffer {
    /// All that was copied.
    copied: Vec<u8>,
    segments: Vec<Segment>,
    /// How long the message was said to become.
    expected: usize,
    /// The length of all segments.
    shared: usize,
}

/// A part that is not copied.
#[derive(Debug)]
struct Segment {
    /// The place in what was copied before which it stands.
    at: usize,
    bytes: Bytes,
}

impl MessageBuffer {
    /// An empty buffer for a message of about `expected` bytes.
    #[must_use]
    pub fn with_capacity(expected: usize) -> Self {
        let room = if expected < SEGMENT {
            expected
        } else {
            FIRST_ROOM
        };
        Self {
            copied: Vec::with_capacity(room),
            segments: Vec::new(),
            expected,
            shared: 0,
        }
    }

    /// How many bytes were written.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.copied.len() + self.shared
    }

    /// Whether nothing was written.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was copied, of which the first part is where the message begins.
    #[inline]
    pub(super) fn copied_mut(&mut self) -> &mut [u8] {
        &mut self.copied
    }

    /// What was written.
    #[inline]
    pub(super) fn into_pieces(self) -> BytesQueue {
        let mut copied = buffers::share(self.copied);
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

    /// Makes room for what is to be copied next, and at once for all that is still expected.
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
        let mut grown = buffers::take(expected.max(len).max(2 * self.copied.len()));
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

// SAFETY: the spare memory that `chunk_mut` gives out and `advance_mut` takes over as written is
// that of a `Vec`, whose implementation of the trait keeps its promises; nothing comes between the
// two.
//
// Why there is unsafe code here at all: the trait is unsafe to implement, prost writes into nothing
// else, and with the copy a message of 1 MiB takes a quarter longer to be echoed.
#[allow(unsafe_code, reason = "see above")]
unsafe impl BufMut for MessageBuffer {
    #[inline]
    fn remaining_mut(&self) -> usize {
        usize::MAX - self.len()
    }

    #[inline]
    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller promises that this much was written to what `chunk_mut` returned.
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
        // The type is not to be had otherwise; a wrong answer costs a copy, or saves none.
        if len >= SEGMENT && type_name::<T>() == type_name::<Bytes>() {
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
    fn put_u8(&mut self, octet: u8) {
        self.reserve(1);
        self.copied.push(octet);
    }

    #[inline]
    fn put_bytes(&mut self, value: u8, count: usize) {
        self.reserve(count);
        self.copied.put_bytes(value, count);
    }
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
    fn what_is_copied_lies_together_however_much_was_expected() {
        for expected in [0, 1, 1_000, SEGMENT, 1 << 20] {
            let mut buffer = MessageBuffer::with_capacity(expected);
            assert!(buffer.is_empty());
            for octet in 0..50_000_u32 {
                buffer.put_u8(octet as u8);
            }
            let pieces = pieces(buffer);
            let [piece] = &pieces[..] else {
                panic!("{} pieces", pieces.len());
            };
            assert!(
                piece
                    .iter()
                    .zip(0..50_000_u32)
                    .all(|(&is, octet)| is == octet as u8)
            );
        }
    }

    #[test]
    fn room_is_made_once_for_all_that_is_expected() {
        let mut buffer = MessageBuffer::with_capacity(1 << 20);
        assert!(buffer.copied.capacity() < SEGMENT);
        buffer.put_bytes(0, FIRST_ROOM + 1);
        assert!(buffer.copied.capacity() >= 1 << 20);
        let place = buffer.copied.as_ptr();
        buffer.put_bytes(0, (1 << 20) - buffer.len());
        assert_eq!(buffer.copied.as_ptr(), place);
    }
}
