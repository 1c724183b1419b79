use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// What is copied rather than kept in a piece of its own.
const SMALL_PIECE: usize = 1024;

/// Received bytes in the pieces in which they came, first in first out. Nothing is copied but small
/// pieces that queue up.
///
/// Most of what is received is one piece, which needs no queue.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// Empty only when there is nothing at all.
    first: Bytes,
    more: Option<Box<More>>,
}

/// What comes behind the first piece.
#[derive(Debug, Default)]
struct More {
    pieces: VecDeque<Bytes>,
    /// Small pieces behind all others, copied together: kept as they came, each would cost more
    /// than it holds and keep a whole read buffer alive.
    tail: BytesMut,
}

impl Pieces {
    /// Adds a piece at the end.
    #[inline]
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.more.get_or_insert_default().push(piece);
        }
    }

    /// The piece at the front; empty when there is none.
    #[inline]
    pub(crate) fn first(&self) -> &Bytes {
        &self.first
    }

    /// Whether there is one piece or none.
    #[inline]
    pub(crate) fn is_one(&self) -> bool {
        self.more.is_none()
    }

    /// Takes the piece at the front.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        if self.first.is_empty() {
            return None;
        }
        let next = self.next();
        Some(std::mem::replace(&mut self.first, next))
    }

    /// Takes at most `len` bytes off the front piece.
    pub(crate) fn split_first(&mut self, len: usize) -> Bytes {
        if len >= self.first.len() {
            return self.pop().unwrap_or_default();
        }
        self.first.split_to(len)
    }

    /// Drops `count` bytes off the front; all, when they are fewer.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        // What decoders do for every few bytes.
        if count < self.first.len() {
            self.first.advance(count);
        } else {
            self.advance_past_first(count);
        }
    }

    #[cold]
    fn advance_past_first(&mut self, mut count: usize) {
        while count >= self.first.len() && !self.first.is_empty() {
            count -= self.first.len();
            self.first = self.next();
        }
        if !self.first.is_empty() {
            self.first.advance(count);
        }
    }

    /// What is to follow the first piece.
    #[inline]
    fn next(&mut self) -> Bytes {
        match &mut self.more {
            None => Bytes::new(),
            Some(more) => {
                let next = more.pop();
                if more.is_empty() {
                    self.more = None;
                }
                next
            }
        }
    }
}

impl More {
    fn push(&mut self, piece: Bytes) {
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
        match self.pieces.pop_front() {
            Some(piece) => piece,
            None => self.tail.split().freeze(),
        }
    }

    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tail.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(list: &[&'static str]) -> Pieces {
        let mut pieces = Pieces::default();
        for piece in list {
            pieces.push(Bytes::from_static(piece.as_bytes()));
        }
        pieces
    }

    fn all(mut pieces: Pieces) -> Vec<Bytes> {
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
            let rest: usize = all(pieces).iter().map(Bytes::len).sum();
            assert_eq!(rest, left, "advanced by {count}");
        }
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
