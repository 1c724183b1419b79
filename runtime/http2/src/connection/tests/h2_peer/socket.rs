//! The core over a byte stream: the smallest engine there can be.

use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::{Connection, Event};

/// An end of a connection. What it keeps with a stream is the number of the call.
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

    /// What has happened, if anything has.
    pub(super) fn event(&mut self) -> Option<Event<H>> {
        let event = self.core.next_event(&mut self.input, Instant::now());
        event.expect("no connection error between ends that mean well")
    }

    /// Waits until some octets have gone either way. Returns whether more may come: not if the peer
    /// has closed.
    pub(super) async fn carry(&mut self) -> bool {
        // Reading and writing go on at the same time, or both ends wait for room in the other's
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

    /// Says that nothing more comes, and waits for the peer to say so: whatever it still writes is
    /// not held against it.
    pub(super) async fn close(mut self) {
        // An error says that the peer has closed already.
        let _ = self.io.shutdown().await;
        while matches!(self.io.read_buf(&mut self.input).await, Ok(1..)) {
            self.input.clear();
        }
    }

    /// Whether everything has been said and written, and nothing is left to be heard.
    pub(super) fn is_drained(&mut self) -> bool {
        self.core.is_drained() && self.core.output().is_empty()
    }
}
