//! PRIORITY (RFC 9113 section 6.3): deprecated, and ignored once it is well-formed.

use super::{Head, MAX_STREAM_ID};
use crate::error::{ErrorCode, Fault};

/// The priority fields, of a PRIORITY frame or of a HEADERS frame. The weight and the exclusive bit
/// are not kept: nothing here uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// The stream depended on.
    pub depends_on: u32,
}

impl Priority {
    /// The octets of the fields.
    pub const LEN: usize = 5;

    /// Reads the fields.
    pub(super) const fn from_octets(octets: [u8; Self::LEN]) -> Self {
        let [s0, s1, s2, s3, _weight] = octets;
        Self {
            depends_on: u32::from_be_bytes([s0, s1, s2, s3]) & MAX_STREAM_ID,
        }
    }

    /// Reads a PRIORITY frame. A wrong length is an error of the stream alone.
    pub fn parse(head: Head, payload: &[u8]) -> Result<Self, Fault> {
        head.on_stream("PRIORITY on stream 0")?;
        match <[u8; Self::LEN]>::try_from(payload) {
            Ok(octets) => Ok(Self::from_octets(octets)),
            Err(_) => Err(Fault::stream(
                ErrorCode::FRAME_SIZE_ERROR,
                "PRIORITY not of 5 octets",
            )),
        }
    }
}
