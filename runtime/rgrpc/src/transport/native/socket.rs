//! Reads and writes of a connection's socket. Owned by the connection's task.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use rgrpc_http2::Output;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::io::BoxedIo;

/// The maximum number of pieces in one write.
const MAX_SLICES: usize = 64;

/// A connection's socket.
pub(super) struct Socket {
    io: BoxedIo,
    vectored: bool,
}

impl Socket {
    pub(super) fn new(io: BoxedIo) -> Self {
        Self {
            vectored: io.is_write_vectored(),
            io,
        }
    }

    /// Reads once, into the capacity behind the content of `input`. Returns 0 at the end.
    pub(super) fn poll_read(
        &mut self,
        input: &mut impl BufMut,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        pin!(self.io.read_buf(input)).poll(cx)
    }

    /// Writes `output` until the socket accepts no more. Ready when all is written.
    pub(super) fn poll_write(
        &mut self,
        output: &mut Output,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !output.is_empty() {
            let io = Pin::new(&mut self.io);
            // One piece is the usual case, and a plain write costs the kernel less.
            let written = if self.vectored && !output.is_one_chunk() {
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

    /// Flushes the buffers below, such as those of TLS.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Ends writing.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
