//! PING (RFC 9113 section 6.7).

use super::{Malformation, RawFrame, WireFrame, flag, kind};

/// A PING frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Ping {
    /// ACK.
    pub ack: bool,
    /// The opaque data.
    pub opaque: [u8; 8],
}

/// A PING with this opaque data.
pub fn ping(opaque: [u8; 8]) -> Ping {
    Ping { ack: false, opaque }
}

impl Ping {
    /// Sets ACK.
    pub fn ack(self) -> Self {
        Self { ack: true, ..self }
    }

    pub(crate) fn parse(raw: &RawFrame) -> Result<Self, Malformation> {
        raw.on_connection()?;
        Ok(Self {
            ack: raw.has(flag::ACK),
            opaque: raw.fixed()?,
        })
    }
}

impl WireFrame for Ping {
    fn to_raw(&self) -> Vec<RawFrame> {
        vec![RawFrame::new(
            kind::PING,
            flag::when(self.ack, flag::ACK),
            0,
            self.opaque,
        )]
    }
}
