use bytes::Buf;
use rgrpc_http2::BytesQueue;

use super::{Encoding, MessageBytes, MessageLimit, PREFIX_LEN, Prefix};
use crate::side::Side;
use crate::status::Status;
use crate::wanted::Wanted;

/// Finds messages in the DATA of a stream, however it is split.
///
/// A state machine without IO: [`push`](Self::push) what arrived, then ask for the
/// [`next`](Self::next) message. Nothing is copied but what is compressed. What it holds is at most
/// one message of the allowed size and the DATA frame that ended it: a length over the limit is
/// refused when its prefix is read.
#[derive(Debug)]
pub(crate) struct MessageReader {
    buffered: BytesQueue,
    /// The prefix of the message that is being collected.
    prefix: Option<Prefix>,
    limit: MessageLimit,
    /// What messages are compressed by that say so; `None` for [`Encoding::Identity`]. Boxed,
    /// because it is that in most calls.
    encoding: Option<Box<Encoding>>,
}

/// A message that was read.
#[derive(Debug)]
pub(crate) struct ReadMessage {
    /// Its bytes, decompressed.
    pub(crate) bytes: MessageBytes,
    /// Its length as it came, without its prefix.
    pub(crate) compressed_len: usize,
}

impl MessageReader {
    /// A reader that refuses messages over the limit.
    pub(crate) fn new(limit: MessageLimit) -> Self {
        Self {
            buffered: BytesQueue::default(),
            prefix: None,
            limit,
            encoding: None,
        }
    }

    /// Takes compressed messages to be so by this encoding; until then there must be none.
    pub(crate) fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = match encoding {
            Encoding::Identity => None,
            encoding => Some(Box::new(encoding)),
        };
    }

    /// As [`set_encoding`](Self::set_encoding), for one that is not [`Encoding::Identity`].
    pub(crate) fn set_boxed_encoding(&mut self, encoding: Box<Encoding>) {
        self.encoding = Some(encoding);
    }

    /// Takes in a piece of DATA.
    pub(crate) fn push(&mut self, data: BytesQueue) {
        self.buffered.append(data);
    }

    /// The next whole message, or `None` when more DATA is needed.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when the message is larger than allowed, compressed or not; INTERNAL when
    /// its flag is not known, or it is compressed and cannot be decompressed.
    pub(crate) fn next(&mut self) -> Result<Option<ReadMessage>, Status> {
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
        let message = self.buffered.split_to(len).into();
        let bytes = if prefix.compressed {
            self.encoding().decompress(message, self.limit)?
        } else {
            message
        };
        Ok(Some(ReadMessage {
            bytes,
            compressed_len: len,
        }))
    }

    /// What is missing for the next message.
    pub(crate) fn wanted(&self) -> Wanted {
        let len = match self.prefix {
            Some(prefix) => prefix.len as usize,
            None if self.buffered.is_empty() => {
                return Wanted::Message {
                    max: self.limit.bytes(),
                };
            }
            None => PREFIX_LEN,
        };
        Wanted::Rest(len.saturating_sub(self.buffered.len()))
    }

    /// Whether a message has begun and not ended: the stream may not end here.
    pub(crate) fn is_within_message(&self) -> bool {
        self.prefix.is_some() || !self.buffered.is_empty()
    }

    /// The side that reads.
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
        while let Some(read) = reader.next().expect("valid") {
            let mut message = read.bytes;
            messages.push(message.copy_to_bytes(message.remaining()).to_vec());
        }
        messages
    }

    #[test]
    fn messages_are_found_whatever_the_split() {
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
        let error = reader.next().expect_err("too large");
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
    fn unknown_flags_and_unagreed_compression_are_internal() {
        for flag in [1, 2, 255] {
            let mut reader = MessageReader::new(limit(4));
            reader.push(Bytes::copy_from_slice(&[flag, 0, 0, 0, 0]).into());
            assert_eq!(reader.next().expect_err("flag").code(), Code::Internal);
        }
    }

    #[test]
    fn what_is_flagged_is_decompressed_and_what_is_not_is_left() {
        let mut reader = MessageReader::new(limit(4));
        reader.set_encoding(Encoding::Known(Arc::new(Reversing("r"))));
        reader.push(Bytes::from_static(b"\x01\0\0\0\x03abc\0\0\0\0\x03abc").into());
        assert_eq!(read_all(&mut reader), [b"cba", b"abc"]);
    }

    #[test]
    fn a_compressed_message_is_refused_before_its_body_where_its_encoding_is_not_known() {
        for (encoding, text) in [
            (Encoding::Identity, "no grpc-encoding"),
            (Encoding::Unknown("x".into()), "the grpc-encoding \"x\""),
        ] {
            let mut reader = MessageReader::new(limit(4));
            reader.set_encoding(encoding);
            reader.push(Bytes::from_static(b"\x01\0\0\0\x03").into());
            let error = reader.next().expect_err("not known");
            assert_eq!(error.code(), Code::Internal);
            assert!(error.message().contains(text), "{error}");
        }
    }

    #[test]
    fn an_encoding_that_is_not_known_matters_to_compressed_messages_alone() {
        let mut reader = MessageReader::new(limit(4));
        reader.set_encoding(Encoding::Unknown("x".into()));
        reader.push(Bytes::from_static(b"\0\0\0\0\x03abc").into());
        assert_eq!(read_all(&mut reader), [b"abc"]);
    }

    #[test]
    fn what_is_wanted_is_a_message_or_the_rest_of_one() {
        let mut reader = MessageReader::new(limit(10));
        for (piece, wanted) in [
            (&b""[..], Wanted::Message { max: 10 }),
            (b"\0\0", Wanted::Rest(3)),
            (b"\0\0\x06ab", Wanted::Rest(4)),
            (b"cdef", Wanted::Message { max: 10 }),
        ] {
            reader.push(Bytes::from_static(piece).into());
            let _ = reader.next().expect("valid");
            assert_eq!(reader.wanted(), wanted, "{piece:?}");
        }
    }

    #[test]
    fn a_stream_may_end_only_between_messages() {
        let mut reader = MessageReader::new(limit(10));
        assert!(!reader.is_within_message());
        for piece in [&b"\0\0"[..], b"\0\0\x02", b"a"] {
            reader.push(Bytes::from_static(piece).into());
            assert!(reader.next().expect("valid").is_none());
            assert!(reader.is_within_message());
        }
        reader.push(Bytes::from_static(b"b").into());
        assert_eq!(read_all(&mut reader), [b"ab"]);
        assert!(!reader.is_within_message());
    }
}
