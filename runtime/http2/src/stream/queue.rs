//! The queue of a stream's content that could not be sent yet.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::block::OwnedBlock;
use crate::error::ErrorCode;

/// The queued content of a stream, and its ending.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    parts: VecDeque<Bytes>,
    /// The total length of the parts.
    octets: usize,
    ending: Ending,
    /// The code with which to reset the stream after its ending, unless the peer has ended it.
    pub then_reset: Option<ErrorCode>,
}

/// The frame that ends a stream's content.
#[derive(Debug, Default)]
pub(crate) enum Ending {
    /// The application has not ended the content.
    #[default]
    Open,
    /// END_STREAM on the last DATA frame.
    EndStream,
    /// Trailers: HEADERS with END_STREAM.
    Trailers(Box<OwnedBlock>),
}

impl SendQueue {
    /// Returns the number of queued octets of content.
    #[inline]
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// Returns `true` if neither content nor an ending is queued.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.octets == 0 && self.is_open()
    }

    /// Returns `true` if more content may be queued.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.ending, Ending::Open)
    }

    /// Queues content.
    #[inline]
    pub(crate) fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.octets += part.len();
            self.parts.push_back(part);
        }
    }

    /// Queues the ending.
    #[inline]
    pub(crate) fn end(&mut self, ending: Ending) {
        self.ending = ending;
    }

    /// Removes `octets` from the front and passes them to `each`, piece by piece.
    ///
    /// `octets` must not exceed the number of queued octets.
    #[inline]
    pub(crate) fn take(&mut self, octets: usize, mut each: impl FnMut(Bytes)) {
        let mut left = octets;
        while left > 0
            && let Some(front) = self.parts.front_mut()
        {
            if front.len() > left {
                each(front.split_to(left));
                self.octets -= left;
                return;
            }
            left -= front.len();
            self.octets -= front.len();
            if let Some(part) = self.parts.pop_front() {
                each(part);
            }
        }
    }

    /// Returns `true` if a DATA frame with this many octets must carry END_STREAM.
    #[inline]
    pub(crate) fn ends_with(&self, octets: usize) -> bool {
        octets == self.octets && matches!(self.ending, Ending::EndStream)
    }

    /// Removes and returns the ending if all content has been taken, else [`Ending::Open`].
    #[inline]
    pub(crate) fn take_ending(&mut self) -> Ending {
        if self.octets > 0 {
            return Ending::Open;
        }
        std::mem::take(&mut self.ending)
    }

    /// Removes everything, but keeps the allocated memory.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if !self.parts.is_empty() {
            self.parts.clear();
        }
        self.octets = 0;
        self.ending = Ending::Open;
        self.then_reset = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(queue: &mut SendQueue, octets: usize) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        queue.take(octets, |piece| pieces.push(piece));
        pieces
    }

    #[test]
    fn content_comes_out_in_order_in_any_pieces() {
        let mut queue = SendQueue::default();
        queue.push(Bytes::from_static(b"abc"));
        queue.push(Bytes::from_static(b""));
        queue.push(Bytes::from_static(b"defg"));
        assert_eq!(take(&mut queue, 4), ["abc", "d"]);
        assert_eq!(queue.octets(), 3);
        assert_eq!(take(&mut queue, 3), ["efg"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn the_ending_comes_after_the_content() {
        let mut queue = SendQueue::default();
        queue.push(Bytes::from_static(b"abc"));
        queue.end(Ending::EndStream);
        assert!(!queue.is_open());
        assert!(!queue.ends_with(2));
        assert!(queue.ends_with(3));
        assert!(matches!(queue.take_ending(), Ending::Open));
        take(&mut queue, 3);
        assert!(!queue.is_empty());
        assert!(matches!(queue.take_ending(), Ending::EndStream));
        assert!(queue.is_empty());
    }
}
