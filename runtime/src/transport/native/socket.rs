use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::http2::Output;
use crate::io::BoxedIo;

/// How much one read takes at most.
const MAX_READ: usize = 64 * 1024;

/// How much the first read takes: what an idle connection holds.
const MIN_READ: usize = 4 * 1024;

/// How many pieces one write takes.
const MAX_SLICES: usize = 64;

/// A connection's socket.
pub(super) struct Socket {
    io: BoxedIo,
    vectored: bool,
    /// How much the next read takes: more where reads come back full.
    read_size: usize,
}

impl Socket {
    pub(super) fn new(io: BoxedIo) -> Self {
        Self {
            vectored: io.is_write_vectored(),
            io,
            read_size: MIN_READ,
        }
    }

    /// Reads once, behind what `input` holds; 0 at the end.
    pub(super) fn poll_read(
        &mut self,
        input: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if input.capacity() - input.len() < self.read_size / 2 {
            input.reserve(self.read_size);
        }
        let room = input.capacity() - input.len();
        let read = ready!(pin!(self.io.read_buf(input)).poll(cx))?;
        if read == room {
            self.read_size = (self.read_size * 2).min(MAX_READ);
        }
        Poll::Ready(Ok(read))
    }

    /// Writes what there is, until the socket takes no more; ready when all is written.
    pub(super) fn poll_write(
        &mut self,
        output: &mut Output,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !output.is_empty() {
            let io = Pin::new(&mut self.io);
            let written = if self.vectored {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = output.slices(&mut slices);
                ready!(io.poll_write_vectored(cx, &slices[..count]))?
            } else {
                ready!(io.poll_write(cx, output.chunk()))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes what the connection buffers below, as TLS does.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Ends writing.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
