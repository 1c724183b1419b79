//! The stream after the handshake: records with a tag, which detect every change.
//!
//! ```text
//!   length: 2 bytes │ payload: up to 16 KiB │ tag: HMAC-SHA256 of number, length and payload
//! ```
//!
//! Records are numbered from 0, so that one that is left out, repeated or moved has a wrong tag.
//! Each direction has a key of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rgrpc::io::BoxedIo;
use ring::hmac;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const LENGTH: usize = 2;
const TAG: usize = 32;
const MAX_PAYLOAD: usize = 16 * 1024;

/// A stream of records.
pub(crate) struct Records {
    io: BoxedIo,
    sending: Direction,
    receiving: Direction,
    /// Records that the connection has not accepted yet, from `sent` on.
    output: Vec<u8>,
    sent: usize,
    /// Bytes that were received, a part of a record.
    input: Vec<u8>,
    /// The payload of the last record, of which the reader has taken `taken` bytes.
    payload: Vec<u8>,
    taken: usize,
}

/// The key and the number of the next record.
struct Direction {
    key: hmac::Key,
    next: u64,
}

impl Direction {
    fn context(&mut self, head: &[u8], payload: &[u8]) -> Vec<u8> {
        let number = self.next.to_be_bytes();
        self.next += 1;
        [&number[..], head, payload].concat()
    }
}

impl Records {
    pub(crate) fn new(io: BoxedIo, sending: hmac::Key, receiving: hmac::Key) -> Self {
        let direction = |key| Direction { key, next: 0 };
        Self {
            io,
            sending: direction(sending),
            receiving: direction(receiving),
            output: Vec::new(),
            sent: 0,
            input: Vec::new(),
            payload: Vec::new(),
            taken: 0,
        }
    }

    /// Writes the records that wait.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.output.len() {
            let rest = &self.output[self.sent..];
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        self.output.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Takes a whole record from the input. Returns whether there was one.
    fn take_record(&mut self) -> io::Result<bool> {
        let Some((head, rest)) = self.input.split_first_chunk::<LENGTH>() else {
            return Ok(false);
        };
        let length = usize::from(u16::from_be_bytes(*head));
        if length > MAX_PAYLOAD {
            return Err(invalid("the other side has sent a record that is too long"));
        }
        if rest.len() < length + TAG {
            return Ok(false);
        }
        let (payload, rest) = rest.split_at(length);
        let signed = self.receiving.context(head, payload);
        if hmac::verify(&self.receiving.key, &signed, &rest[..TAG]).is_err() {
            return Err(invalid("a record was changed on its way"));
        }
        self.payload = payload.to_vec();
        self.taken = 0;
        self.input.drain(..LENGTH + length + TAG);
        Ok(true)
    }
}

impl AsyncRead for Records {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.taken == this.payload.len() {
            if this.take_record()? {
                continue;
            }
            let mut bytes = [0; 4096];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
            match (read.filled(), this.input.is_empty()) {
                ([], true) => return Poll::Ready(Ok(())),
                ([], false) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                (bytes, _) => this.input.extend(bytes),
            }
        }
        let rest = &this.payload[this.taken..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        this.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Records {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        // At most one record waits.
        ready!(this.poll_drain(cx))?;
        let payload = &buf[..buf.len().min(MAX_PAYLOAD)];
        let length = u16::try_from(payload.len()).map_err(io::Error::other)?;
        let head = length.to_be_bytes();
        let signed = this.sending.context(&head, payload);
        let tag = hmac::sign(&this.sending.key, &signed);
        for part in [&head, payload, tag.as_ref()] {
            this.output.extend(part);
        }
        // The payload is taken, whether the connection accepts it now or later.
        if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(payload.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn side(io: DuplexStream, sending: u8, receiving: u8) -> Records {
        Records::new(Box::new(io), key(sending), key(receiving))
    }

    #[tokio::test]
    async fn bytes_pass_in_both_directions_in_records_of_any_size() {
        let (one, other) = duplex(100);
        let (mut client, mut server) = (side(one, 1, 2), side(other, 2, 1));
        let sent: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let echo = async {
            let mut received = vec![0; sent.len()];
            server.read_exact(&mut received).await?;
            server.write_all(&received).await?;
            server.shutdown().await
        };
        let call = async {
            client.write_all(&sent).await?;
            client.flush().await?;
            let mut received = Vec::new();
            client.read_to_end(&mut received).await?;
            io::Result::Ok(received)
        };
        let (received, echoed) = tokio::join!(call, echo);
        echoed.expect("the client is there");
        assert!(received.expect("the server is there") == sent);
    }

    /// Sends two records, changes what is on the way, and reads it.
    async fn read_changed(change: impl FnOnce(&mut Vec<u8>)) -> io::Result<Vec<u8>> {
        let (sender, mut way) = duplex(1000);
        let mut sender = side(sender, 1, 2);
        for text in ["abc", "def"] {
            sender.write_all(text.as_bytes()).await?;
        }
        sender.shutdown().await?;
        let mut bytes = Vec::new();
        way.read_to_end(&mut bytes).await?;
        change(&mut bytes);
        let (mut way, receiver) = duplex(1000);
        way.write_all(&bytes).await?;
        way.shutdown().await?;
        let mut received = Vec::new();
        side(receiver, 2, 1).read_to_end(&mut received).await?;
        Ok(received)
    }

    #[tokio::test]
    async fn every_change_is_detected() {
        const RECORD: usize = LENGTH + 3 + TAG;
        assert_eq!(read_changed(|_| {}).await.expect("no change"), b"abcdef");
        for at in 0..2 * RECORD {
            let changed = read_changed(|bytes| bytes[at] ^= 1).await;
            changed.expect_err("a byte was changed");
        }
        let swapped = read_changed(|bytes| bytes.rotate_left(RECORD)).await;
        swapped.expect_err("the records were swapped");
        let cut = read_changed(|bytes| bytes.truncate(RECORD + 1)).await;
        cut.expect_err("a record was cut");
    }
}
