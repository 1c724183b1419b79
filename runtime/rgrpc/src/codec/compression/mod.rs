//! Compression of messages ("PROTOCOL-HTTP2", Message-Encoding; `doc/compression.md` of the gRPC
//! documents).
//!
//! A call's headers name one encoding for each direction, and each message's prefix says whether it
//! is compressed by it. A [`Compressor`] does the work. The builders of channels and servers hold
//! those that there are in a [`CompressorRegistry`]: there is no global one. Messages are
//! compressed where they are framed, by [`frame_with`], and decompressed where they are found, by
//! the [`MessageReader`](super::MessageReader), which an [`Encoding`] tells how.

mod accept_encoding;
mod compressed_forms;
mod compressor;
mod decompress;
mod encoding;
mod frame;
#[cfg(feature = "gzip")]
mod gzip;
mod registry;

pub(crate) use accept_encoding::{accepted, is_answered_alike};
pub(super) use compressed_forms::CompressedForms;
pub use compressor::Compressor;
#[cfg(rgrpc_fuzzing)]
pub(crate) use decompress::decompress;
pub(crate) use encoding::Encoding;
pub(super) use frame::{compress, compress_failed};
pub(crate) use frame::{compress_framed, frame_measured, frame_with};
#[cfg(feature = "gzip")]
pub use gzip::Gzip;
pub(crate) use registry::CompressorRegistry;

/// The encoding of messages that are not compressed.
pub(crate) const IDENTITY: &str = "identity";

/// Reverses the message, which anybody can check: for tests.
#[cfg(test)]
pub(crate) mod reversing {
    use std::io::{self, Read};

    use bytes::{Buf, BufMut};

    use super::Compressor;
    use crate::codec::MessageBytes;

    /// A compressor of this name.
    pub(crate) struct Reversing(pub(crate) &'static str);

    impl Compressor for Reversing {
        fn name(&self) -> &str {
            self.0
        }

        fn compress(&self, message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()> {
            output.put(&*reversed(message));
            Ok(())
        }

        fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
            Ok(Box::new(io::Cursor::new(reversed(message))))
        }
    }

    fn reversed(mut message: MessageBytes) -> Vec<u8> {
        let mut octets = message.copy_to_bytes(message.remaining()).to_vec();
        octets.reverse();
        octets
    }
}
