use bytes::{Buf, BufMut, Bytes};

use crate::buffers;
use crate::pieces::Pieces;

/// The bytes of one received message, in the pieces in which they came off the connection.
///
/// Reading it through [`Buf`] copies nothing; [`Buf::copy_to_bytes`] shares the piece where what
/// is asked for lies within one.
#[derive(Debug, Default)]
pub struct MessageBytes {
    pieces: Pieces,
    /// The length of all pieces: decoders ask for it before each piece, of which there may be as
    /// many as bytes.
    remaining: usize,
}

impl MessageBytes {
    /// Adds a piece at the end.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.remaining += piece.len();
        self.pieces.push(piece);
    }

    /// Takes the next `len` bytes off the front, or all that remain when they are fewer.
    pub(super) fn split_to(&mut self, len: usize) -> Self {
        let mut taken = Self::default();
        while taken.remaining < len && self.remaining > 0 {
            let part = self.pieces.split_first(len - taken.remaining);
            self.remaining -= part.len();
            taken.push(part);
        }
        taken
    }
}

impl From<Bytes> for MessageBytes {
    fn from(bytes: Bytes) -> Self {
        let mut message = Self::default();
        message.push(bytes);
        message
    }
}

impl Buf for MessageBytes {
    #[inline]
    fn remaining(&self) -> usize {
        self.remaining
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.pieces.first()
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        assert!(
            count <= self.remaining,
            "advanced by {count} bytes, more than the {} that remained",
            self.remaining
        );
        self.remaining -= count;
        self.pieces.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if len <= self.pieces.first().len() {
            self.remaining -= len;
            return self.pieces.split_first(len);
        }
        let mut bytes = buffers::take(len);
        bytes.put(self.take(len));
        buffers::share(bytes)
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
    fn splitting_takes_the_front_and_leaves_the_rest() {
        let mut bytes = pieces(&["ab", "cd", "ef"]);
        let mut front = bytes.split_to(3);
        assert_eq!(front.copy_to_bytes(3), "abc");
        assert_eq!(bytes.copy_to_bytes(3), "def");
        assert_eq!(bytes.split_to(0).remaining(), 0);
    }
}
