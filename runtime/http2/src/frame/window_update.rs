//! WINDOW_UPDATE (RFC 9113 section 6.9).

use super::{Head, Kind, MAX_STREAM_ID};
use crate::error::{ErrorCode, Fault};

/// A WINDOW_UPDATE frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowUpdate {
    /// The increment of the window in octets, from 1 to 2^31-1.
    pub increment: u32,
}

impl WindowUpdate {
    /// Parses a WINDOW_UPDATE frame.
    ///
    /// An increment of 0 is a stream error on a stream, and a connection error on stream 0. A
    /// payload that is not 4 octets long is a connection error.
    pub fn parse(head: Head, payload: &[u8]) -> Result<Self, Fault> {
        let Ok(octets) = <[u8; 4]>::try_from(payload) else {
            return Err(Fault::connection(
                ErrorCode::FRAME_SIZE_ERROR,
                "WINDOW_UPDATE not of 4 octets",
            ));
        };
        // The reserved bit must be ignored.
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

    /// Appends a WINDOW_UPDATE frame. Stream 0 means the connection.
    #[inline]
    pub fn write(self, stream_id: u32, out: &mut Vec<u8>) {
        Head::new(Kind::WindowUpdate, 0, stream_id, 4).write(out);
        out.extend_from_slice(&self.increment.to_be_bytes());
    }
}
