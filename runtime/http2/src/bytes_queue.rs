use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// What is copied rather than kept in a piece of its own.
const SMALL_PIECE: usize = 1024;

/// Bytes in pieces, first in first out: as they were received, or as they are to be sent. Nothing
/// is copied but small pieces that queue up.
///
/// Most of what is received or sent is one piece, which needs no queue.
#[derive(Clone, Debug, Default)]
pub struct BytesQueue {
    /// Empty only when there is nothing at all.
    first: Bytes,
    more: Option<Box<More>>,
}

/// What comes behind the first piece.
#[derive(Clone, Debug, Default)]
struct More {
    pieces: VecDeque<Bytes>,
    /// Small pieces behind all others, copied together: kept as they came, each would cost more
    /// than it holds and keep a whole read buffer alive.
    tail: BytesMut,
    /// The length of all of it: decoders ask for it before each piece, of which there may be as
    /// many as bytes.
    len: usize,
}

impl BytesQueue {
    /// Adds a piece at the end.
    #[inline]
    pub fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.more.get_or_insert_default().push(piece);
        }
    }

    /// Adds all pieces of `other` at the end.
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

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.first.len() + self.more.as_ref().map_or(0, |more| more.len)
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The piece at the front; empty when there is none.
    #[inline]
    pub fn first(&self) -> &Bytes {
        &self.first
    }

    /// Whether there is one piece or none.
    #[inline]
    pub fn is_one(&self) -> bool {
        self.more.is_none()
    }

    /// All bytes in one piece: as they are if they lie in one, else copied together.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        if self.is_one() {
            return self.first;
        }
        let mut one = Vec::with_capacity(self.len());
        self.for_each(|piece| one.extend_from_slice(&piece));
        one.into()
    }

    /// Hands on all pieces, in order.
    #[inline]
    pub fn for_each(self, mut each: impl FnMut(Bytes)) {
        each(self.first);
        if let Some(mut more) = self.more {
            while more.len > 0 {
                each(more.pop());
            }
        }
    }

    /// Takes the piece at the front.
    #[inline]
    pub fn pop(&mut self) -> Option<Bytes> {
        if self.first.is_empty() {
            return None;
        }
        let next = self.next();
        Some(std::mem::replace(&mut self.first, next))
    }

    /// Takes at most `len` bytes off the front piece.
    pub fn split_first(&mut self, len: usize) -> Bytes {
        if len >= self.first.len() {
            return self.pop().unwrap_or_default();
        }
        self.first.split_to(len)
    }

    /// Takes `len` bytes off the front, or all when they are fewer.
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

    /// Takes the first piece, and further ones until they are `wanted` bytes or more.
    pub fn take_at_least(&mut self, wanted: usize) -> Self {
        if self.is_one() || wanted >= self.len() {
            return std::mem::take(self);
        }
        let mut taken = Self::default();
        let mut len = 0;
        while let Some(piece) = self.pop() {
            len += piece.len();
            taken.push(piece);
            if len >= wanted {
                break;
            }
        }
        taken
    }

    /// Drops `count` bytes off the front; all, when they are fewer.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        // What decoders do for every few bytes.
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

    /// What is to follow the first piece.
    #[inline]
    fn next(&mut self) -> Bytes {
        match &mut self.more {
            None => Bytes::new(),
            Some(more) => {
                let next = more.pop();
                if more.len == 0 {
                    self.more = None;
                }
                next
            }
        }
    }
}

/// The same bytes, in whatever pieces.
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
            more: None,
        }
    }
}

impl More {
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
    fn pieces_come_out_in_order_and_empty_ones_not_at_all() {
        assert_eq!(all(pieces(&["", "ab", "", "c"])), ["ab", "c"]);
        assert!(pieces(&["", "a", ""]).is_one());
        assert!(pieces(&[""]).pop().is_none());
    }

    #[test]
    fn small_pieces_are_kept_together_and_large_ones_as_they_are() {
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
    fn whole_pieces_are_taken_until_there_is_enough() {
        for (wanted, expected) in [(0, 2), (1, 2), (2, 2), (3, 5), (9, 5)] {
            let mut pieces = pieces(&["ab", "cd", "e"]);
            let taken = pieces.take_at_least(wanted);
            assert_eq!(
                (taken.len(), pieces.len()),
                (expected, 5 - expected),
                "{wanted}"
            );
        }
    }

    #[test]
    fn pieces_are_joined_only_where_there_are_several() {
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
