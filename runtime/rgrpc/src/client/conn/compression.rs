//! The compressors of a channel and the cached header fields of the requests that use them.
//!
//! Read by each call that says how it is compressed, on the caller's task.

use std::sync::Arc;

use crate::call::CallOptions;
use crate::codec::{Compressor, CompressorRegistry, IDENTITY};
use crate::status::Status;
use crate::transport::CommonHeaders;

/// The compressors of a channel and their cached header fields.
pub(in crate::client) struct Compression {
    pub(in crate::client) compressors: CompressorRegistry,
    /// One for each compressor. Created once, so that the header blocks that begin with them are,
    /// too.
    headers: Vec<Arc<CommonHeaders>>,
}

/// The encoding of a call, where that is not the channel's default.
pub(in crate::client) struct CallEncoding {
    pub(in crate::client) headers: Arc<CommonHeaders>,
    /// The compressor of the request's messages.
    pub(in crate::client) compressor: Option<Arc<dyn Compressor>>,
}

impl Compression {
    /// Creates the header fields for each compressor of a channel from those of its plain requests.
    pub(in crate::client) fn new(compressors: CompressorRegistry, plain: &CommonHeaders) -> Self {
        let names = compressors.names().chain([IDENTITY]);
        let headers = names.map(|name| {
            Arc::new(CommonHeaders {
                encoding: Some(name.to_owned().into()),
                ..plain.clone()
            })
        });
        Self {
            headers: headers.collect(),
            compressors,
        }
    }

    /// The header fields of requests with this `grpc-encoding`.
    fn headers(&self, name: &str) -> Result<&Arc<CommonHeaders>, Status> {
        let is_named =
            |headers: &&Arc<CommonHeaders>| headers.encoding.as_deref() == Some(name.as_bytes());
        self.headers.iter().find(is_named).ok_or_else(|| {
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

    /// The encoding of a call with these options; `None` if its header fields are those of the
    /// `channel`.
    ///
    /// # Errors
    /// INTERNAL if the channel lacks the compressor of the call; INVALID_ARGUMENT if it lacks one
    /// that the call accepts.
    pub(in crate::client) fn of_call(
        &self,
        options: &CallOptions,
        channel: &Arc<CommonHeaders>,
    ) -> Result<Option<CallEncoding>, Status> {
        let compressor = options.compressor();
        let accepted = options.accept_compressors();
        let authority = options.authority();
        let mut headers = match compressor {
            None if accepted.is_none() && authority.is_none() => return Ok(None),
            None => Arc::clone(channel),
            Some(name) => Arc::clone(self.headers(name)?),
        };
        if let Some(authority) = authority {
            Arc::make_mut(&mut headers).authority = authority.to_owned();
        }
        if let Some(names) = accepted {
            let accept_encoding = self.accept_encoding(names)?;
            Arc::make_mut(&mut headers).accept_encoding = Some(accept_encoding.into());
        }
        let compressor = compressor.and_then(|name| self.compressors.get(name.as_bytes()).cloned());
        Ok(Some(CallEncoding {
            headers,
            compressor,
        }))
    }
}
