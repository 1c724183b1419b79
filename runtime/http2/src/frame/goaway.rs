//! GOAWAY (RFC 9113 section 6.8).

use super::{Head, Kind, MAX_STREAM_ID};
use crate::error::{ConnectionError, ErrorCode};

/// A GOAWAY frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoAway<'a> {
    /// The highest stream of the receiver that the sender processed or may still process.
    pub last_stream_id: u32,
    /// The reason.
    pub code: ErrorCode,
    /// Opaque diagnostic data.
    pub debug_data: &'a [u8],
}

impl<'a> GoAway<'a> {
    /// Parses a GOAWAY frame. Fails on a stream other than 0 and on a payload of less than 8
    /// octets.
    pub fn parse(head: Head, payload: &'a [u8]) -> Result<Self, ConnectionError> {
        head.on_connection("GOAWAY on a stream")?;
        let Some((&[l0, l1, l2, l3, c0, c1, c2, c3], debug_data)) =
            payload.split_first_chunk::<8>()
        else {
            return Err(ConnectionError {
                code: ErrorCode::FRAME_SIZE_ERROR,
                reason: "GOAWAY shorter than 8 octets",
            });
        };
        Ok(Self {
            last_stream_id: u32::from_be_bytes([l0, l1, l2, l3]) & MAX_STREAM_ID,
            code: ErrorCode(u32::from_be_bytes([c0, c1, c2, c3])),
            debug_data,
        })
    }

    /// Appends a GOAWAY frame.
    pub fn write(self, out: &mut Vec<u8>) {
        Head::new(Kind::GoAway, 0, 0, 8 + self.debug_data.len()).write(out);
        out.extend_from_slice(&self.last_stream_id.to_be_bytes());
        out.extend_from_slice(&self.code.0.to_be_bytes());
        out.extend_from_slice(self.debug_data);
    }
}
