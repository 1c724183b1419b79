//! GOAWAY (RFC 9113 section 6.8).

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{ErrorCode, Malformation, RawFrame, WireFrame, kind};

/// A GOAWAY frame.
#[derive(Clone, Debug, PartialEq)]
pub struct GoAway {
    /// The highest stream that the sender took up.
    pub last_stream_id: u32,
    /// The error code.
    pub code: ErrorCode,
    /// The additional debug data.
    pub debug_data: Bytes,
}

/// A GOAWAY without debug data.
pub fn goaway(last_stream_id: u32, code: ErrorCode) -> GoAway {
    GoAway {
        last_stream_id,
        code,
        debug_data: Bytes::new(),
    }
}

impl GoAway {
    /// Adds debug data.
    pub fn debug_data(self, text: impl AsRef<[u8]>) -> Self {
        Self {
            debug_data: Bytes::copy_from_slice(text.as_ref()),
            ..self
        }
    }

    pub(crate) fn parse(raw: &RawFrame) -> Result<Self, Malformation> {
        raw.on_connection()?;
        let mut payload = raw.payload.clone();
        if payload.len() < 8 {
            return Err(Malformation::new("fewer than eight octets"));
        }
        Ok(Self {
            last_stream_id: payload.get_u32() & 0x7fff_ffff,
            code: ErrorCode(payload.get_u32()),
            debug_data: payload,
        })
    }
}

impl WireFrame for GoAway {
    fn to_raw(&self) -> Vec<RawFrame> {
        let mut payload = BytesMut::new();
        payload.put_u32(self.last_stream_id);
        payload.put_u32(self.code.0);
        payload.put_slice(&self.debug_data);
        vec![RawFrame::new(kind::GOAWAY, 0, 0, payload)]
    }
}

/// `last=1 ENHANCE_YOUR_CALM "too_many_pings"`
impl fmt::Display for GoAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "last={} {}", self.last_stream_id, self.code)?;
        if self.debug_data.is_empty() {
            return Ok(());
        }
        write!(f, " \"{}\"", self.debug_data.escape_ascii())
    }
}
