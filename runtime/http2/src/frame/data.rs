//! DATA (RFC 9113 section 6.1).

use std::ops::Range;

use super::{Head, Kind, flag, padding};
use crate::error::ConnectionError;

/// A DATA frame. It refers to the content by its position in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The position of the content in the payload, without the padding.
    pub content: Range<usize>,
    /// `true` if the sender sends nothing more on the stream.
    pub end_stream: bool,
}

impl Data {
    /// Parses a DATA frame. Fails on stream 0 and on invalid padding.
    #[inline]
    pub fn parse(head: Head, payload: &[u8]) -> Result<Self, ConnectionError> {
        head.on_stream("DATA on stream 0")?;
        let start = usize::from(head.has(flag::PADDED));
        let content = padding::strip(head, payload)?;
        Ok(Self {
            content: start..start + content.len(),
            end_stream: head.has(flag::END_STREAM),
        })
    }

    /// Appends the head of a DATA frame. The caller appends `length` octets of content.
    #[inline]
    pub fn write_head(stream_id: u32, length: usize, end_stream: bool, out: &mut Vec<u8>) {
        let flags = if end_stream { flag::END_STREAM } else { 0 };
        Head::new(Kind::Data, flags, stream_id, length).write(out);
    }
}
