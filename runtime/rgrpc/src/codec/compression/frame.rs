//! The framing of messages with compression.
//!
//! Called by the sending halves and by unary calls, on the task that sends.

use std::io;
use std::sync::Arc;

use bytes::BufMut;
use rgrpc_http2::BytesQueue;

use super::Compressor;
use crate::buffer_pool;
use crate::codec::limit::too_long;
use crate::codec::{Codec, MessageBytes, MessageLimit, PREFIX_LEN, caught_on_client, frame};
use crate::status::Status;

/// The names of the code that a panic ends a call with.
const CODEC: &str = "the codec of the call";
const CODEC_OR_COMPRESSOR: &str = "the codec or the compressor of the call";

/// The expected ratio of the uncompressed to the compressed size, for the buffer.
const EXPECTED_SHRINKING: usize = 4;

/// Encodes `message` with its prefix, compressed if there is a compressor and the message is not
/// empty. The limit applies to the bytes that are sent.
///
/// # Errors
/// INTERNAL when the codec or the compressor fails; RESOURCE_EXHAUSTED when the encoded or
/// compressed message is larger than the limit.
#[inline]
pub(crate) fn frame_with<C: Codec<M>, M>(
    message: &M,
    compressor: Option<&Arc<dyn Compressor>>,
    limit: MessageLimit,
) -> Result<BytesQueue, Status> {
    let side = limit.side();
    match compressor {
        None => caught_on_client(side, CODEC, || frame::<C, M>(message, limit)),
        Some(compressor) => caught_on_client(side, CODEC_OR_COMPRESSOR, || {
            frame_compressed::<C, M>(message, &**compressor, limit)
        }),
    }
}

fn frame_compressed<C: Codec<M>, M>(
    message: &M,
    compressor: &dyn Compressor,
    limit: MessageLimit,
) -> Result<BytesQueue, Status> {
    let framed = match C::framed_compressed(message, compressor) {
        Some(framed) => framed.map(BytesQueue::from),
        // The limit is for the compressed message, which may be smaller.
        None => compress(
            compressor,
            frame::<C, M>(message, MessageLimit::largest(limit.side()))?,
        ),
    };
    let framed = framed.map_err(|error| compress_failed(compressor, &error))?;
    limit.check_sent(framed.len() - PREFIX_LEN)?;
    Ok(framed)
}

/// Does as [`frame_with`], and returns the length of the encoded message before compression.
///
/// # Errors
/// As [`frame_with`].
pub(crate) fn frame_measured<C: Codec<M>, M>(
    message: &M,
    compressor: Option<&Arc<dyn Compressor>>,
    limit: MessageLimit,
) -> Result<(BytesQueue, usize), Status> {
    let Some(compressor) = compressor else {
        let framed = frame_with::<C, M>(message, None, limit)?;
        let len = framed.len().saturating_sub(PREFIX_LEN);
        return Ok((framed, len));
    };
    caught_on_client(limit.side(), CODEC_OR_COMPRESSOR, || {
        let framed = frame::<C, M>(message, MessageLimit::largest(limit.side()))?;
        let len = framed.len().saturating_sub(PREFIX_LEN);
        let compressed = match C::framed_compressed(message, &**compressor) {
            Some(framed) => framed.map(BytesQueue::from),
            None => compress(&**compressor, framed),
        };
        let compressed = compressed.map_err(|error| compress_failed(&**compressor, &error))?;
        limit.check_sent(compressed.len() - PREFIX_LEN)?;
        Ok((compressed, len))
    })
}

/// Compresses a framed message unless it is empty. The limit applies to the bytes that are sent.
///
/// # Errors
/// INTERNAL when the compressor fails; RESOURCE_EXHAUSTED when the compressed message is larger
/// than the limit.
pub(crate) fn compress_framed(
    framed: &mut BytesQueue,
    compressor: &Arc<dyn Compressor>,
    limit: MessageLimit,
) -> Result<(), Status> {
    *framed = compress(&**compressor, std::mem::take(framed))
        .map_err(|error| compress_failed(&**compressor, &error))?;
    limit.check_sent(framed.len() - PREFIX_LEN).map(drop)
}

/// Compresses a framed message. An empty message is returned unchanged.
pub(in crate::codec) fn compress(
    compressor: &dyn Compressor,
    mut framed: BytesQueue,
) -> io::Result<BytesQueue> {
    if framed.len() <= PREFIX_LEN {
        return Ok(framed);
    }
    framed.advance(PREFIX_LEN);
    let mut compressed = buffer_pool::take(PREFIX_LEN + framed.len() / EXPECTED_SHRINKING);
    compressed.put_bytes(0, PREFIX_LEN);
    compressor.compress(MessageBytes::from(framed), &mut compressed)?;
    let len = compressed.len() - PREFIX_LEN;
    let len = u32::try_from(len).map_err(|_| io::Error::other(too_long(len)))?;
    compressed[0] = 1;
    compressed[1..PREFIX_LEN].copy_from_slice(&len.to_be_bytes());
    Ok(buffer_pool::share(compressed).into())
}

/// The status of a call whose message could not be compressed.
pub(in crate::codec) fn compress_failed(compressor: &dyn Compressor, error: &io::Error) -> Status {
    let name = compressor.name();
    Status::internal(format!("compressing a message to send by {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use bytes::Bytes;

    use super::super::reversing::Reversing;
    use super::*;
    use crate::codec::RawCodec;
    use crate::side::Side;
    use crate::status::Code;

    /// A compressor whose output has this many bytes, and that fails for 0.
    struct Growing(usize);

    impl Compressor for Growing {
        fn name(&self) -> &str {
            "growing"
        }

        fn compress(&self, _: MessageBytes, output: &mut Vec<u8>) -> io::Result<()> {
            if self.0 == 0 {
                return Err(io::Error::other("no"));
            }
            output.put_bytes(b'x', self.0);
            Ok(())
        }

        fn decompress(&self, _: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn framed(
        message: &'static str,
        compressor: Option<impl Compressor>,
        max: usize,
    ) -> Result<Bytes, Status> {
        let compressor = compressor.map(|one| Arc::new(one) as Arc<dyn Compressor>);
        let message = Bytes::from_static(message.as_bytes());
        let limit = MessageLimit::new(Side::Server, max);
        frame_with::<RawCodec, _>(&message, compressor.as_ref(), limit).map(BytesQueue::into_bytes)
    }

    #[test]
    fn a_message_is_flagged_as_compressed_unless_it_is_empty() {
        for (message, compressor, expected) in [
            ("abc", None, &b"\0\0\0\0\x03abc"[..]),
            ("abc", Some(Reversing("r")), b"\x01\0\0\0\x03cba"),
            ("", Some(Reversing("r")), b"\0\0\0\0\0"),
        ] {
            let framed = framed(message, compressor, 10).expect("it fits");
            assert_eq!(&framed[..], expected);
        }
    }

    #[test]
    fn the_limit_is_for_the_compressed_length() {
        for (len, max, fits) in [(2, 2, true), (3, 2, false), (10, 9, false)] {
            let framed = framed("abcdef", Some(Growing(len)), max);
            assert_eq!(framed.is_ok(), fits, "{len} vs. {max}");
            if let Err(error) = framed {
                assert_eq!(error.code(), Code::ResourceExhausted);
                let numbers = format!("({len} vs. {max})");
                assert!(error.message().contains(&numbers), "{error}");
            }
        }
    }

    #[test]
    fn a_compressor_that_fails_is_internal_and_named() {
        let error = framed("abc", Some(Growing(0)), 10).expect_err("it fails");
        assert_eq!(error.code(), Code::Internal);
        assert!(error.message().contains("growing: no"), "{error}");
    }
}
