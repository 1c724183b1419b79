//! The DATA frame that is being read into its message's buffer. Owned by the connection's task.

use bytes::{BufMut, BytesMut};
use rgrpc_http2::frame::Head;

/// A DATA frame whose content is read from the socket directly into its message's buffer, without
/// the connection's read buffer.
#[derive(Debug)]
pub(crate) struct DirectRead {
    head: Head,
    /// The message's buffer, with the octets that have arrived.
    buffer: Vec<u8>,
    /// The length of the buffer when the frame is complete.
    end: usize,
}

impl DirectRead {
    /// Begins with the part of the frame's content that has arrived.
    pub(crate) fn new(head: Head, mut buffer: Vec<u8>, content: &[u8]) -> Self {
        let end = buffer.len() + head.length;
        buffer.extend_from_slice(content);
        Self { head, buffer, end }
    }

    /// Returns the target of the next read: capacity for the rest of the frame and for the head of
    /// the next frame, which decides where that frame is read to.
    pub(crate) fn spare_capacity(&mut self) -> impl BufMut + '_ {
        let spare = self.end + Head::LEN - self.buffer.len();
        (&mut self.buffer).limit(spare)
    }

    /// Moves octets of the next frame to `input`.
    pub(crate) fn move_beyond(&mut self, input: &mut BytesMut) {
        if let Some(beyond) = self.buffer.get(self.end..) {
            input.extend_from_slice(beyond);
            self.buffer.truncate(self.end);
        }
    }

    /// Returns whether the frame is complete.
    pub(crate) fn is_whole(&self) -> bool {
        self.buffer.len() == self.end
    }

    /// Returns the frame's head, and the message's buffer with the frame's content.
    pub(crate) fn into_parts(self) -> (Head, Vec<u8>) {
        (self.head, self.buffer)
    }
}
