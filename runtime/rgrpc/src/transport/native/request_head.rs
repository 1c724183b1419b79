//! The heads of requests to send. The fields that all calls of a method share are encoded once for
//! each connection.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rgrpc_http2::{Block, CachedHeaders, Field, FieldRef};
use rustc_hash::FxBuildHasher;

use super::fields::content_type;
use crate::metadata::Metadata;
use crate::method_name::MethodName;
use crate::status::Status;
use crate::transport::timeout::encode_timeout;
use crate::transport::{CommonHeaders, OpenRequest};

/// The maximum number of methods that are cached: more than a client calls on one connection.
const MAX_METHODS: usize = 256;

/// The head of a request that the connection's task will send.
pub(super) struct RequestFields {
    method: Method,
    previous_attempts: u32,
    timeout: Option<Duration>,
    metadata: Metadata,
}

/// The header fields that all calls of a method share.
#[derive(PartialEq, Eq)]
pub(super) struct Method {
    path: MethodName,
    content_subtype: &'static str,
    headers: Arc<CommonHeaders>,
}

impl Hash for Method {
    /// Hashes the path alone. The other fields are usually the same.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

impl Method {
    fn fields(&self) -> Vec<Field> {
        let CommonHeaders {
            authority,
            scheme,
            user_agent,
            encoding,
            accept_encoding,
        } = &*self.headers;
        let content_type = content_type(self.content_subtype.as_bytes());
        let common = [
            (":method", &b"POST"[..]),
            (":scheme", scheme.as_bytes()),
            (":path", self.path.as_bytes()),
            (":authority", authority.as_bytes()),
            ("content-type", &content_type),
            ("user-agent", user_agent),
            ("te", b"trailers"),
        ];
        let compression = [
            ("grpc-encoding", encoding),
            ("grpc-accept-encoding", accept_encoding),
        ];
        let compression = compression
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let fields = common.into_iter().chain(compression);
        fields
            .map(|(name, value)| FieldRef::new(name.as_bytes(), value).to_field())
            .collect()
    }
}

impl RequestFields {
    /// Creates the head of a request. Fails when its path is not valid.
    #[inline]
    pub(super) fn new(open: &OpenRequest<'_>) -> Result<Self, Status> {
        // All bytes are checked: without a branch for each byte several are checked at once.
        let is_visible = |so_far, byte: &u8| so_far & byte.is_ascii_graphic();
        if !open.path.as_bytes().iter().fold(true, is_visible) {
            return Err(Status::internal(format!(
                "malformed method name {:?}: it may have visible ASCII characters only",
                open.path
            )));
        }
        Ok(Self {
            method: Method {
                path: open.path.clone(),
                content_subtype: open.content_subtype,
                headers: Arc::clone(open.headers),
            },
            previous_attempts: open.previous_attempts,
            timeout: open.timeout,
            metadata: open.metadata.clone(),
        })
    }

    /// Splits the head into the fields that the method's calls share and the other fields.
    #[inline]
    pub(super) fn into_parts(self) -> (Method, Vec<(Bytes, Bytes)>) {
        let mut own = Vec::new();
        if self.previous_attempts > 0 {
            let name = Bytes::from_static(b"grpc-previous-rpc-attempts");
            own.push((name, Bytes::from(self.previous_attempts.to_string())));
        }
        if let Some(timeout) = self.timeout {
            let name = Bytes::from_static(b"grpc-timeout");
            own.push((name, Bytes::from(encode_timeout(timeout))));
        }
        own.extend(self.metadata.wire_fields());
        (self.method, own)
    }
}

/// The methods that were called on a connection, with their encoded fields.
#[derive(Default)]
pub(super) struct RequestHeads(HashMap<Method, CachedHeaders, FxBuildHasher>);

impl RequestHeads {
    /// Creates a request's header block from its [parts](RequestFields::into_parts).
    #[inline]
    pub(super) fn block<'a>(
        &'a mut self,
        method: Method,
        own: &'a [(Bytes, Bytes)],
    ) -> Block<'a, impl Iterator<Item = FieldRef<'a>> + Clone> {
        if self.0.len() > MAX_METHODS {
            self.0.clear();
        }
        let shared = self
            .0
            .entry(method)
            .or_insert_with_key(|method| CachedHeaders::new(method.fields()));
        let own = own.iter().map(|(name, value)| FieldRef::new(name, value));
        Block::cached(shared).with(own)
    }
}
