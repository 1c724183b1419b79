//! CONTINUATION (RFC 9113 section 6.10) by hand: for blocks that [`Headers::cut`] cannot say.
//!
//! [`Headers::cut`]: super::Headers::cut

use bytes::Bytes;

use super::{RawFrame, WireFrame, flag, kind};

/// A CONTINUATION frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Continuation {
    /// The stream.
    pub stream_id: u32,
    /// A piece of a header block.
    pub fragment: Bytes,
    /// END_HEADERS.
    pub end_headers: bool,
}

/// A CONTINUATION with this piece of a header block; [`hpack`](crate::hpack) writes such.
pub fn continuation(stream_id: u32, fragment: impl AsRef<[u8]>) -> Continuation {
    Continuation {
        stream_id,
        fragment: Bytes::copy_from_slice(fragment.as_ref()),
        end_headers: false,
    }
}

impl Continuation {
    /// Sets END_HEADERS.
    pub fn end_headers(self) -> Self {
        Self {
            end_headers: true,
            ..self
        }
    }
}

impl WireFrame for Continuation {
    fn to_raw(&self) -> Vec<RawFrame> {
        let flags = flag::when(self.end_headers, flag::END_HEADERS);
        vec![RawFrame::new(
            kind::CONTINUATION,
            flags,
            self.stream_id,
            &self.fragment,
        )]
    }
}
