//! CONTINUATION (RFC 9113 section 6.10).

use super::{Head, Kind, flag};
use crate::error::ConnectionError;

/// A CONTINUATION frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation<'a> {
    /// The next fragment of the header block.
    pub fragment: &'a [u8],
    /// `true` if this is the last fragment of the block.
    pub end_headers: bool,
}

impl<'a> Continuation<'a> {
    /// Parses a CONTINUATION frame. Fails on stream 0.
    pub fn parse(head: Head, payload: &'a [u8]) -> Result<Self, ConnectionError> {
        head.on_stream("CONTINUATION on stream 0")?;
        Ok(Self {
            fragment: payload,
            end_headers: head.has(flag::END_HEADERS),
        })
    }

    /// Appends the rest of a header block, in as many CONTINUATION frames as necessary.
    pub(super) fn write_all(
        stream_id: u32,
        mut rest: &[u8],
        max_frame_size: usize,
        out: &mut Vec<u8>,
    ) {
        while !rest.is_empty() {
            let (fragment, after) = rest.split_at(rest.len().min(max_frame_size));
            let flags = if after.is_empty() {
                flag::END_HEADERS
            } else {
                0
            };
            Head::new(Kind::Continuation, flags, stream_id, fragment.len()).write(out);
            out.extend_from_slice(fragment);
            rest = after;
        }
    }
}
