//! Frames as bytes. RFC 9113, section 4.1.

use anyhow::{Result, ensure};

/// The client's connection preface.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest payload that a peer takes without being asked, and that is sent and taken here.
pub(crate) const MAX_PAYLOAD: usize = 16_384;

/// Bytes before the payload.
pub(crate) const HEAD: usize = 9;

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;

/// A frame that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame of these bytes, and what follows it; `None` when it is not whole.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *head;
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        ensure!(
            len <= MAX_PAYLOAD,
            "a frame of {len} bytes is larger than the {MAX_PAYLOAD} that were allowed"
        );
        let Some((payload, rest)) = rest.split_at_checked(len) else {
            return Ok(None);
        };
        let frame = Self {
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            payload,
        };
        Ok(Some((frame, rest)))
    }

    pub(crate) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Writes what goes before a payload of `len` bytes, which is at most [`MAX_PAYLOAD`].
pub(crate) fn write_head(out: &mut Vec<u8>, len: usize, kind: u8, flags: u8, stream: u32) {
    let [.., l0, l1, l2] = len.to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    out.extend_from_slice(&[l0, l1, l2, kind, flags, s0, s1, s2, s3]);
}

/// Writes a whole frame.
pub(crate) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    write_head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// Gives the peer more window; `stream` 0 is the connection's.
pub(crate) fn write_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    write(out, WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
}

/// The increment of a WINDOW_UPDATE.
pub(crate) fn window_update(payload: &[u8]) -> Result<i64> {
    let bytes: [u8; 4] = payload.try_into()?;
    Ok(i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_frame_is_read_as_the_same_frame_and_only_once_complete() {
        let mut bytes = Vec::new();
        write(&mut bytes, DATA, END_STREAM, 0x0102_0304, b"payload");
        write_window_update(&mut bytes, 0, 5);
        let first = HEAD + 7;
        for len in 0..first {
            assert_eq!(Frame::split(&bytes[..len]).unwrap(), None, "{len} bytes");
        }
        let (frame, rest) = Frame::split(&bytes).unwrap().unwrap();
        let want = Frame {
            kind: DATA,
            flags: END_STREAM,
            stream: 0x0102_0304,
            payload: b"payload",
        };
        assert_eq!(frame, want);
        let (frame, rest) = Frame::split(rest).unwrap().unwrap();
        assert_eq!(frame.kind, WINDOW_UPDATE);
        assert_eq!(window_update(frame.payload).unwrap(), 5);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_frame_larger_than_allowed_is_an_error_before_it_is_whole() {
        let mut bytes = Vec::new();
        write_head(&mut bytes, MAX_PAYLOAD + 1, DATA, 0, 1);
        assert!(Frame::split(&bytes).is_err());
    }
}
