//! RST_STREAM (RFC 9113 section 6.4).

use super::{ErrorCode, Malformation, RawFrame, WireFrame, kind};

/// A RST_STREAM frame.
#[derive(Clone, Debug, PartialEq)]
pub struct RstStream {
    /// The stream.
    pub stream_id: u32,
    /// The error code.
    pub code: ErrorCode,
}

/// A RST_STREAM frame.
pub fn rst_stream(stream_id: u32, code: ErrorCode) -> RstStream {
    RstStream { stream_id, code }
}

impl RstStream {
    pub(crate) fn parse(raw: &RawFrame) -> Result<Self, Malformation> {
        raw.on_stream()?;
        let code = ErrorCode(u32::from_be_bytes(raw.fixed()?));
        Ok(Self {
            stream_id: raw.stream_id,
            code,
        })
    }
}

impl WireFrame for RstStream {
    fn to_raw(&self) -> Vec<RawFrame> {
        vec![RawFrame::new(
            kind::RST_STREAM,
            0,
            self.stream_id,
            self.code.0.to_be_bytes(),
        )]
    }
}
