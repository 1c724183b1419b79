//! How a channel's calls are compressed, as they and the channel say.

use std::sync::Arc;

use crate::call::CallOptions;
use crate::codec::{CompressorRegistry, IDENTITY};
use crate::status::Status;
use crate::transport::Origin;

/// The compressors of a channel, each with what the requests have in common that are compressed by
/// it.
pub(super) struct Compression {
    pub(super) compressors: CompressorRegistry,
    /// Made once, so that the header blocks that they begin are, too.
    origins: Vec<Arc<Origin>>,
}

impl Compression {
    /// For a channel whose requests have this in common that are not compressed.
    pub(super) fn new(compressors: CompressorRegistry, origin: &Origin) -> Self {
        let names = compressors.names().chain([IDENTITY]);
        let origins = names.map(|name| {
            Arc::new(Origin {
                encoding: Some(name.to_owned().into()),
                ..origin.clone()
            })
        });
        Self {
            origins: origins.collect(),
            compressors,
        }
    }

    /// What requests have in common whose `grpc-encoding` is this.
    fn origin(&self, name: &str) -> Result<&Arc<Origin>, Status> {
        let is_named = |origin: &&Arc<Origin>| origin.encoding.as_deref() == Some(name.as_bytes());
        self.origins.iter().find(is_named).ok_or_else(|| {
            Status::internal(format!(
                "the channel has no compressor {name:?}, which the call is to be compressed by"
            ))
        })
    }

    /// The `grpc-accept-encoding` of a call that accepts these alone.
    fn accept_encoding(&self, names: &[String]) -> Result<String, Status> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let known =
            |name: &str| name == IDENTITY || self.compressors.get(name.as_bytes()).is_some();
        match names.iter().find(|name| !known(name)) {
            Some(name) => Err(Status::invalid_argument(format!(
                "the channel has no compressor {name:?}, which is among the call's \
                 accept_compressors"
            ))),
            None if names.is_empty() => Ok(IDENTITY.to_owned()),
            None => Ok(names.join(",")),
        }
    }

    /// Finds out what the call's request has in common with others, if that is not what those of
    /// the `channel` have, and what compresses its messages.
    ///
    /// # Errors
    /// INTERNAL when the channel has not the compressor that the call is to use; INVALID_ARGUMENT
    /// when it has not one that the call is to accept.
    pub(super) fn set_origin(
        &self,
        channel: &Arc<Origin>,
        options: &mut CallOptions,
    ) -> Result<(), Status> {
        let compressor = options.compressor();
        let accepted = options.accept_compressors();
        let authority = options.authority();
        let mut origin = match compressor {
            None if accepted.is_none() && authority.is_none() => return Ok(()),
            None => Arc::clone(channel),
            Some(name) => Arc::clone(self.origin(name)?),
        };
        if let Some(authority) = authority {
            Arc::make_mut(&mut origin).authority = authority.to_owned();
        }
        if let Some(names) = accepted {
            let accept_encoding = self.accept_encoding(names)?;
            Arc::make_mut(&mut origin).accept_encoding = Some(accept_encoding.into());
        }
        let compressor = compressor.and_then(|name| self.compressors.get(name.as_bytes()).cloned());
        options.set_origin(origin, compressor);
        Ok(())
    }
}
