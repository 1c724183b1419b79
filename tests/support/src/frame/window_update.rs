//! WINDOW_UPDATE (RFC 9113 section 6.9).

use super::{Malformation, RawFrame, WireFrame, kind};

/// A WINDOW_UPDATE frame.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowUpdate {
    /// The stream, 0 for the connection.
    pub stream_id: u32,
    /// The increment of the window, in octets; 0 is an error that a test may make.
    pub increment: u32,
}

/// A WINDOW_UPDATE; stream 0 is the connection.
pub fn window_update(stream_id: u32, increment: u32) -> WindowUpdate {
    WindowUpdate {
        stream_id,
        increment,
    }
}

impl WindowUpdate {
    pub(crate) fn parse(raw: &RawFrame) -> Result<Self, Malformation> {
        let increment = u32::from_be_bytes(raw.fixed()?) & 0x7fff_ffff;
        match increment {
            0 => Err(Malformation::new("an increment of 0")),
            _ => Ok(Self {
                stream_id: raw.stream_id,
                increment,
            }),
        }
    }
}

impl WireFrame for WindowUpdate {
    fn to_raw(&self) -> Vec<RawFrame> {
        vec![RawFrame::new(
            kind::WINDOW_UPDATE,
            0,
            self.stream_id,
            self.increment.to_be_bytes(),
        )]
    }
}
