//! Message framing: a five-byte prefix before every message ("PROTOCOL-HTTP2",
//! Length-Prefixed-Message).
//!
//! Called by the sending and receiving halves and by unary calls, on the tasks that send and
//! receive.

use bytes::{Buf, BufMut, Bytes};
use rgrpc_http2::BytesQueue;

use super::{Codec, CodecError, MessageBuffer, MessageBytes, MessageLimit};
use crate::prefix::{PREFIX_LEN, Prefix};
use crate::side::Side;
use crate::status::Status;
use crate::task::{Panicked, caught};

/// The default maximum size of a received message: 4 MiB, as in grpc-go.
pub(crate) const DEFAULT_MAX_RECEIVE: usize = 4 * 1024 * 1024;

/// The default maximum size of a sent message: 2^31 − 1 bytes, as in grpc-go.
pub(crate) const DEFAULT_MAX_SEND: usize = i32::MAX as usize;

/// Encodes `message` with its prefix.
///
/// # Errors
/// INTERNAL when the codec fails, RESOURCE_EXHAUSTED when the message is larger than the limit.
// One copy for each message, into which the codec is inlined.
#[inline(never)]
pub(crate) fn frame<C: Codec<M>, M>(
    message: &M,
    limit: MessageLimit,
) -> Result<BytesQueue, Status> {
    if let Some(framed) = C::framed(message) {
        limit.check_sent(framed.len().saturating_sub(PREFIX_LEN))?;
        return Ok(framed.into());
    }
    let mut buffer = MessageBuffer::with_capacity(PREFIX_LEN + C::encoded_len(message));
    buffer.put_bytes(0, PREFIX_LEN);
    C::encode(message, &mut buffer)
        .map_err(|error| Status::internal(format!("encoding a message to send: {error}")))?;
    let length = limit.check_sent(buffer.len() - PREFIX_LEN)?;
    buffer.copied_mut()[1..PREFIX_LEN].copy_from_slice(&length.to_be_bytes());
    Ok(buffer.into_pieces())
}

/// Encodes `message` without a prefix, in one piece.
///
/// # Errors
/// INTERNAL when the codec fails, RESOURCE_EXHAUSTED when the message is larger than the maximum length in
/// a prefix.
pub(crate) fn encode<C: Codec<M>, M>(message: &M, side: Side) -> Result<Bytes, Status> {
    let mut framed = frame::<C, M>(message, MessageLimit::largest(side))?;
    framed.advance(PREFIX_LEN.min(framed.len()));
    Ok(framed.into_bytes())
}

/// Returns whether `data` is exactly one uncompressed message with its prefix, of at most `max`
/// bytes.
#[inline]
pub(crate) fn is_one_message(data: &[u8], max: usize) -> bool {
    let Some((&prefix, message)) = data.split_first_chunk() else {
        return false;
    };
    match Prefix::parse(prefix) {
        Some(Prefix { compressed, len }) => {
            !compressed && len as usize == message.len() && message.len() <= max
        }
        None => false,
    }
}

/// Decodes data that [`is_one_message`].
///
/// # Errors
/// INTERNAL when the codec fails.
#[inline]
pub(crate) fn decode_whole<C: Codec<M>, M>(mut framed: Bytes, side: Side) -> Result<M, Status> {
    framed.advance(PREFIX_LEN);
    decode(C::decode, framed.into(), side)
}

/// Decodes a message.
///
/// # Errors
/// INTERNAL when the codec fails.
#[inline]
pub(crate) fn decode<M>(
    decode_message: impl FnOnce(MessageBytes) -> Result<M, CodecError>,
    bytes: MessageBytes,
    side: Side,
) -> Result<M, Status> {
    let decoded = match side {
        Side::Client => caught("the codec of the call", || decode_message(bytes))
            .map_err(Panicked::to_status)?,
        // Not in a closure, which would move the message once more. The handler's guard catches a
        // panic.
        Side::Server => decode_message(bytes),
    };
    decoded.map_err(|error| undecodable(&error))
}

#[cold]
fn undecodable(error: &CodecError) -> Status {
    Status::internal(format!("decoding a received message: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::RawCodec;
    use crate::status::Code;

    fn limit(bytes: usize) -> MessageLimit {
        MessageLimit::new(Side::Client, bytes)
    }

    #[test]
    fn a_frame_is_flag_length_and_message() {
        let framed = frame::<RawCodec, _>(&Bytes::from_static(b"abc"), limit(3)).expect("fits");
        assert_eq!(framed.into_bytes(), &b"\0\0\0\0\x03abc"[..]);
    }

    #[test]
    fn a_message_over_the_limit_is_refused_with_both_numbers() {
        let error =
            frame::<RawCodec, _>(&Bytes::from_static(b"abcd"), limit(3)).expect_err("too large");
        assert_eq!(error.code(), Code::ResourceExhausted);
        assert!(error.message().contains("(4 vs. 3)"), "{error}");
    }

    #[test]
    fn exactly_one_whole_message_is_recognized() {
        for (data, one) in [
            (&b"\0\0\0\0\x03abc"[..], true),
            (b"\0\0\0\0\0", true),
            (b"", false),
            (b"\0\0\0\0", false),
            (b"\0\0\0\0\x03ab", false),
            (b"\0\0\0\0\x03abc\0", false),
            (b"\x01\0\0\0\x03abc", false),
            (b"\x02\0\0\0\x03abc", false),
            (b"\0\0\0\0\x04abcd", false),
        ] {
            assert_eq!(is_one_message(data, 3), one, "{data:?}");
        }
    }
}
