//! WINDOW_UPDATE (RFC 9113 section 6.9).

use super::{Head, Kind, MAX_STREAM_ID};
use crate::http2::error::{ErrorCode, Fault};

/// A WINDOW_UPDATE frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowUpdate {
    /// By how many octets the window grows: 1 to 2^31-1.
    pub(crate) increment: u32,
}

impl WindowUpdate {
    /// Reads a WINDOW_UPDATE frame. An increment of 0 is an error of whatever the window belongs
    /// to.
    pub(crate) fn parse(head: Head, payload: &[u8]) -> Result<Self, Fault> {
        let Ok(octets) = <[u8; 4]>::try_from(payload) else {
            return Err(Fault::connection(
                ErrorCode::FRAME_SIZE_ERROR,
                "WINDOW_UPDATE not of 4 octets",
            ));
        };
        // The reserved bit, which has to be ignored, is where a larger increment would have it.
        match (u32::from_be_bytes(octets) & MAX_STREAM_ID, head.stream_id) {
            (0, 0) => Err(Fault::connection(
                ErrorCode::PROTOCOL_ERROR,
                "WINDOW_UPDATE of 0 on the connection",
            )),
            (0, _) => Err(Fault::stream(
                ErrorCode::PROTOCOL_ERROR,
                "WINDOW_UPDATE of 0",
            )),
            (increment, _) => Ok(Self { increment }),
        }
    }

    /// Appends a WINDOW_UPDATE frame; stream 0 is the connection.
    pub(crate) fn write(self, stream_id: u32, out: &mut Vec<u8>) {
        Head::new(Kind::WindowUpdate, 0, stream_id, 4).write(out);
        out.extend_from_slice(&self.increment.to_be_bytes());
    }
}
