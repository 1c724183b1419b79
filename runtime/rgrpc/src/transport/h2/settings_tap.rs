//! An observer of the SETTINGS that a server's connection receives. Polled by the connection's
//! task.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame_walker::{FrameWalker, Observed};
use super::header_list_limit::HeaderListLimit;

/// The length of the client's connection preface (RFC 9113, section 3.4).
const PREFACE_LEN: usize = 24;

/// Observes the input of `h2` on a server's connection, for the client's [`HeaderListLimit`].
pub(super) struct SettingsTap<T> {
    io: T,
    /// The number of octets of the client's preface that have not arrived.
    preface_left: usize,
    walker: FrameWalker,
    limit: Arc<HeaderListLimit>,
}

impl<T> SettingsTap<T> {
    pub(super) fn new(io: T, limit: Arc<HeaderListLimit>) -> Self {
        Self {
            io,
            preface_left: PREFACE_LEN,
            walker: FrameWalker::default(),
            limit,
        }
    }

    fn observe(&mut self, octets: &[u8]) {
        let (preface, frames) = octets.split_at(octets.len().min(self.preface_left));
        self.preface_left -= preface.len();
        let limit = &self.limit;
        self.walker.walk(frames, |frame| {
            if let Observed::Settings {
                max_header_list: Some(max),
            } = frame
            {
                limit.set(max);
            }
        });
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for SettingsTap<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.observe(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for SettingsTap<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_that_of_the_last_settings_whatever_the_split() {
        let mut wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        assert_eq!(wire.len(), PREFACE_LEN);
        wire.extend(b"\0\0\x06\x04\0\0\0\0\0\0\x06\0\0\0\x09");
        // An acknowledgement changes nothing, and neither do SETTINGS without it.
        wire.extend(b"\0\0\0\x04\x01\0\0\0\0");
        wire.extend(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x01");
        for size in 1..=wire.len() {
            let limit = HeaderListLimit::new();
            assert_eq!(limit.exceeded_by(|| usize::MAX), None);
            let mut tap = SettingsTap::new((), Arc::clone(&limit));
            for piece in wire.chunks(size) {
                tap.observe(piece);
            }
            assert_eq!(limit.exceeded_by(|| 9), None);
            assert_eq!(limit.exceeded_by(|| 10), Some((10, 9)), "split by {size}");
        }
    }
}
