//! A minimal engine: the core over a byte stream.

use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::{Connection, Event};

/// An end of a connection. The owner's value of a stream is the number of the call.
pub(super) struct Socket<H> {
    pub(super) core: Connection<usize, H>,
    io: DuplexStream,
    input: BytesMut,
}

impl<H: Clone> Socket<H> {
    pub(super) fn new(core: Connection<usize, H>, io: DuplexStream) -> Self {
        Self {
            core,
            io,
            input: BytesMut::new(),
        }
    }

    /// Returns the next event.
    pub(super) fn event(&mut self) -> Option<Event<H>> {
        let event = self.core.next_event(&mut self.input, Instant::now());
        event.expect("no connection error between honest ends")
    }

    /// Transfers some octets in either direction. Returns `false` if the peer has closed.
    pub(super) async fn carry(&mut self) -> bool {
        // Reading and writing are concurrent. Otherwise both ends could wait for space in a full
        // pipe.
        let (mut reader, mut writer) = tokio::io::split(&mut self.io);
        let output = self.core.output();
        self.input.reserve(65_536);
        if output.is_empty() {
            return matches!(reader.read_buf(&mut self.input).await, Ok(1..));
        }
        tokio::select! {
            biased;
            written = writer.write(output.chunk()) => {
                let written = written.unwrap_or_default();
                output.advance(written);
                written > 0
            }
            read = reader.read_buf(&mut self.input) => matches!(read, Ok(1..)),
        }
    }

    /// Closes this direction and waits until the peer closes the other. Further octets are ignored.
    pub(super) async fn close(mut self) {
        // An error means that the peer has already closed.
        let _ = self.io.shutdown().await;
        while matches!(self.io.read_buf(&mut self.input).await, Ok(1..)) {
            self.input.clear();
        }
    }

    /// Returns `true` if the connection is drained and everything is written.
    pub(super) fn is_drained(&mut self) -> bool {
        self.core.is_drained() && self.core.output().is_empty()
    }
}
