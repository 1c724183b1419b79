//! A walk over the frames of a connection, in bytes that are split anywhere. Called by the taps, on the
//! connection's task.

use bytes::Bytes;

use crate::transport::GoAway;

/// The length of a frame's header (RFC 9113, section 4.1).
const HEADER_LEN: usize = 9;

const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;

/// The number of octets of a GOAWAY that are kept: its eight fixed octets and this much debug data.
/// The same number of octets of SETTINGS is kept, which is more than a hundred settings.
const MAX_PAYLOAD: usize = 8 + 1024;

/// The identifier of SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113, section 6.5.2).
const MAX_HEADER_LIST_SIZE: [u8; 2] = [0, 6];

/// A frame that the walker reports.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Observed {
    /// SETTINGS, with the last SETTINGS_MAX_HEADER_LIST_SIZE in it.
    Settings {
        max_header_list: Option<u32>,
    },
    Headers,
    GoAway {
        goaway: GoAway,
        last_stream: u32,
    },
}

/// Walks over frames in bytes that are split anywhere.
#[derive(Default)]
pub(super) struct FrameWalker {
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// The number of octets of the current frame's payload that have not arrived.
    payload_left: usize,
    /// The payload of a frame that is inspected.
    payload: Vec<u8>,
}

impl FrameWalker {
    pub(super) fn walk(&mut self, mut bytes: &[u8], mut report: impl FnMut(Observed)) {
        while !bytes.is_empty() {
            if self.header_len < HEADER_LEN {
                let (part, rest) = bytes.split_at(bytes.len().min(HEADER_LEN - self.header_len));
                self.header[self.header_len..][..part.len()].copy_from_slice(part);
                self.header_len += part.len();
                bytes = rest;
                if self.header_len < HEADER_LEN {
                    return;
                }
                let [a, b, c, ..] = self.header;
                self.payload_left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.payload.clear();
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.payload_left));
            self.payload_left -= part.len();
            bytes = rest;
            if matches!(self.kind(), GOAWAY | SETTINGS) {
                let free = MAX_PAYLOAD - self.payload.len();
                self.payload
                    .extend_from_slice(&part[..part.len().min(free)]);
            }
            if self.payload_left == 0 {
                match self.kind() {
                    SETTINGS => report(Observed::Settings {
                        max_header_list: max_header_list(&self.payload),
                    }),
                    HEADERS => report(Observed::Headers),
                    GOAWAY => goaway(&self.payload).into_iter().for_each(&mut report),
                    _ => {}
                }
                self.header_len = 0;
            }
        }
    }

    fn kind(&self) -> u8 {
        self.header[3]
    }
}

/// Returns the last SETTINGS_MAX_HEADER_LIST_SIZE of SETTINGS, which is the valid one.
fn max_header_list(payload: &[u8]) -> Option<u32> {
    let mut settings = payload.as_chunks::<6>().0.iter().rev();
    settings.find_map(|setting| {
        let value = setting.strip_prefix(&MAX_HEADER_LIST_SIZE)?;
        Some(u32::from_be_bytes(value.try_into().ok()?))
    })
}

/// Returns `None` for a malformed GOAWAY, with which `h2` ends the connection.
fn goaway(payload: &[u8]) -> Option<Observed> {
    let (&[i, j, k, l, a, b, c, d], debug) = payload.split_first_chunk()?;
    let code = u32::from_be_bytes([a, b, c, d]);
    Some(Observed::GoAway {
        goaway: GoAway::new(code, Bytes::copy_from_slice(debug)),
        // Without the reserved bit.
        last_stream: u32::from_be_bytes([i, j, k, l]) & (u32::MAX >> 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 0]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn settings_and_goaway_are_found_whatever_the_split() {
        let mut wire = frame(
            SETTINGS,
            b"\0\x06\0\0\0\x09\0\x03\0\0\0\x64\0\x06\0\0\x10\0",
        );
        wire.extend(frame(SETTINGS, &[]));
        wire.extend(frame(0, b"data of no interest"));
        wire.extend(frame(HEADERS, b"a response"));
        wire.extend(frame(GOAWAY, b"\0\0\0\x05\0\0\0\x0btoo_many_pings"));
        wire.extend(frame(GOAWAY, b"\0\0\0\x05\0\0\0\0"));
        for size in 1..=wire.len() {
            let mut walker = FrameWalker::default();
            let mut seen = Vec::new();
            for piece in wire.chunks(size) {
                walker.walk(piece, |frame| seen.push(frame));
            }
            assert_eq!(
                seen,
                [
                    Observed::Settings {
                        max_header_list: Some(4096),
                    },
                    Observed::Settings {
                        max_header_list: None,
                    },
                    Observed::Headers,
                    Observed::GoAway {
                        goaway: GoAway::new(0xb, "too_many_pings".into()),
                        last_stream: 5,
                    },
                    Observed::GoAway {
                        goaway: GoAway::new(0, Bytes::new()),
                        last_stream: 5,
                    },
                ],
                "split by {size}"
            );
        }
    }

    #[test]
    fn only_the_beginning_of_debug_data_is_kept() {
        let mut walker = FrameWalker::default();
        let mut wire = frame(GOAWAY, &[b'x'; 16_000]);
        wire.extend(frame(SETTINGS, &[]));
        let mut seen = 0;
        walker.walk(&wire, |_| seen += 1);
        assert_eq!(seen, 2);
        assert!(walker.payload.capacity() <= 2 * MAX_PAYLOAD);
    }
}
