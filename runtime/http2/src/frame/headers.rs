//! HEADERS (RFC 9113 section 6.2).

use super::{Continuation, Head, Kind, Priority, flag, padding};
use crate::error::{ConnectionError, ErrorCode};

/// A HEADERS frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    /// The header block, or its first fragment.
    pub fragment: &'a [u8],
    /// `true` if the sender sends nothing more on the stream.
    pub end_stream: bool,
    /// `true` if the fragment is the whole block.
    pub end_headers: bool,
    /// The stream dependency of the priority fields, if present. Priorities are ignored (section
    /// 5.3.2), but a stream that depends on itself is an error.
    pub depends_on: Option<u32>,
}

impl<'a> Headers<'a> {
    /// Parses a HEADERS frame. Fails on stream 0, on invalid padding, and on truncated priority
    /// fields.
    #[inline]
    pub fn parse(head: Head, payload: &'a [u8]) -> Result<Self, ConnectionError> {
        head.on_stream("HEADERS on stream 0")?;
        let mut fragment = padding::strip(head, payload)?;
        let mut depends_on = None;
        if head.has(flag::PRIORITY) {
            let Some((fields, rest)) = fragment.split_first_chunk::<{ Priority::LEN }>() else {
                return Err(ConnectionError {
                    code: ErrorCode::FRAME_SIZE_ERROR,
                    reason: "HEADERS too short for its priority fields",
                });
            };
            depends_on = Some(Priority::from_octets(*fields).depends_on);
            fragment = rest;
        }
        Ok(Self {
            fragment,
            end_stream: head.has(flag::END_STREAM),
            end_headers: head.has(flag::END_HEADERS),
            depends_on,
        })
    }

    /// Appends a HEADERS frame with an encoded header block. `framed` is space for a frame head,
    /// followed by the block.
    #[inline]
    pub(crate) fn write_framed(stream_id: u32, end_stream: bool, framed: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(framed);
        let end_stream = if end_stream { flag::END_STREAM } else { 0 };
        let flags = end_stream | flag::END_HEADERS;
        let head = Head::new(Kind::Headers, flags, stream_id, framed.len() - Head::LEN);
        out[start..start + Head::LEN].copy_from_slice(&head.octets());
    }

    /// Appends a HEADERS frame with the header block that `encode` appends to its argument.
    ///
    /// A block longer than `max_frame_size` octets continues in CONTINUATION frames.
    #[inline]
    pub fn write(
        stream_id: u32,
        end_stream: bool,
        max_frame_size: usize,
        out: &mut Vec<u8>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = out.len();
        out.extend_from_slice(&[0; Head::LEN]);
        encode(out);
        let length = out.len() - start - Head::LEN;
        let end_stream = if end_stream { flag::END_STREAM } else { 0 };
        if length <= max_frame_size {
            let flags = end_stream | flag::END_HEADERS;
            let head = Head::new(Kind::Headers, flags, stream_id, length);
            out[start..start + Head::LEN].copy_from_slice(&head.octets());
        } else {
            let head = Head::new(Kind::Headers, end_stream, stream_id, max_frame_size);
            out[start..start + Head::LEN].copy_from_slice(&head.octets());
            let rest = out.split_off(start + Head::LEN + max_frame_size);
            Continuation::write_all(stream_id, &rest, max_frame_size, out);
        }
    }
}
