use std::fmt;
use std::sync::Arc;

use super::decompress::decompress;
use super::{Compressor, IDENTITY};
use crate::codec::MessageBytes;
use crate::codec::MessageLimit;
use crate::side::Side;
use crate::status::Status;

/// What the messages of a stream are compressed by that say that they are compressed.
#[derive(Clone, Default)]
pub(crate) enum Encoding {
    /// Nothing: no message may say so.
    #[default]
    Identity,
    /// A compressor that is registered.
    Known(Arc<dyn Compressor>),
    /// One that it has not: messages that are not compressed can be read nevertheless.
    Unknown(Box<str>),
}

impl Encoding {
    /// What a `grpc-encoding` means, by what finds compressors by their name.
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

    /// Returns whether a compressed message can be read, by this side.
    ///
    /// # Errors
    /// INTERNAL when it cannot.
    pub(in crate::codec) fn check(&self, side: Side) -> Result<(), Status> {
        match self {
            Self::Known(_) => Ok(()),
            Self::Identity => Err(Status::internal(format!(
                "received a message that says that it is compressed, though the headers of the {} \
                 name no grpc-encoding to read it by",
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
    /// As [`check`](Self::check); INTERNAL when it is malformed; RESOURCE_EXHAUSTED when it is
    /// larger than the limit then.
    pub(in crate::codec) fn decompress(
        &self,
        message: MessageBytes,
        limit: MessageLimit,
    ) -> Result<MessageBytes, Status> {
        self.check(limit.side())?;
        match self {
            Self::Known(compressor) => decompress(&**compressor, message, limit),
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
    fn an_encoding_is_identity_or_one_that_is_known_or_unknown() {
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
