//! An observer of the frames that a client's connection receives. Polled by the connection's task.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connection_info::ConnectionInfo;
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

/// Observes the input of `h2` on a client's connection and reports facts that `h2` does not: the
/// server's SETTINGS, a response, the content of a GOAWAY, and the error that ended the connection.
pub(super) struct FrameTap<T> {
    io: T,
    walker: FrameWalker,
    observer: Observer,
}

/// The callback for every GOAWAY, with its last stream.
pub(super) type OnGoAway = Box<dyn FnMut(GoAway, u32) + Send>;

/// The receivers of a [`FrameTap`]'s reports.
pub(super) struct Observer {
    /// The receiver of the first SETTINGS frame.
    pub(super) settings: Option<oneshot::Sender<()>>,
    pub(super) goaway: OnGoAway,
    /// The store of the first octets and the error.
    pub(super) info: Arc<ConnectionInfo>,
}

impl<T> FrameTap<T> {
    pub(super) fn new(io: T, observer: Observer) -> Self {
        Self {
            io,
            walker: FrameWalker::default(),
            observer,
        }
    }
}

impl Observer {
    /// Stores the error, if there is one.
    fn failed<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        done.map_err(|error| self.info.keep_io_error(error))
    }

    fn observe(&mut self, frame: Observed) {
        match frame {
            Observed::Settings { max_header_list } => {
                if let Some(max) = max_header_list {
                    self.info.header_list.set(max);
                }
                if let Some(settings) = self.settings.take() {
                    // There is no receiver when the attempt to connect was given up.
                    let _ = settings.send(());
                }
            }
            Observed::Headers => self.info.set_served(),
            Observed::GoAway {
                goaway,
                last_stream,
            } => (self.goaway)(goaway, last_stream),
        }
    }
}

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

impl<T: AsyncRead + Unpin> AsyncRead for FrameTap<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            io,
            walker,
            observer,
        } = &mut *self;
        let before = buf.filled().len();
        let read = ready!(Pin::new(io).poll_read(cx, buf));
        read.map_err(|error| observer.info.keep_io_error(error))?;
        observer.info.last_received.set(Instant::now());
        if observer.settings.is_some() {
            observer.info.keep_first_octets(&buf.filled()[before..]);
        }
        walker.walk(&buf.filled()[before..], |frame| observer.observe(frame));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FrameTap<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.observer.failed(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.observer.failed(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.observer.failed(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
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
