//! Message compression ("PROTOCOL-HTTP2", Message-Encoding; `doc/compression.md` of the gRPC
//! documents).
//!
//! The headers of a call name one encoding for each direction. The prefix of each message has a
//! flag for compression. A [`Compressor`] implements an encoding. The builders of channels and
//! servers hold their compressors in a [`CompressorRegistry`]; there is no global registry.
//! [`frame_with`] compresses messages as it frames them, and the
//! [`MessageReader`](super::MessageReader) decompresses received messages by the stream's
//! [`Encoding`]. Both run on the call's task.

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

/// The name of no compression.
pub(crate) const IDENTITY: &str = "identity";

/// A compressor for tests that reverses the bytes of a message.
#[cfg(test)]
pub(crate) mod reversing {
    use std::io::{self, Read};

    use bytes::{Buf, BufMut};

    use super::Compressor;
    use crate::codec::MessageBytes;

    /// The compressor, with its name.
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
        let mut bytes = message.copy_to_bytes(message.remaining()).to_vec();
        bytes.reverse();
        bytes
    }
}
