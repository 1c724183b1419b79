use bytes::{Buf, BufMut, Bytes};
use rgrpc_http2::BytesQueue;

use crate::buffers;

/// The bytes of one message, in pieces: those in which they came off the connection, most of all.
///
/// Reading it through [`Buf`] copies nothing; [`Buf::copy_to_bytes`] shares the piece where what
/// is asked for lies within one.
#[derive(Debug, Default)]
pub struct MessageBytes(BytesQueue);

impl From<BytesQueue> for MessageBytes {
    fn from(pieces: BytesQueue) -> Self {
        Self(pieces)
    }
}

impl From<Bytes> for MessageBytes {
    fn from(bytes: Bytes) -> Self {
        Self(BytesQueue::from(bytes))
    }
}

impl Buf for MessageBytes {
    #[inline]
    fn remaining(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.0.first()
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        assert!(
            count <= self.0.len(),
            "advanced by {count} bytes, more than the {} that remained",
            self.0.len()
        );
        self.0.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if len <= self.0.first().len() {
            return self.0.split_first(len);
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
        let mut all = BytesQueue::default();
        for piece in pieces {
            all.push(Bytes::from_static(piece.as_bytes()));
        }
        all.into()
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
}
