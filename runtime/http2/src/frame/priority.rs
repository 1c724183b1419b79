//! PRIORITY (RFC 9113 section 6.3), which is deprecated. A well-formed frame is ignored.

use super::{Head, MAX_STREAM_ID};
use crate::error::{ErrorCode, Fault};

/// The priority fields of a PRIORITY or HEADERS frame, without the unused weight and exclusive
/// flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// The id of the stream that this stream depends on.
    pub depends_on: u32,
}

impl Priority {
    /// The length of the fields, in octets.
    pub const LEN: usize = 5;

    /// Parses the fields.
    pub(super) const fn from_octets(octets: [u8; Self::LEN]) -> Self {
        let [s0, s1, s2, s3, _weight] = octets;
        Self {
            depends_on: u32::from_be_bytes([s0, s1, s2, s3]) & MAX_STREAM_ID,
        }
    }

    /// Parses a PRIORITY frame. Stream 0 is a connection error; a wrong length is a stream error.
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
