//! The nine octets in front of every frame (RFC 9113 section 4.1).

use crate::error::{ConnectionError, ErrorCode};

/// The highest stream id, and the mask that takes the reserved bit off one.
pub const MAX_STREAM_ID: u32 = (1 << 31) - 1;

/// The flags of RFC 9113 section 6.
pub mod flag {
    /// SETTINGS and PING: an acknowledgement.
    pub const ACK: u8 = 0x1;
    /// DATA and HEADERS: the last of the stream in this direction.
    pub const END_STREAM: u8 = 0x1;
    /// HEADERS, PUSH_PROMISE and CONTINUATION: the last of the header block.
    pub const END_HEADERS: u8 = 0x4;
    /// DATA, HEADERS and PUSH_PROMISE: there is padding.
    pub const PADDED: u8 = 0x8;
    /// HEADERS: there are priority fields.
    pub const PRIORITY: u8 = 0x20;
}

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Section 6.1.
    Data,
    /// Section 6.2.
    Headers,
    /// Section 6.3.
    Priority,
    /// Section 6.4.
    RstStream,
    /// Section 6.5.
    Settings,
    /// Section 6.6.
    PushPromise,
    /// Section 6.7.
    Ping,
    /// Section 6.8.
    GoAway,
    /// Section 6.9.
    WindowUpdate,
    /// Section 6.10.
    Continuation,
    /// A type of an extension that this endpoint does not speak: ignored (section 5.5).
    Unknown(u8),
}

impl Kind {
    /// The type of this octet.
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

    /// The octet of this type.
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
    /// The length of the payload: 24 bits.
    pub length: usize,
    /// The type.
    pub kind: Kind,
    /// The flags; which mean something depends on the type.
    pub flags: u8,
    /// The stream, 0 for the connection. The reserved bit is off.
    pub stream_id: u32,
}

impl Head {
    /// The octets a head takes.
    pub const LEN: usize = 9;

    /// A head to write.
    pub const fn new(kind: Kind, flags: u8, stream_id: u32, length: usize) -> Self {
        Self {
            length,
            kind,
            flags,
            stream_id,
        }
    }

    /// Reads a head; any nine octets are one.
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

    /// The octets of the head.
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

    /// Whether a flag is set.
    #[inline]
    pub const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Refuses stream 0.
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

    /// Refuses every stream but 0.
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
