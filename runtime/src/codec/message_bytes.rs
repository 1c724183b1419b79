use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What is copied rather than kept in a piece of its own.
const SMALL_PIECE: usize = 1024;

/// The bytes of one received message, in the pieces in which they came off the connection.
///
/// Reading it through [`Buf`] copies nothing; [`Buf::copy_to_bytes`] shares the piece where what
/// is asked for lies within one.
#[derive(Debug, Default)]
pub struct MessageBytes {
    /// Empty only when there is nothing left.
    first: Bytes,
    rest: VecDeque<Bytes>,
    /// Small pieces behind all others, copied together: kept as they came, each would cost more
    /// than it holds and keep a whole read buffer alive.
    tail: BytesMut,
    /// The length of all pieces: decoders ask for it before each piece, of which there may be as
    /// many as bytes.
    remaining: usize,
}

impl MessageBytes {
    /// Adds a piece at the end.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.remaining += piece.len();
        if self.first.is_empty() {
            self.first = piece;
        } else if piece.len() < SMALL_PIECE {
            self.tail.extend_from_slice(&piece);
        } else {
            if !self.tail.is_empty() {
                self.rest.push_back(self.tail.split().freeze());
            }
            self.rest.push_back(piece);
        }
    }

    /// Takes the next `len` bytes off the front, or all that remain when they are fewer.
    pub(super) fn split_to(&mut self, len: usize) -> Self {
        let mut taken = Self::default();
        let mut missing = len;
        while missing > 0 && !self.first.is_empty() {
            let part = missing.min(self.first.len());
            taken.push(self.first.split_to(part));
            self.remaining -= part;
            self.next_piece();
            missing -= part;
        }
        taken
    }

    fn next_piece(&mut self) {
        while self.first.is_empty() {
            match self.rest.pop_front() {
                Some(piece) => self.first = piece,
                None if self.tail.is_empty() => return,
                None => self.first = self.tail.split().freeze(),
            }
        }
    }
}

impl From<Bytes> for MessageBytes {
    fn from(bytes: Bytes) -> Self {
        Self {
            remaining: bytes.len(),
            first: bytes,
            rest: VecDeque::new(),
            tail: BytesMut::new(),
        }
    }
}

impl Buf for MessageBytes {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn advance(&mut self, count: usize) {
        assert!(
            count <= self.remaining,
            "advanced by {count} bytes, more than the {} that remained",
            self.remaining
        );
        self.remaining -= count;
        let mut missing = count;
        while missing > self.first.len() {
            missing -= self.first.len();
            self.first.clear();
            self.next_piece();
        }
        self.first.advance(missing);
        self.next_piece();
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if len <= self.first.len() {
            let bytes = self.first.split_to(len);
            self.remaining -= len;
            self.next_piece();
            return bytes;
        }
        let mut bytes = BytesMut::with_capacity(len);
        bytes.put(self.take(len));
        bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pieces: &[&'static str]) -> MessageBytes {
        let mut bytes = MessageBytes::default();
        for piece in pieces {
            bytes.push(Bytes::from_static(piece.as_bytes()));
        }
        bytes
    }

    #[test]
    fn reading_crosses_the_pieces() {
        let mut bytes = pieces(&["ab", "", "c", "defg"]);
        assert_eq!(bytes.remaining(), 7);
        assert_eq!(bytes.copy_to_bytes(4), "abcd");
        bytes.advance(2);
        assert_eq!(bytes.chunk(), b"g");
        assert_eq!(bytes.copy_to_bytes(1), "g");
        assert!(!bytes.has_remaining());
    }

    #[test]
    fn small_pieces_are_kept_together_and_large_ones_as_they_are() {
        let large = Bytes::from(vec![b'L'; SMALL_PIECE]);
        let mut bytes = pieces(&["a", "b", "c"]);
        bytes.push(large.clone());
        for _ in 0..1_000 {
            bytes.push(Bytes::from_static(b"d"));
        }
        assert_eq!(bytes.rest.len(), 2);
        assert_eq!(bytes.copy_to_bytes(3), "abc");
        assert_eq!(bytes.chunk().as_ptr(), large.as_ptr());
        bytes.advance(SMALL_PIECE);
        assert_eq!(bytes.copy_to_bytes(1_000), vec![b'd'; 1_000]);
        assert!(!bytes.has_remaining());
    }

    #[test]
    fn splitting_takes_the_front_and_leaves_the_rest() {
        let mut bytes = pieces(&["ab", "cd", "ef"]);
        let mut front = bytes.split_to(3);
        assert_eq!(front.copy_to_bytes(3), "abc");
        assert_eq!(bytes.copy_to_bytes(3), "def");
        assert_eq!(bytes.split_to(0).remaining(), 0);
    }
}
