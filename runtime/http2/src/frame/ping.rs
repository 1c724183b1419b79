//! PING (RFC 9113 section 6.7).

use super::{Head, Kind, flag};
use crate::error::{ConnectionError, ErrorCode};

/// A PING frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// `true` if the frame is an acknowledgement.
    pub ack: bool,
    /// The opaque data.
    pub payload: [u8; 8],
}

impl Ping {
    /// Parses a PING frame. Fails on a stream other than 0 and on a payload that is not 8 octets
    /// long.
    pub fn parse(head: Head, payload: &[u8]) -> Result<Self, ConnectionError> {
        head.on_connection("PING on a stream")?;
        match <[u8; 8]>::try_from(payload) {
            Ok(payload) => Ok(Self {
                ack: head.has(flag::ACK),
                payload,
            }),
            Err(_) => Err(ConnectionError {
                code: ErrorCode::FRAME_SIZE_ERROR,
                reason: "PING not of 8 octets",
            }),
        }
    }

    /// Appends a PING frame.
    pub fn write(self, out: &mut Vec<u8>) {
        let flags = if self.ack { flag::ACK } else { 0 };
        Head::new(Kind::Ping, flags, 0, self.payload.len()).write(out);
        out.extend_from_slice(&self.payload);
    }
}
