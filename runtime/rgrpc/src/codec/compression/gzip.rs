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

/// The base-2 logarithm of the window: the largest there is, as everybody uses it.
const WINDOW_BITS: u8 = 15;

/// What the output buffer grows by at least, in bytes.
const MIN_ROOM: usize = 1024;

/// How many states of each kind are kept for the next messages: up to a few hundred KiB each.
const MAX_KEPT: usize = 16;

/// gzip (RFC 1952), by the pure Rust of zlib-rs.
///
/// Channels and servers have it from the start in a crate built with the feature `gzip`. To have it
/// with another level, give them one of your own, which takes its place:
///
/// ```
/// let server = rgrpc::Server::new().compressor(rgrpc::Gzip::with_level(1));
/// ```
///
/// The memory that compressing a message takes, up to some hundreds of KiB, is kept for the
/// messages after it: that for 16 of each kind at most.
///
/// Source: grpc-go's package `encoding/gzip`.
pub struct Gzip {
    level: Compression,
    compressing: Kept<Compress>,
    decompressing: Kept<Decoder>,
}

type Decoder = GzDecoder<Reader<MessageBytes>>;

impl Gzip {
    /// gzip with level 6.
    #[must_use]
    pub fn new() -> Self {
        Self::with_level(Compression::default().level())
    }

    /// gzip with a level from 0, which compresses nothing, and 1, the fastest, to 9, the smallest.
    /// Larger ones mean 9. Only what is sent depends on it.
    ///
    /// Source: grpc-go `gzip.SetLevel`.
    #[must_use]
    pub fn with_level(level: u32) -> Self {
        Self {
            level: Compression::new(level.min(Compression::best().level())),
            compressing: Kept::default(),
            decompressing: Kept::default(),
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
        let kept = self.compressing.take();
        let mut state = kept.unwrap_or_else(|| Compress::new_gzip(self.level, WINDOW_BITS));
        loop {
            let input = message.chunk();
            let flush = if input.len() == message.remaining() {
                FlushCompress::Finish
            } else {
                FlushCompress::None
            };
            let filled = output.len();
            let room = (output.capacity() - filled).max(MIN_ROOM);
            output.resize(filled + room, 0);
            let before = (state.total_in(), state.total_out());
            let status = state.compress(input, &mut output[filled..], flush)?;
            // Each is at most the length of a slice.
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
            place: Place::First,
        }))
    }
}

/// Reads the members of gzip data one after the other; others than the first are rare.
struct Members<'a> {
    gzip: &'a Gzip,
    /// Given back at the end.
    decoder: Option<Decoder>,
    place: Place,
}

/// Where the next read is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the first member, or before it.
    First,
    /// Behind a member.
    Behind,
    /// In another one than the first, of which something was read.
    Within,
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
                    self.place = Place::Behind;
                }
                Ok(count) => {
                    if self.place == Place::Behind {
                        self.place = Place::Within;
                    }
                    return Ok(count);
                }
                Err(error) if self.place == Place::Behind => {
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
            // The message is not kept with it.
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

/// States that wait for the next message.
struct Kept<T>(Mutex<Vec<T>>);

impl<T> Kept<T> {
    fn take(&self) -> Option<T> {
        lock(&self.0).pop()
    }

    fn put(&self, state: T) {
        let mut kept = lock(&self.0);
        if kept.len() < MAX_KEPT {
            kept.push(state);
        }
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::decompress::decompress;
    use super::*;
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
        )?;
        Ok(message.copy_to_bytes(message.remaining()).to_vec())
    }

    /// Octets of which a half can be guessed.
    fn octets(len: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut octets = Vec::with_capacity(len);
        while octets.len() < len {
            let run = random.usize(1..20).min(len - octets.len());
            octets.extend(std::iter::repeat_n(random.u8(..), run));
        }
        octets
    }

    #[test]
    fn what_is_compressed_comes_back_whatever_the_level_and_the_pieces() {
        for level in [0, 1, 6, 100] {
            let gzip = Gzip::with_level(level);
            for len in [0, 1, 1_000, 200_000] {
                let message = octets(len);
                let mut pieces = BytesQueue::default();
                for piece in message.chunks(2_000) {
                    pieces.push(Bytes::copy_from_slice(piece));
                }
                // Twice, so that what was kept is used.
                for message_bytes in [pieces.into(), bytes(&message)] {
                    let compressed = compressed(&gzip, message_bytes);
                    let back = decompressed(&gzip, &compressed).expect("gzip");
                    assert!(back == message, "{len} octets by level {level}");
                }
            }
        }
    }

    #[test]
    fn a_higher_level_is_smaller() {
        let message = octets(100_000);
        let sizes =
            [0, 1, 9].map(|level| compressed(&Gzip::with_level(level), bytes(&message)).len());
        assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
    }

    #[test]
    fn members_follow_each_other() {
        let gzip = Gzip::new();
        let mut data = Vec::new();
        for part in ["one", "", "two"] {
            data.extend(compressed(&gzip, bytes(part.as_bytes())));
        }
        assert_eq!(decompressed(&gzip, &data).expect("gzip"), b"onetwo");
    }

    #[test]
    fn malformed_data_is_internal_and_the_text_says_how() {
        let gzip = Gzip::new();
        let good = compressed(&gzip, bytes(&octets(10_000)));
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
            ("one octet more", followed_by(b"x"), "follows the end"),
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
        // What was kept of those still works.
        assert_eq!(decompressed(&gzip, &good).expect("gzip"), octets(10_000));
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let gzip = Gzip::with_level(9);
        let bomb = compressed(&gzip, bytes(&vec![0; 1_000_001]));
        assert!(bomb.len() < 2_000, "{} octets", bomb.len());
        let error = decompressed(&gzip, &bomb).expect_err("too large");
        assert_eq!(error.code(), Code::ResourceExhausted);
    }
}
