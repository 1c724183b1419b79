//! The decompression of a message within a limit.
//!
//! Called by the encoding of a stream for its reader, on the task that receives.

use std::io::{self, Read};

use bytes::Buf;
use rgrpc_http2::BytesQueue;

use super::Compressor;
use crate::buffer_pool::BufferPool;
use crate::codec::MessageBytes;
use crate::codec::MessageLimit;
use crate::status::Status;

/// The sizes of the pieces in which a message is decompressed, in bytes.
const SMALLEST_PIECE: usize = 512;
const LARGEST_PIECE: usize = 256 * 1024;

/// The expected ratio of the decompressed to the compressed size, for the first piece.
const EXPECTED_GROWTH: usize = 4;

/// Decompresses a message, up to one byte more than the limit.
///
/// # Errors
/// INTERNAL when the message is malformed; RESOURCE_EXHAUSTED when it is larger than the limit.
pub(crate) fn decompress(
    compressor: &dyn Compressor,
    message: MessageBytes,
    limit: MessageLimit,
    pool: &BufferPool,
) -> Result<MessageBytes, Status> {
    let expected = message.remaining().saturating_mul(EXPECTED_GROWTH);
    let malformed = |error: io::Error| {
        Status::internal(format!(
            "decompressing a received message by {}: {error}",
            compressor.name()
        ))
    };
    let mut reader = compressor.decompress(message).map_err(malformed)?;
    let enough = limit.bytes().saturating_add(1);
    let mut size = expected.clamp(SMALLEST_PIECE, LARGEST_PIECE);
    let mut decompressed = BytesQueue::default();
    while decompressed.len() < enough {
        let len = size.min(enough - decompressed.len());
        let mut piece = pool.take(len);
        piece.resize(len, 0);
        let filled = fill(&mut reader, &mut piece).map_err(malformed)?;
        piece.truncate(filled);
        decompressed.push(pool.share(piece));
        if filled < len {
            return Ok(MessageBytes::from(decompressed).with_pool(pool.clone()));
        }
        size = (size * 2).min(LARGEST_PIECE);
    }
    Err(limit.exceeded_after_decompression())
}

/// Reads until the buffer is full or the reader ends; returns the number of bytes.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::side::Side;
    use crate::status::Code;

    /// A compressor that decompresses any message to `count` zeros, and counts the bytes that are
    /// read.
    struct Zeros {
        count: u64,
        made: AtomicUsize,
    }

    impl Zeros {
        fn new(count: usize) -> Self {
            Self {
                count: count as u64,
                made: AtomicUsize::new(0),
            }
        }
    }

    impl Compressor for Zeros {
        fn name(&self) -> &str {
            "zeros"
        }

        fn compress(&self, _: MessageBytes, _: &mut Vec<u8>) -> io::Result<()> {
            Ok(())
        }

        fn decompress(&self, _: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
            let zeros = io::repeat(0).take(self.count);
            Ok(Box::new(Counted(zeros, &self.made)))
        }
    }

    struct Counted<'a, R>(R, &'a AtomicUsize);

    impl<R: Read> Read for Counted<'_, R> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            // Short reads, so that a piece takes several of them.
            let most = into.len().min(100);
            let count = self.0.read(&mut into[..most])?;
            self.1.fetch_add(count, Ordering::Relaxed);
            Ok(count)
        }
    }

    #[test]
    fn a_message_within_the_limit_is_read_to_its_end() {
        for (count, max) in [
            (0, 0),
            (1, 1),
            (SMALLEST_PIECE, SMALLEST_PIECE),
            (SMALLEST_PIECE, usize::MAX),
            (1_000_000, 1_000_000),
            (1_000_000, 4_000_000),
        ] {
            let message = decompress(
                &Zeros::new(count),
                MessageBytes::default(),
                MessageLimit::new(Side::Server, max),
                &BufferPool::shared(),
            );
            let message = message.expect("within the limit");
            assert_eq!(message.remaining(), count, "at most {max}");
        }
    }

    #[test]
    fn at_most_one_byte_over_the_limit_is_decompressed() {
        for (count, max) in [(1, 0), (6, 5), (1 << 40, 1_000_000)] {
            let zeros = Zeros::new(count);
            let error = decompress(
                &zeros,
                MessageBytes::default(),
                MessageLimit::new(Side::Server, max),
                &BufferPool::shared(),
            )
            .expect_err("too large");
            assert_eq!(error.code(), Code::ResourceExhausted);
            let numbers = format!("(at least {} vs. {max})", max + 1);
            assert!(error.message().contains(&numbers), "{error}");
            assert_eq!(zeros.made.load(Ordering::Relaxed), max + 1);
        }
    }
}
