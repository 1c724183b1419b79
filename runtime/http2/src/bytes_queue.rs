//! A queue of bytes in pieces: received or to be sent.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// The length, in bytes, below which a piece behind the first one is copied.
const SMALL_PIECE: usize = 1024;

/// A first-in, first-out queue of bytes in pieces.
///
/// Pieces are kept without a copy, with one exception: pieces of less than 1,024 bytes behind the
/// first piece are copied together. A queue of one piece does not allocate.
///
/// Two queues are equal if their bytes are equal, even if the pieces differ.
#[derive(Clone, Debug, Default)]
pub struct BytesQueue {
    /// The first piece. It is empty only if the whole queue is empty.
    first: Bytes,
    rest: Option<Box<Rest>>,
}

/// The pieces behind the first one.
#[derive(Clone, Debug, Default)]
struct Rest {
    pieces: VecDeque<Bytes>,
    /// The small pieces at the end, copied together. Kept separately, each would take more memory
    /// than its content and would keep a whole read buffer alive.
    tail: BytesMut,
    /// The total length. It is stored because decoders ask for it before each of many pieces.
    len: usize,
}

impl BytesQueue {
    /// Appends a piece. An empty piece is ignored.
    #[inline]
    pub fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.rest.get_or_insert_default().push(piece);
        }
    }

    /// Appends all pieces of `other`.
    #[inline]
    pub fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
        } else {
            while let Some(piece) = other.pop() {
                self.push(piece);
            }
        }
    }

    /// Returns the number of bytes in all pieces.
    #[inline]
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.as_ref().map_or(0, |rest| rest.len)
    }

    /// Returns `true` if there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Returns the first piece, which is empty if the queue is empty.
    #[inline]
    pub fn first(&self) -> &Bytes {
        &self.first
    }

    /// Returns `true` if there is at most one piece.
    #[inline]
    pub fn is_one(&self) -> bool {
        self.rest.is_none()
    }

    /// Converts the queue into one piece. Copies the bytes only if there are several pieces.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        if self.is_one() {
            return self.first;
        }
        let mut one = Vec::with_capacity(self.len());
        self.for_each(|piece| one.extend_from_slice(&piece));
        one.into()
    }

    /// Calls `each` with every piece, in order. The first piece may be empty.
    #[inline]
    pub fn for_each(self, mut each: impl FnMut(Bytes)) {
        each(self.first);
        if let Some(mut rest) = self.rest {
            while rest.len > 0 {
                each(rest.pop());
            }
        }
    }

    /// Removes and returns the first piece, or `None` if the queue is empty.
    #[inline]
    pub fn pop(&mut self) -> Option<Bytes> {
        if self.first.is_empty() {
            return None;
        }
        let next = self.pop_second();
        Some(std::mem::replace(&mut self.first, next))
    }

    /// Removes and returns up to `len` bytes of the first piece.
    #[inline]
    pub fn split_first(&mut self, len: usize) -> Bytes {
        if len >= self.first.len() {
            return self.pop().unwrap_or_default();
        }
        self.first.split_to(len)
    }

    /// Removes and returns the first `len` bytes, or all bytes if there are fewer.
    #[inline]
    pub fn split_to(&mut self, len: usize) -> Self {
        if len >= self.len() {
            return std::mem::take(self);
        }
        let mut taken = Self::default();
        let mut left = len;
        while left > 0 {
            let piece = self.split_first(left);
            left -= piece.len();
            taken.push(piece);
        }
        taken
    }

    /// Removes and returns whole pieces from the front, until they have at least `min` bytes.
    /// Returns at least one piece, and all pieces if there are fewer bytes.
    #[inline]
    pub fn take_at_least(&mut self, min: usize) -> Self {
        if self.is_one() || min >= self.len() {
            return std::mem::take(self);
        }
        let mut taken = Self::default();
        let mut len = 0;
        while let Some(piece) = self.pop() {
            len += piece.len();
            taken.push(piece);
            if len >= min {
                break;
            }
        }
        taken
    }

    /// Removes the first `count` bytes, or all bytes if there are fewer.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        // The fast path: decoders advance by a few bytes at a time.
        if count < self.first.len() {
            self.first.advance(count);
        } else {
            self.advance_past_first(count);
        }
    }

    #[cold]
    fn advance_past_first(&mut self, mut count: usize) {
        while count >= self.first.len()
            && let Some(piece) = self.pop()
        {
            count -= piece.len();
        }
        let rest = count.min(self.first.len());
        self.first.advance(rest);
    }

    /// Removes and returns the second piece, which is empty if there is none.
    #[inline]
    fn pop_second(&mut self) -> Bytes {
        match &mut self.rest {
            None => Bytes::new(),
            Some(rest) => {
                let next = rest.pop();
                if rest.len == 0 {
                    self.rest = None;
                }
                next
            }
        }
    }
}

impl PartialEq for BytesQueue {
    fn eq(&self, other: &Self) -> bool {
        self.clone().into_bytes() == other.clone().into_bytes()
    }
}

impl Eq for BytesQueue {}

impl From<Bytes> for BytesQueue {
    #[inline]
    fn from(piece: Bytes) -> Self {
        Self {
            first: piece,
            rest: None,
        }
    }
}

impl Rest {
    fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if piece.len() < SMALL_PIECE {
            self.tail.extend_from_slice(&piece);
            return;
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.pieces.push_back(piece);
    }

    fn pop(&mut self) -> Bytes {
        let piece = match self.pieces.pop_front() {
            Some(piece) => piece,
            None => self.tail.split().freeze(),
        };
        self.len -= piece.len();
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(list: &[&'static str]) -> BytesQueue {
        let mut pieces = BytesQueue::default();
        for piece in list {
            pieces.push(Bytes::from_static(piece.as_bytes()));
        }
        pieces
    }

    fn all(mut pieces: BytesQueue) -> Vec<Bytes> {
        std::iter::from_fn(|| pieces.pop()).collect()
    }

    #[test]
    fn pieces_come_out_in_order_without_empty_ones() {
        assert_eq!(all(pieces(&["", "ab", "", "c"])), ["ab", "c"]);
        assert!(pieces(&["", "a", ""]).is_one());
        assert!(pieces(&[""]).pop().is_none());
    }

    #[test]
    fn small_pieces_are_copied_together_and_large_ones_are_kept() {
        let large = Bytes::from(vec![b'L'; SMALL_PIECE]);
        let mut pieces = pieces(&["a", "b", "c"]);
        pieces.push(large.clone());
        for _ in 0..1_000 {
            pieces.push(Bytes::from_static(b"d"));
        }
        let all = all(pieces);
        assert_eq!(all[..2], ["a", "bc"]);
        assert_eq!(all[2].as_ptr(), large.as_ptr());
        assert_eq!(all[3..], [vec![b'd'; 1_000]]);
    }

    #[test]
    fn advancing_crosses_the_pieces_and_stops_at_the_end() {
        let large = "L".repeat(SMALL_PIECE);
        for (count, left) in [
            (0, 5 + SMALL_PIECE),
            (1, 4 + SMALL_PIECE),
            (2, 3 + SMALL_PIECE),
            (3, 2 + SMALL_PIECE),
            (5, SMALL_PIECE),
            (SMALL_PIECE, 5),
            (SMALL_PIECE + 9, 0),
        ] {
            let mut pieces = pieces(&["ab", "c", "de"]);
            pieces.push(Bytes::from(large.clone()));
            pieces.advance(count);
            assert_eq!(pieces.len(), left, "advanced by {count}");
            let rest: usize = all(pieces).iter().map(Bytes::len).sum();
            assert_eq!(rest, left, "advanced by {count}");
        }
    }

    #[test]
    fn splitting_takes_the_front_and_leaves_the_rest() {
        for (len, front, rest) in [
            (0, "", "abcdef"),
            (3, "abc", "def"),
            (6, "abcdef", ""),
            (9, "abcdef", ""),
        ] {
            let mut pieces = pieces(&["ab", "cd", "ef"]);
            let taken = pieces.split_to(len);
            assert_eq!((taken.len(), pieces.len()), (front.len(), rest.len()));
            assert_eq!(
                (all(taken).concat(), all(pieces).concat()),
                (front.into(), rest.into())
            );
        }
    }

    #[test]
    fn whole_pieces_are_taken_up_to_the_minimum() {
        for (min, expected) in [(0, 2), (1, 2), (2, 2), (3, 5), (9, 5)] {
            let mut pieces = pieces(&["ab", "cd", "e"]);
            let taken = pieces.take_at_least(min);
            assert_eq!(
                (taken.len(), pieces.len()),
                (expected, 5 - expected),
                "{min}"
            );
        }
    }

    #[test]
    fn several_pieces_are_joined_and_a_single_one_is_not_copied() {
        let one = Bytes::from_static(b"abc");
        assert_eq!(
            BytesQueue::from(one.clone()).into_bytes().as_ptr(),
            one.as_ptr()
        );
        assert_eq!(pieces(&["ab", "", "c", "de"]).into_bytes(), "abcde");
        assert_eq!(BytesQueue::default().into_bytes(), "");
    }

    #[test]
    fn appended_pieces_follow() {
        let mut pieces = pieces(&["ab"]);
        pieces.append(BytesQueue::from(Bytes::from_static(b"c")));
        pieces.append(BytesQueue::default());
        assert_eq!(pieces.len(), 3);
        assert_eq!(all(pieces), ["ab", "c"]);
    }

    #[test]
    fn a_part_of_the_first_piece_is_shared_and_not_copied() {
        let mut pieces = pieces(&["abcd", "e"]);
        assert_eq!(pieces.split_first(3), "abc");
        assert_eq!(pieces.split_first(3), "d");
        assert_eq!(pieces.split_first(3), "e");
        assert_eq!(pieces.split_first(3), "");
    }
}
