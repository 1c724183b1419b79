//! The reader of received messages ("PROTOCOL-HTTP2", Length-Prefixed-Message).
//!
//! Owned by the receiving half of a call, on the task that receives.
//!
//! Source: grpc-go `internal/transport`, `parser.recvMsg`.

use bytes::Buf;
use rgrpc_http2::BytesQueue;

use super::{Encoding, MessageBytes, MessageLimit, PREFIX_LEN, Prefix, caught_on_client};
use crate::buffer_pool::{BufferPool, MIN_BUFFER};
use crate::read_demand::ReadDemand;
use crate::side::Side;
use crate::status::Status;

/// A reader of messages from the DATA frames of a stream, in any split.
///
/// It is a state machine without IO: [`push`](Self::push) adds received data, and
/// [`next`](Self::next) returns the next message. Only compressed messages are copied. The reader
/// refuses a length over the limit when it reads the prefix. So it holds at most one message of the
/// allowed size and the DATA frame with its end.
#[derive(Debug)]
pub(crate) struct MessageReader {
    buffered: BytesQueue,
    /// The prefix of the incomplete message.
    prefix: Option<Prefix>,
    limit: MessageLimit,
    /// The encoding of compressed messages; `None` for [`Encoding::Identity`], the encoding of most
    /// calls. It is boxed to keep the reader small.
    encoding: Option<Box<Encoding>>,
}

/// A message that was read.
#[derive(Debug)]
pub(crate) struct ReadMessage {
    /// The bytes, decompressed.
    pub(crate) bytes: MessageBytes,
    /// The length on the wire, without the prefix.
    pub(crate) compressed_len: usize,
}

impl MessageReader {
    /// Creates a reader that refuses messages over the limit.
    pub(crate) fn new(limit: MessageLimit) -> Self {
        Self {
            buffered: BytesQueue::default(),
            prefix: None,
            limit,
            encoding: None,
        }
    }

    /// Sets the encoding of compressed messages. Default: identity, which allows none.
    pub(crate) fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = match encoding {
            Encoding::Identity => None,
            encoding => Some(Box::new(encoding)),
        };
    }

    /// Sets the encoding of compressed messages, other than [`Encoding::Identity`].
    pub(crate) fn set_boxed_encoding(&mut self, encoding: Box<Encoding>) {
        self.encoding = Some(encoding);
    }

    /// Adds received data.
    pub(crate) fn push(&mut self, data: BytesQueue) {
        self.buffered.append(data);
    }

    /// Returns the next complete message, or `None` when more data is needed.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when the message is larger than the limit, compressed or decompressed;
    /// INTERNAL when its flag is unknown or it cannot be decompressed.
    ///
    /// `pool` returns the pool of large buffers.
    pub(crate) fn next(
        &mut self,
        pool: impl Fn() -> BufferPool,
    ) -> Result<Option<ReadMessage>, Status> {
        let prefix = match self.prefix {
            Some(prefix) => prefix,
            None if self.buffered.len() < PREFIX_LEN => return Ok(None),
            None => {
                let prefix = self.read_prefix()?;
                self.prefix = Some(prefix);
                prefix
            }
        };
        let len = prefix.len as usize;
        if self.buffered.len() < len {
            return Ok(None);
        }
        self.prefix = None;
        let message = MessageBytes::from(self.buffered.split_to(len));
        let bytes = if prefix.compressed {
            caught_on_client(self.side(), "the decompressor of the call", || {
                self.encoding().decompress(message, self.limit, &pool())
            })?
        } else if len >= MIN_BUFFER && message.is_split() {
            message.with_pool(pool())
        } else {
            message
        };
        Ok(Some(ReadMessage {
            bytes,
            compressed_len: len,
        }))
    }

    /// Returns the data that the next message still needs.
    pub(crate) fn read_demand(&self) -> ReadDemand {
        let len = match self.prefix {
            Some(prefix) => prefix.len as usize,
            None if self.buffered.is_empty() => {
                return ReadDemand::Message {
                    max: self.limit.bytes(),
                };
            }
            None => PREFIX_LEN,
        };
        ReadDemand::Rest(len.saturating_sub(self.buffered.len()))
    }

    /// Returns whether a message is incomplete. The stream must not end in this state.
    pub(crate) fn is_within_message(&self) -> bool {
        self.prefix.is_some() || !self.buffered.is_empty()
    }

    /// Returns the side that reads.
    pub(crate) fn side(&self) -> Side {
        self.limit.side()
    }

    fn encoding(&self) -> &Encoding {
        self.encoding.as_deref().unwrap_or(&Encoding::Identity)
    }

    fn read_prefix(&mut self) -> Result<Prefix, Status> {
        let mut bytes = [0; PREFIX_LEN];
        MessageBytes::from(self.buffered.split_to(PREFIX_LEN)).copy_to_slice(&mut bytes);
        let prefix = Prefix::parse(bytes).ok_or_else(|| {
            Status::internal(format!(
                "received a message with the unknown flag {}: the {} does not speak gRPC",
                bytes[0],
                self.limit.side().other()
            ))
        })?;
        if prefix.compressed {
            self.encoding().check(self.limit.side())?;
        }
        self.limit.check_received(prefix.len)?;
        Ok(prefix)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::codec::compression::reversing::Reversing;
    use crate::status::Code;

    fn limit(bytes: usize) -> MessageLimit {
        MessageLimit::new(Side::Client, bytes)
    }

    fn read_all(reader: &mut MessageReader) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some(read) = reader.next(BufferPool::shared).expect("valid") {
            let mut message = read.bytes;
            messages.push(message.copy_to_bytes(message.remaining()).to_vec());
        }
        messages
    }

    #[test]
    fn messages_are_found_in_any_split() {
        let wire = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x05hello";
        for size in 1..=wire.len() {
            let mut reader = MessageReader::new(limit(5));
            let mut messages = Vec::new();
            for piece in wire.chunks(size) {
                reader.push(Bytes::copy_from_slice(piece).into());
                messages.extend(read_all(&mut reader));
            }
            assert_eq!(messages, [&b"abc"[..], b"", b"hello"], "split by {size}");
            assert!(!reader.is_within_message());
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_body_arrives() {
        let mut reader = MessageReader::new(limit(4));
        reader.push(Bytes::from_static(b"\0\0\0\0\x05").into());
        let error = reader.next(BufferPool::shared).expect_err("too large");
        assert_eq!(error.code(), Code::ResourceExhausted);
        assert!(error.message().contains("(5 vs. 4)"), "{error}");
    }

    #[test]
    fn a_message_of_exactly_the_limit_passes() {
        let mut reader = MessageReader::new(limit(4));
        reader.push(Bytes::from_static(b"\0\0\0\0\x04abcd").into());
        assert_eq!(read_all(&mut reader), [b"abcd"]);
    }

    #[test]
    fn an_unknown_flag_or_compression_without_an_encoding_is_internal() {
        for flag in [1, 2, 255] {
            let mut reader = MessageReader::new(limit(4));
            reader.push(Bytes::copy_from_slice(&[flag, 0, 0, 0, 0]).into());
            assert_eq!(
                reader.next(BufferPool::shared).expect_err("flag").code(),
                Code::Internal
            );
        }
    }

    #[test]
    fn only_flagged_messages_are_decompressed() {
        let mut reader = MessageReader::new(limit(4));
        reader.set_encoding(Encoding::Known(Arc::new(Reversing("r"))));
        reader.push(Bytes::from_static(b"\x01\0\0\0\x03abc\0\0\0\0\x03abc").into());
        assert_eq!(read_all(&mut reader), [b"cba", b"abc"]);
    }

    #[test]
    fn a_compressed_message_of_an_unknown_encoding_is_refused_before_its_body() {
        for (encoding, text) in [
            (Encoding::Identity, "no grpc-encoding"),
            (Encoding::Unknown("x".into()), "the grpc-encoding \"x\""),
        ] {
            let mut reader = MessageReader::new(limit(4));
            reader.set_encoding(encoding);
            reader.push(Bytes::from_static(b"\x01\0\0\0\x03").into());
            let error = reader.next(BufferPool::shared).expect_err("not known");
            assert_eq!(error.code(), Code::Internal);
            assert!(error.message().contains(text), "{error}");
        }
    }

    #[test]
    fn an_unknown_encoding_affects_only_compressed_messages() {
        let mut reader = MessageReader::new(limit(4));
        reader.set_encoding(Encoding::Unknown("x".into()));
        reader.push(Bytes::from_static(b"\0\0\0\0\x03abc").into());
        assert_eq!(read_all(&mut reader), [b"abc"]);
    }

    #[test]
    fn the_read_demand_is_a_message_or_the_rest_of_one() {
        let mut reader = MessageReader::new(limit(10));
        for (piece, read_demand) in [
            (&b""[..], ReadDemand::Message { max: 10 }),
            (b"\0\0", ReadDemand::Rest(3)),
            (b"\0\0\x06ab", ReadDemand::Rest(4)),
            (b"cdef", ReadDemand::Message { max: 10 }),
        ] {
            reader.push(Bytes::from_static(piece).into());
            let _ = reader.next(BufferPool::shared).expect("valid");
            assert_eq!(reader.read_demand(), read_demand, "{piece:?}");
        }
    }

    #[test]
    fn a_reader_is_within_a_message_after_any_part_of_it() {
        let mut reader = MessageReader::new(limit(10));
        assert!(!reader.is_within_message());
        for piece in [&b"\0\0"[..], b"\0\0\x02", b"a"] {
            reader.push(Bytes::from_static(piece).into());
            assert!(reader.next(BufferPool::shared).expect("valid").is_none());
            assert!(reader.is_within_message());
        }
        reader.push(Bytes::from_static(b"b").into());
        assert_eq!(read_all(&mut reader), [b"ab"]);
        assert!(!reader.is_within_message());
    }
}
