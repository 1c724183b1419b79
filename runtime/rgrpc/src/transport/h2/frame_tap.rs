//! An observer of the frames that a client's connection receives. Polled by the connection's task.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connection_info::ConnectionInfo;
use super::frame_walker::{FrameWalker, Observed};
use crate::transport::GoAway;

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
