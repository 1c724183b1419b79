//! A frame as nine octets of header and a payload, free of every rule of its type.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    Data, GoAway, Ping, Priority, RstStream, Settings, WindowUpdate, WireFrame, flag, kind,
};

/// The length of the frame header, in octets (RFC 9113 section 4.1).
const HEADER_LEN: usize = 9;

/// The octets of a payload that a transcript shows.
const PREVIEW: usize = 32;

/// Any frame: any type, flags, stream id and payload, and a length field that may be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct RawFrame {
    /// The type octet; [`kind`] names the known ones.
    pub kind: u8,
    /// The flags octet; [`flag`] names the known ones.
    pub flags: u8,
    /// The reserved bit above the stream id.
    pub reserved: bool,
    /// The stream id, 31 bits.
    pub stream_id: u32,
    /// The octets after the frame header.
    pub payload: Bytes,
    /// The 24-bit length field where it differs from the payload's length.
    pub declared_length: Option<u32>,
}

impl RawFrame {
    /// A frame with an honest length and no reserved bit.
    pub fn new(kind: u8, flags: u8, stream_id: u32, payload: impl AsRef<[u8]>) -> Self {
        Self {
            kind,
            flags,
            reserved: false,
            stream_id,
            payload: Bytes::copy_from_slice(payload.as_ref()),
            declared_length: None,
        }
    }

    /// Replaces the flags.
    pub fn flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    /// Replaces the stream id.
    pub fn stream(self, stream_id: u32) -> Self {
        Self { stream_id, ..self }
    }

    /// Sets the reserved bit.
    pub fn reserved_bit(self) -> Self {
        Self {
            reserved: true,
            ..self
        }
    }

    /// Replaces the payload.
    pub fn payload(self, payload: impl AsRef<[u8]>) -> Self {
        Self {
            payload: Bytes::copy_from_slice(payload.as_ref()),
            ..self
        }
    }

    /// Writes this length instead of the payload's.
    pub fn declared_length(self, length: u32) -> Self {
        Self {
            declared_length: Some(length),
            ..self
        }
    }

    /// Returns whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The octets on the wire.
    pub fn encode(&self) -> Bytes {
        let length = self.declared_length.unwrap_or(self.payload.len() as u32);
        let mut out = BytesMut::with_capacity(HEADER_LEN + self.payload.len());
        out.put_uint(u64::from(length), 3);
        out.put_u8(self.kind);
        out.put_u8(self.flags);
        out.put_u32(u32::from(self.reserved) << 31 | self.stream_id & 0x7fff_ffff);
        out.put_slice(&self.payload);
        out.freeze()
    }

    /// Takes a whole frame off the front of the buffer, if there is one.
    pub(crate) fn decode(buffer: &mut BytesMut) -> Option<Self> {
        let mut head = buffer.get(..HEADER_LEN)?;
        let length = head.get_uint(3) as usize;
        let (kind, flags, id) = (head.get_u8(), head.get_u8(), head.get_u32());
        if buffer.len() < HEADER_LEN + length {
            return None;
        }
        buffer.advance(HEADER_LEN);
        Some(Self {
            kind,
            flags,
            reserved: id >> 31 == 1,
            stream_id: id & 0x7fff_ffff,
            payload: buffer.split_to(length).freeze(),
            declared_length: None,
        })
    }

    /// The payload of a frame type whose length is fixed.
    pub(crate) fn fixed<const N: usize>(&self) -> Result<[u8; N], Malformation> {
        <[u8; N]>::try_from(&self.payload[..]).map_err(|_| {
            Malformation::new(format!("{} octets where {N} belong", self.payload.len()))
        })
    }

    /// Holds a frame type to stream 0.
    pub(crate) fn on_connection(&self) -> Result<(), Malformation> {
        match self.stream_id {
            0 => Ok(()),
            id => Err(Malformation::new(format!(
                "on stream {id}, not on the connection"
            ))),
        }
    }

    /// Holds a frame type to a stream other than 0.
    pub(crate) fn on_stream(&self) -> Result<(), Malformation> {
        match self.stream_id {
            0 => Err(Malformation::new("on stream 0")),
            _ => Ok(()),
        }
    }

    /// The meaning of the payload in a few words, for some types.
    fn detail(&self) -> Option<String> {
        match self.kind {
            kind::DATA => Data::parse(self).ok().map(|frame| preview(&frame.payload)),
            kind::PRIORITY => Priority::parse(self)
                .ok()
                .map(|frame| frame.dependency.to_string()),
            kind::RST_STREAM => RstStream::parse(self)
                .ok()
                .map(|frame| frame.code.to_string()),
            kind::SETTINGS => Settings::parse(self).ok().map(|frame| frame.to_string()),
            kind::PING => Ping::parse(self).ok().map(|frame| preview(&frame.opaque)),
            kind::GOAWAY => GoAway::parse(self).ok().map(|frame| frame.to_string()),
            kind::WINDOW_UPDATE => WindowUpdate::parse(self)
                .ok()
                .map(|frame| format!("+{}", frame.increment)),
            // The fields follow the frame in the transcript.
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => Some(String::new()),
            _ => None,
        }
    }
}

impl WireFrame for RawFrame {
    fn to_raw(&self) -> Vec<RawFrame> {
        vec![self.clone()]
    }
}

/// `RST_STREAM stream=1 len=4 CANCEL`
impl fmt::Display for RawFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind::name(self.kind) {
            "UNKNOWN" => write!(f, "type={:#04x}", self.kind)?,
            name => f.write_str(name)?,
        }
        write!(f, " stream={} len={}", self.stream_id, self.payload.len())?;
        if let Some(length) = self.declared_length {
            write!(f, " declared-len={length}")?;
        }
        if self.reserved {
            f.write_str(" reserved-bit")?;
        }
        for name in flag::names(self.kind, self.flags) {
            write!(f, " {name}")?;
        }
        let detail = self.detail().unwrap_or_else(|| preview(&self.payload));
        if detail.is_empty() {
            Ok(())
        } else {
            write!(f, " {detail}")
        }
    }
}

fn preview(bytes: &[u8]) -> String {
    match bytes.get(..PREVIEW) {
        _ if bytes.is_empty() => String::new(),
        Some(start) if bytes.len() > PREVIEW => format!("\"{}…\"", start.escape_ascii()),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// The rule that a frame breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformation(String);

impl Malformation {
    pub(crate) fn new(rule: impl Into<String>) -> Self {
        Self(rule.into())
    }
}

impl fmt::Display for Malformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_octets_are_those_of_rfc_9113_section_4_1() {
        let frame = RawFrame::new(0xfa, 0xf5, 0x0102_0304, b"abc");
        assert_eq!(
            &frame.encode()[..],
            b"\x00\x00\x03\xfa\xf5\x01\x02\x03\x04abc"
        );
        assert_eq!(frame.reserved_bit().encode()[5], 0x81);
    }

    #[test]
    fn declared_length_may_lie() {
        let frame = RawFrame::new(kind::PING, 0, 0, [0; 8]).declared_length(0x0001_0203);
        assert_eq!(frame.encode()[..3], [1, 2, 3]);
        assert_eq!(frame.encode().len(), 17);
    }

    #[test]
    fn an_unfinished_frame_stays_in_the_buffer() {
        let whole = RawFrame::new(0xfa, 0xf5, 7, b"abc");
        let octets = whole.encode();
        for cut in 0..octets.len() {
            let mut buffer = BytesMut::from(&octets[..cut]);
            assert_eq!(RawFrame::decode(&mut buffer), None);
            assert_eq!(buffer.len(), cut);
        }
        let mut buffer = BytesMut::from(&octets[..]);
        assert_eq!(RawFrame::decode(&mut buffer), Some(whole));
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_transcript_line_names_type_flags_and_meaning() {
        let line = |frame: &dyn WireFrame| frame.raw().to_string();
        assert_eq!(
            line(&crate::data(3, b"hi").end_stream()),
            "DATA stream=3 len=2 END_STREAM \"hi\""
        );
        assert_eq!(
            line(&crate::rst_stream(3, crate::ErrorCode::CANCEL)),
            "RST_STREAM stream=3 len=4 CANCEL"
        );
        assert_eq!(
            line(&crate::settings().initial_window_size(5)),
            "SETTINGS stream=0 len=6 INITIAL_WINDOW_SIZE=5"
        );
        assert_eq!(
            line(&RawFrame::new(0xfa, 0x81, 0, [])),
            "type=0xfa stream=0 len=0 flags=0x81"
        );
    }
}
