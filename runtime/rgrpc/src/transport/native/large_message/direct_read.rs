use bytes::{BufMut, BytesMut};
use rgrpc_http2::frame::Head;

/// A DATA frame of a large message, whose content is read from the socket right to where the
/// message is put together, and not by way of the connection's buffer.
#[derive(Debug)]
pub(crate) struct DirectRead {
    head: Head,
    /// What has come of the message.
    buffer: Vec<u8>,
    /// How long that is once the frame is whole.
    end: usize,
}

impl DirectRead {
    /// Begins with what has come of the frame's content.
    pub(crate) fn new(head: Head, mut buffer: Vec<u8>, content: &[u8]) -> Self {
        let end = buffer.len() + head.length;
        buffer.extend_from_slice(content);
        Self { head, buffer, end }
    }

    /// Where to read: room for the rest of the frame, and for the head of the next, which tells
    /// where that belongs.
    pub(crate) fn spare_capacity(&mut self) -> impl BufMut + '_ {
        let spare = self.end + Head::LEN - self.buffer.len();
        (&mut self.buffer).limit(spare)
    }

    /// Moves what was read of the frame behind.
    pub(crate) fn move_beyond(&mut self, input: &mut BytesMut) {
        if let Some(beyond) = self.buffer.get(self.end..) {
            input.extend_from_slice(beyond);
            self.buffer.truncate(self.end);
        }
    }

    /// Whether the frame is whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.buffer.len() == self.end
    }

    /// The frame's head, and the message with the frame's content.
    pub(crate) fn into_parts(self) -> (Head, Vec<u8>) {
        (self.head, self.buffer)
    }
}
