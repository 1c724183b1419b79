//! RST_STREAM (RFC 9113 section 6.4).

use super::{Head, Kind};
use crate::error::{ConnectionError, ErrorCode};

/// A RST_STREAM frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RstStream {
    /// The reason.
    pub code: ErrorCode,
}

impl RstStream {
    /// Parses a RST_STREAM frame. Fails on stream 0 and on a payload that is not 4 octets long.
    pub fn parse(head: Head, payload: &[u8]) -> Result<Self, ConnectionError> {
        head.on_stream("RST_STREAM on stream 0")?;
        match <[u8; 4]>::try_from(payload) {
            Ok(octets) => Ok(Self {
                code: ErrorCode(u32::from_be_bytes(octets)),
            }),
            Err(_) => Err(ConnectionError {
                code: ErrorCode::FRAME_SIZE_ERROR,
                reason: "RST_STREAM not of 4 octets",
            }),
        }
    }

    /// Appends a RST_STREAM frame.
    pub fn write(self, stream_id: u32, out: &mut Vec<u8>) {
        Head::new(Kind::RstStream, 0, stream_id, 4).write(out);
        out.extend_from_slice(&self.code.0.to_be_bytes());
    }
}
