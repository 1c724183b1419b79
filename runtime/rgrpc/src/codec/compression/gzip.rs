//! The compressor `gzip`, and its idle states.
//!
//! The tasks that send and receive share it, and take a state under a lock; they compress without
//! it.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::Mutex;

use bytes::Buf;
use bytes::buf::Reader;
use flate2::bufread::GzDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::Compressor;
use crate::codec::MessageBytes;
use crate::lock::lock;

/// The base-2 logarithm of the window size: the maximum, which is also the usual value.
const WINDOW_BITS: u8 = 15;

/// The smallest growth of the output buffer, in bytes.
const MIN_GROWTH: usize = 1024;

/// The maximum number of idle states of each kind. A state takes up to a few hundred KiB.
const MAX_IDLE: usize = 16;

/// The gzip compressor (RFC 1952), by zlib-rs in pure Rust.
///
/// It is registered in every channel and server of a crate built with the feature `gzip`. Register
/// another one to change the level:
///
/// ```
/// let server = rgrpc::Server::new().compressor(rgrpc::Gzip::with_level(1));
/// ```
///
/// The state of a compression takes up to a few hundred KiB. Idle states are reused by later
/// messages: at most 16 for compression and 16 for decompression.
///
/// Source: grpc-go's package `encoding/gzip`.
pub struct Gzip {
    level: Compression,
    compressing: IdleStates<Compress>,
    decompressing: IdleStates<Decoder>,
}

type Decoder = GzDecoder<Reader<MessageBytes>>;

impl Gzip {
    /// Creates the compressor with level 6.
    #[must_use]
    pub fn new() -> Self {
        Self::with_level(Compression::default().level())
    }

    /// Creates the compressor with a level: 0 does not compress, 1 is the fastest, 9 yields the
    /// smallest messages. Larger values mean 9. The level affects only sent messages.
    ///
    /// Source: grpc-go `gzip.SetLevel`.
    #[must_use]
    pub fn with_level(level: u32) -> Self {
        Self {
            level: Compression::new(level.min(Compression::best().level())),
            compressing: IdleStates::default(),
            decompressing: IdleStates::default(),
        }
    }
}

impl Default for Gzip {
    fn default() -> Self {
        Self::new()
    }
}

impl Compressor for Gzip {
    fn name(&self) -> &str {
        "gzip"
    }

    fn compress(&self, mut message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()> {
        let idle = self.compressing.take();
        let mut state = idle.unwrap_or_else(|| Compress::new_gzip(self.level, WINDOW_BITS));
        loop {
            let input = message.chunk();
            let flush = if input.len() == message.remaining() {
                FlushCompress::Finish
            } else {
                FlushCompress::None
            };
            let filled = output.len();
            let spare = (output.capacity() - filled).max(MIN_GROWTH);
            output.resize(filled + spare, 0);
            let before = (state.total_in(), state.total_out());
            let status = state.compress(input, &mut output[filled..], flush)?;
            // Neither is larger than the length of a slice.
            let consumed = (state.total_in() - before.0) as usize;
            let made = (state.total_out() - before.1) as usize;
            output.truncate(filled + made);
            message.advance(consumed);
            if status == Status::StreamEnd {
                break;
            }
        }
        state.reset();
        self.compressing.put(state);
        Ok(())
    }

    fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
        let input = message.reader();
        let decoder = match self.decompressing.take() {
            Some(mut decoder) => {
                decoder.reset(input);
                decoder
            }
            None => GzDecoder::new(input),
        };
        Ok(Box::new(Members {
            gzip: self,
            decoder: Some(decoder),
            position: Position::First,
        }))
    }
}

/// Reads the members of gzip data in turn. Data with more than one member is rare.
struct Members<'a> {
    gzip: &'a Gzip,
    /// `None` once it has returned to the idle states.
    decoder: Option<Decoder>,
    position: Position,
}

/// The position of the next read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// In the first member, or before it.
    First,
    /// After the end of a member.
    AfterMember,
    /// In a later member, after its first bytes.
    LaterMember,
}

impl Read for Members<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(0);
        };
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match decoder.read(into) {
                Ok(0) if decoder.get_mut().fill_buf()?.is_empty() => return Ok(0),
                Ok(0) => {
                    let rest =
                        std::mem::replace(decoder.get_mut(), MessageBytes::default().reader());
                    decoder.reset(rest);
                    self.position = Position::AfterMember;
                }
                Ok(count) => {
                    if self.position == Position::AfterMember {
                        self.position = Position::LaterMember;
                    }
                    return Ok(count);
                }
                Err(error) if self.position == Position::AfterMember => {
                    return Err(io::Error::new(
                        error.kind(),
                        format!("something follows the end of the gzip data: {error}"),
                    ));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Members<'_> {
    fn drop(&mut self) {
        if let Some(mut decoder) = self.decoder.take() {
            // The idle decoder must not hold the message.
            decoder.reset(MessageBytes::default().reader());
            self.gzip.decompressing.put(decoder);
        }
    }
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip")
            .field("level", &self.level.level())
            .finish_non_exhaustive()
    }
}

/// Idle states, for later messages.
struct IdleStates<T>(Mutex<Vec<T>>);

impl<T> IdleStates<T> {
    fn take(&self) -> Option<T> {
        lock(&self.0).pop()
    }

    fn put(&self, state: T) {
        let mut idle = lock(&self.0);
        if idle.len() < MAX_IDLE {
            idle.push(state);
        }
    }
}

impl<T> Default for IdleStates<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::decompress::decompress;
    use super::*;
    use crate::buffer_pool::BufferPool;
    use crate::codec::MessageLimit;
    use crate::side::Side;
    use crate::status::Code;
    use rgrpc_http2::BytesQueue;

    fn bytes(data: &[u8]) -> MessageBytes {
        Bytes::copy_from_slice(data).into()
    }

    fn compressed(gzip: &Gzip, message: MessageBytes) -> Vec<u8> {
        let mut output = b"before".to_vec();
        gzip.compress(message, &mut output).expect("it compresses");
        output.strip_prefix(b"before").expect("appended").to_vec()
    }

    fn decompressed(gzip: &Gzip, data: &[u8]) -> Result<Vec<u8>, crate::Status> {
        let mut message = decompress(
            gzip,
            bytes(data),
            MessageLimit::new(Side::Server, 1_000_000),
            &BufferPool::shared(),
        )?;
        Ok(message.copy_to_bytes(message.remaining()).to_vec())
    }

    /// Random bytes in runs, which compress to about half their size.
    fn random_bytes(len: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let run = random.usize(1..20).min(len - bytes.len());
            bytes.extend(std::iter::repeat_n(random.u8(..), run));
        }
        bytes
    }

    #[test]
    fn a_round_trip_holds_for_every_level_and_any_pieces() {
        for level in [0, 1, 6, 100] {
            let gzip = Gzip::with_level(level);
            for len in [0, 1, 1_000, 200_000] {
                let message = random_bytes(len);
                let mut pieces = BytesQueue::default();
                for piece in message.chunks(2_000) {
                    pieces.push(Bytes::copy_from_slice(piece));
                }
                // Twice, so that an idle state is reused.
                for message_bytes in [pieces.into(), bytes(&message)] {
                    let compressed = compressed(&gzip, message_bytes);
                    let back = decompressed(&gzip, &compressed).expect("gzip");
                    assert!(back == message, "{len} bytes by level {level}");
                }
            }
        }
    }

    #[test]
    fn a_higher_level_yields_smaller_messages() {
        let message = random_bytes(100_000);
        let sizes =
            [0, 1, 9].map(|level| compressed(&Gzip::with_level(level), bytes(&message)).len());
        assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
    }

    #[test]
    fn the_members_of_gzip_data_are_concatenated() {
        let gzip = Gzip::new();
        let mut data = Vec::new();
        for part in ["one", "", "two"] {
            data.extend(compressed(&gzip, bytes(part.as_bytes())));
        }
        assert_eq!(decompressed(&gzip, &data).expect("gzip"), b"onetwo");
    }

    #[test]
    fn malformed_data_is_internal_with_the_reason() {
        let gzip = Gzip::new();
        let good = compressed(&gzip, bytes(&random_bytes(10_000)));
        let end = good.len();
        let changed = |at: usize| {
            let mut data = good.clone();
            data[at] ^= 0xff;
            data
        };
        let followed_by = |garbage: &[u8]| [&good[..], garbage].concat();
        for (what, data, text) in [
            ("nothing", Vec::new(), "end of file"),
            ("no gzip", b"this is no gzip data".to_vec(), "header"),
            ("a broken header", changed(0), "header"),
            ("a broken body", changed(20), "corrupt deflate stream"),
            ("a wrong checksum", changed(end - 8), "checksum"),
            ("a wrong length", changed(end - 1), "checksum"),
            (
                "a part",
                good[..end / 2].to_vec(),
                "incomplete deflate stream",
            ),
            (
                "no trailer",
                good[..end - 8].to_vec(),
                "unexpected end of file",
            ),
            (
                "a part of the trailer",
                good[..end - 1].to_vec(),
                "unexpected end of file",
            ),
            ("one byte more", followed_by(b"x"), "follows the end"),
            (
                "garbage",
                followed_by(b"and so on, and on"),
                "follows the end",
            ),
        ] {
            let error = decompressed(&gzip, &data).expect_err(what);
            assert_eq!(error.code(), Code::Internal, "{what}");
            assert!(error.message().contains("by gzip: "), "{what}: {error}");
            assert!(error.message().contains(text), "{what}: {error}");
        }
        // The idle states of failed messages still work.
        assert_eq!(
            decompressed(&gzip, &good).expect("gzip"),
            random_bytes(10_000)
        );
    }

    #[test]
    fn a_decompression_bomb_is_refused_at_the_limit() {
        let gzip = Gzip::with_level(9);
        let bomb = compressed(&gzip, bytes(&vec![0; 1_000_001]));
        assert!(bomb.len() < 2_000, "{} bytes", bomb.len());
        let error = decompressed(&gzip, &bomb).expect_err("too large");
        assert_eq!(error.code(), Code::ResourceExhausted);
    }
}
