//! An observer of the frames that a server's connection receives. Polled by the connection's task.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame_walker::{FrameWalker, Observed};
use super::header_list_limit::HeaderListLimit;
use crate::transport::statistics::ConnectionStats;

/// The length of the client's connection preface (RFC 9113, section 3.4).
const PREFACE_LEN: usize = 24;

/// Observes the input of `h2` on a server's connection and keeps what `h2` does not show: the client's
/// [`HeaderListLimit`], and its GOAWAY.
pub(super) struct ServerTap<T> {
    io: T,
    /// The number of octets of the client's preface that have not arrived.
    preface_left: usize,
    walker: FrameWalker,
    limit: Arc<HeaderListLimit>,
    stats: Arc<ConnectionStats>,
}

impl<T> ServerTap<T> {
    pub(super) fn new(io: T, limit: Arc<HeaderListLimit>, stats: Arc<ConnectionStats>) -> Self {
        Self {
            io,
            preface_left: PREFACE_LEN,
            walker: FrameWalker::default(),
            limit,
            stats,
        }
    }

    fn observe(&mut self, octets: &[u8]) {
        let (preface, frames) = octets.split_at(octets.len().min(self.preface_left));
        self.preface_left -= preface.len();
        let Self { limit, stats, .. } = self;
        self.walker.walk(frames, |frame| match frame {
            Observed::Settings {
                max_header_list: Some(max),
            } => limit.set(max),
            Observed::GoAway { goaway, .. } => stats.set_goaway(goaway),
            Observed::Settings {
                max_header_list: None,
            }
            | Observed::Headers => {}
        });
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ServerTap<T> {
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

impl<T: AsyncWrite + Unpin> AsyncWrite for ServerTap<T> {
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
    use crate::io::{Address, Peer};
    use crate::side::Side;
    use crate::transport::ConnectionRegistry;

    fn stats() -> Arc<ConnectionStats> {
        let registry = Arc::new(ConnectionRegistry::default());
        let peer = Peer::new(Address::Pipe, Address::Pipe);
        Arc::clone(registry.register(Side::Server, Arc::new(peer)).stats())
    }

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
            let mut tap = ServerTap::new((), Arc::clone(&limit), stats());
            for piece in wire.chunks(size) {
                tap.observe(piece);
            }
            assert_eq!(limit.exceeded_by(|| 9), None);
            assert_eq!(limit.exceeded_by(|| 10), Some((10, 9)), "split by {size}");
        }
    }

    #[test]
    fn the_client_s_goaway_is_kept_whatever_the_split() {
        let mut wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        wire.extend(b"\0\0\0\x04\0\0\0\0\0");
        wire.extend(b"\0\0\x0b\x07\0\0\0\0\0\0\0\0\0\0\0\0\x02bye");
        for size in 1..=wire.len() {
            let stats = stats();
            let mut tap = ServerTap::new((), HeaderListLimit::new(), Arc::clone(&stats));
            for piece in wire.chunks(size) {
                tap.observe(piece);
            }
            let goaway = stats.snapshot().goaway.expect("a GOAWAY");
            assert_eq!((goaway.code, &*goaway.debug_data), (2, &b"bye"[..]));
        }
    }
}
