//! The bytes that a message is decoded from.
//!
//! Created by the reader for each message; read by codecs and compressors, on the task that
//! receives.

use bytes::{Buf, BufMut, Bytes};
use rgrpc_http2::BytesQueue;

use crate::buffer_pool::BufferPool;

/// The bytes of one message, in pieces: usually the pieces that the connection received.
///
/// Reading through [`Buf`] copies nothing. [`Buf::copy_to_bytes`] shares the piece if the requested
/// bytes lie within one.
#[derive(Debug, Default)]
pub struct MessageBytes {
    pieces: BytesQueue,
    /// The pool of the buffer that pieces are joined in; `None`: the shared one.
    pool: Option<BufferPool>,
}

impl MessageBytes {
    /// Sets the pool of the buffer that pieces are joined in.
    pub(super) fn with_pool(self, pool: BufferPool) -> Self {
        Self {
            pool: Some(pool),
            ..self
        }
    }

    /// Returns whether it has more than one piece.
    pub(super) fn is_split(&self) -> bool {
        self.pieces.first().len() < self.pieces.len()
    }

    /// Takes the next bytes and copies them, after `prefix`, into one buffer.
    pub(super) fn join(&mut self, prefix: &[u8], len: usize) -> Bytes {
        let pool = self.pool.take().unwrap_or_default();
        let mut bytes = pool.take(prefix.len() + len);
        bytes.extend_from_slice(prefix);
        bytes.put((&mut *self).take(len));
        let bytes = pool.share(bytes);
        self.pool = Some(pool);
        bytes
    }
}

impl From<BytesQueue> for MessageBytes {
    fn from(pieces: BytesQueue) -> Self {
        Self { pieces, pool: None }
    }
}

impl From<Bytes> for MessageBytes {
    fn from(bytes: Bytes) -> Self {
        BytesQueue::from(bytes).into()
    }
}

impl Buf for MessageBytes {
    #[inline]
    fn remaining(&self) -> usize {
        self.pieces.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.pieces.first()
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        assert!(
            count <= self.pieces.len(),
            "cannot advance by {count} bytes: only {} remain",
            self.pieces.len()
        );
        self.pieces.advance(count);
    }

    #[inline]
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if len <= self.pieces.first().len() {
            return self.pieces.split_first(len);
        }
        self.join(&[], len)
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
