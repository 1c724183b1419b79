//! The frame head: the first nine octets of every frame (RFC 9113 section 4.1).

use crate::error::{ConnectionError, ErrorCode};

/// The maximum stream id, which is also the mask that removes the reserved bit.
pub const MAX_STREAM_ID: u32 = (1 << 31) - 1;

/// The flags of RFC 9113 section 6.
pub mod flag {
    /// An acknowledgement, on SETTINGS and PING.
    pub const ACK: u8 = 0x1;
    /// The end of the stream in this direction, on DATA and HEADERS.
    pub const END_STREAM: u8 = 0x1;
    /// The end of the header block, on HEADERS, PUSH_PROMISE and CONTINUATION.
    pub const END_HEADERS: u8 = 0x4;
    /// The presence of padding, on DATA, HEADERS and PUSH_PROMISE.
    pub const PADDED: u8 = 0x8;
    /// The presence of priority fields, on HEADERS.
    pub const PRIORITY: u8 = 0x20;
}

/// The type of a frame (RFC 9113 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// DATA (section 6.1).
    Data,
    /// HEADERS (section 6.2).
    Headers,
    /// PRIORITY (section 6.3).
    Priority,
    /// RST_STREAM (section 6.4).
    RstStream,
    /// SETTINGS (section 6.5).
    Settings,
    /// PUSH_PROMISE (section 6.6).
    PushPromise,
    /// PING (section 6.7).
    Ping,
    /// GOAWAY (section 6.8).
    GoAway,
    /// WINDOW_UPDATE (section 6.9).
    WindowUpdate,
    /// CONTINUATION (section 6.10).
    Continuation,
    /// An unknown type, which is ignored (section 5.5).
    Unknown(u8),
}

impl Kind {
    /// Returns the type with this code.
    #[inline]
    pub const fn from_octet(octet: u8) -> Self {
        match octet {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x2 => Self::Priority,
            0x3 => Self::RstStream,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            other => Self::Unknown(other),
        }
    }

    /// Returns the code of the type.
    #[inline]
    pub const fn octet(self) -> u8 {
        match self {
            Self::Data => 0x0,
            Self::Headers => 0x1,
            Self::Priority => 0x2,
            Self::RstStream => 0x3,
            Self::Settings => 0x4,
            Self::PushPromise => 0x5,
            Self::Ping => 0x6,
            Self::GoAway => 0x7,
            Self::WindowUpdate => 0x8,
            Self::Continuation => 0x9,
            Self::Unknown(octet) => octet,
        }
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The length of the payload in octets, less than 2^24.
    pub length: usize,
    /// The type.
    pub kind: Kind,
    /// The flags. Their meaning depends on the type, see [`flag`].
    pub flags: u8,
    /// The id of the stream, or 0 for the connection. The reserved bit is not set.
    pub stream_id: u32,
}

impl Head {
    /// The length of a head, in octets.
    pub const LEN: usize = 9;

    /// Creates a head.
    #[inline]
    pub const fn new(kind: Kind, flags: u8, stream_id: u32, length: usize) -> Self {
        Self {
            length,
            kind,
            flags,
            stream_id,
        }
    }

    /// Parses a head. Any nine octets are valid.
    #[inline]
    pub const fn parse(octets: [u8; Self::LEN]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = octets;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind: Kind::from_octet(kind),
            flags,
            stream_id: u32::from_be_bytes([s0, s1, s2, s3]) & MAX_STREAM_ID,
        }
    }

    /// Returns the octets of the head.
    #[inline]
    pub const fn octets(self) -> [u8; Self::LEN] {
        let [_, l0, l1, l2] = (self.length as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream_id.to_be_bytes();
        [l0, l1, l2, self.kind.octet(), self.flags, s0, s1, s2, s3]
    }

    /// Appends the head.
    #[inline]
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.octets());
    }

    /// Returns `true` if a flag of [`flag`] is set.
    #[inline]
    pub const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Fails with `reason` on stream 0.
    #[inline]
    pub(super) const fn on_stream(self, reason: &'static str) -> Result<(), ConnectionError> {
        if self.stream_id == 0 {
            return Err(ConnectionError {
                code: ErrorCode::PROTOCOL_ERROR,
                reason,
            });
        }
        Ok(())
    }

    /// Fails with `reason` on any stream but 0.
    pub(super) const fn on_connection(self, reason: &'static str) -> Result<(), ConnectionError> {
        if self.stream_id != 0 {
            return Err(ConnectionError {
                code: ErrorCode::PROTOCOL_ERROR,
                reason,
            });
        }
        Ok(())
    }
}
