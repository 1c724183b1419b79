//! PRIORITY (RFC 9113 section 6.3): deprecated, still to be accepted and ignored.

use std::fmt;

use bytes::{Buf, Bytes};

use super::{Malformation, RawFrame, WireFrame, kind};

/// The five octets of priority fields, in PRIORITY and in HEADERS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The stream depended on.
    pub stream_id: u32,
    /// The exclusive bit.
    pub exclusive: bool,
    /// The weight octet: 0 to 255 on the wire for weights 1 to 256.
    pub weight: u8,
}

impl Dependency {
    pub(crate) fn octets(self) -> [u8; 5] {
        let id = u32::from(self.exclusive) << 31 | self.stream_id & 0x7fff_ffff;
        let [a, b, c, d] = id.to_be_bytes();
        [a, b, c, d, self.weight]
    }

    /// Takes the fields off the front of a payload.
    pub(crate) fn take(payload: &mut Bytes) -> Result<Self, Malformation> {
        if payload.len() < 5 {
            return Err(Malformation::new(
                "fewer than five octets of priority fields",
            ));
        }
        let id = payload.get_u32();
        Ok(Self {
            stream_id: id & 0x7fff_ffff,
            exclusive: id >> 31 == 1,
            weight: payload.get_u8(),
        })
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exclusive = if self.exclusive { " exclusive" } else { "" };
        write!(f, "on={}{exclusive} weight={}", self.stream_id, self.weight)
    }
}

/// A PRIORITY frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Priority {
    /// The stream.
    pub stream_id: u32,
    /// The priority fields.
    pub dependency: Dependency,
}

/// A PRIORITY frame.
pub fn priority(stream_id: u32, dependency: Dependency) -> Priority {
    Priority {
        stream_id,
        dependency,
    }
}

impl Priority {
    pub(crate) fn parse(raw: &RawFrame) -> Result<Self, Malformation> {
        raw.on_stream()?;
        let octets = raw.fixed::<5>()?;
        let dependency = Dependency::take(&mut Bytes::copy_from_slice(&octets))?;
        Ok(Self {
            stream_id: raw.stream_id,
            dependency,
        })
    }
}

impl WireFrame for Priority {
    fn to_raw(&self) -> Vec<RawFrame> {
        vec![RawFrame::new(
            kind::PRIORITY,
            0,
            self.stream_id,
            self.dependency.octets(),
        )]
    }
}
