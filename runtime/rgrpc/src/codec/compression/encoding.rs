//! The encoding of a stream's received messages.
//!
//! Found when the headers are received, on the task of the call; used by the reader.

use std::fmt;
use std::sync::Arc;

use super::decompress::decompress;
use super::{Compressor, IDENTITY};
use crate::buffer_pool::BufferPool;
use crate::codec::MessageBytes;
use crate::codec::MessageLimit;
use crate::side::Side;
use crate::status::Status;

/// The encoding of the compressed messages of a stream, as `grpc-encoding` names it.
#[derive(Clone, Default)]
pub(crate) enum Encoding {
    /// No encoding: no message may be flagged as compressed.
    #[default]
    Identity,
    /// A registered compressor.
    Known(Arc<dyn Compressor>),
    /// An encoding without a registered compressor. Messages that are not compressed are still
    /// read.
    Unknown(Box<str>),
}

impl Encoding {
    /// Parses a value of `grpc-encoding`. `compressor` looks up a compressor by its name.
    pub(crate) fn find(
        name: &[u8],
        compressor: impl FnOnce(&[u8]) -> Option<Arc<dyn Compressor>>,
    ) -> Self {
        if name.is_empty() || name == IDENTITY.as_bytes() {
            return Self::Identity;
        }
        match compressor(name) {
            Some(compressor) => Self::Known(compressor),
            None => Self::Unknown(String::from_utf8_lossy(name).into()),
        }
    }

    /// Checks that this side can read a compressed message.
    ///
    /// # Errors
    /// INTERNAL: the encoding is [`Identity`](Self::Identity) or [`Unknown`](Self::Unknown).
    pub(in crate::codec) fn check(&self, side: Side) -> Result<(), Status> {
        match self {
            Self::Known(_) => Ok(()),
            Self::Identity => Err(Status::internal(format!(
                "received a compressed message, but the headers of the {} name no grpc-encoding",
                side.other()
            ))),
            Self::Unknown(name) => Err(Status::internal(format!(
                "received a message with the grpc-encoding {name:?}, for which the {side} has no \
                 compressor"
            ))),
        }
    }

    /// Decompresses a message.
    ///
    /// # Errors
    /// As [`check`](Self::check); INTERNAL when the message is malformed; RESOURCE_EXHAUSTED when
    /// the decompressed message is larger than the limit.
    pub(in crate::codec) fn decompress(
        &self,
        message: MessageBytes,
        limit: MessageLimit,
        pool: &BufferPool,
    ) -> Result<MessageBytes, Status> {
        self.check(limit.side())?;
        match self {
            Self::Known(compressor) => decompress(&**compressor, message, limit, pool),
            Self::Identity | Self::Unknown(_) => Ok(message),
        }
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("Identity"),
            Self::Known(compressor) => f.debug_tuple("Known").field(&compressor.name()).finish(),
            Self::Unknown(name) => f.debug_tuple("Unknown").field(name).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CompressorRegistry;
    use super::super::reversing::Reversing;
    use super::*;

    #[test]
    fn a_grpc_encoding_is_identity_known_or_unknown() {
        let mut registry = CompressorRegistry::default();
        let registered = registry.register(Arc::new(Reversing("a")));
        registered.expect("a valid name");
        for (name, expected) in [
            ("", "Identity"),
            ("identity", "Identity"),
            ("a", r#"Known("a")"#),
            ("b", r#"Unknown("b")"#),
            ("Identity", r#"Unknown("Identity")"#),
        ] {
            let encoding = Encoding::find(name.as_bytes(), |name| registry.get(name).cloned());
            assert_eq!(format!("{encoding:?}"), expected);
        }
    }
}
