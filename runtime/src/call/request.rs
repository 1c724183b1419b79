use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::CallContext;
use crate::metadata::{Metadata, MetadataError};
use crate::status::Status;

/// The keys by which a trace crosses a service: those of W3C Trace Context and of gRPC.
const TRACE_KEYS: [&str; 3] = ["traceparent", "tracestate", "grpc-trace-bin"];

/// A message, or a stream of messages, with the metadata that came or goes before it.
///
/// In a handler it also carries the call's [`context`](Self::context). Towards a stub it may carry
/// a deadline; a plain message becomes one by `into()`, so stubs take either.
#[derive(Debug)]
pub struct Request<T> {
    message: T,
    /// `None`: that of its origin.
    metadata: Option<Metadata>,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    /// Made by this program, to be sent.
    Outgoing {
        deadline: Option<Instant>,
        /// The call in whose handler it was made: when that ends, so does this.
        parent: Option<CallContext>,
    },
    /// Received by this server.
    Incoming(CallContext),
}

impl Origin {
    /// What came with a request, before anything was changed.
    fn metadata(&self) -> &Metadata {
        static NONE: Metadata = Metadata::new();
        match self {
            Self::Outgoing { .. } => &NONE,
            Self::Incoming(context) => &context.head().metadata,
        }
    }
}

impl<T> Request<T> {
    /// A request to be sent, without metadata and without a deadline.
    pub const fn new(message: T) -> Self {
        Self {
            message,
            metadata: None,
            origin: Origin::Outgoing {
                deadline: None,
                parent: None,
            },
        }
    }

    /// The request of a call, with the metadata that came with it.
    #[inline]
    pub(crate) fn incoming(message: T, context: CallContext) -> Self {
        Self {
            message,
            metadata: None,
            origin: Origin::Incoming(context),
        }
    }

    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The message, to be changed.
    pub const fn message_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// The message alone.
    pub fn into_message(self) -> T {
        self.message
    }

    /// The message and the metadata.
    pub fn into_parts(self) -> (T, Metadata) {
        let metadata = self.metadata;
        let metadata = metadata.unwrap_or_else(|| self.origin.metadata().clone());
        (self.message, metadata)
    }

    /// The metadata. In a handler it also shows `:authority`, `user-agent`, `content-type` and
    /// `grpc-accept-encoding`, as in grpc-go.
    pub fn metadata(&self) -> &Metadata {
        self.metadata
            .as_ref()
            .unwrap_or_else(|| self.origin.metadata())
    }

    /// The metadata, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        let origin = &self.origin;
        self.metadata
            .get_or_insert_with(|| origin.metadata().clone())
    }

    /// Adds a metadata value.
    ///
    /// # Errors
    /// As [`Metadata::append`].
    pub fn with_metadata(
        mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Self, MetadataError> {
        self.metadata_mut().append(key, value)?;
        Ok(self)
    }

    /// Bounds the call by this time from now. An earlier deadline that the request has stays.
    ///
    /// On a request that a handler received this does nothing: its deadline is the caller's.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let Origin::Outgoing { deadline, .. } = &mut self.origin {
            // A time too far away to be expressed is no deadline.
            let new = Instant::now().checked_add(timeout);
            *deadline = match (*deadline, new) {
                (Some(old), Some(new)) => Some(old.min(new)),
                (old, new) => old.or(new),
            };
        }
        self
    }

    /// When the call fails with DEADLINE_EXCEEDED; `None`: never.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.origin {
            Origin::Outgoing { deadline, .. } => *deadline,
            Origin::Incoming(context) => context.deadline(),
        }
    }

    /// The call that this request belongs to, in a handler; `None` for a request made by
    /// [`Request::new`].
    pub const fn context(&self) -> Option<&CallContext> {
        match &self.origin {
            Origin::Outgoing { .. } => None,
            Origin::Incoming(context) => Some(context),
        }
    }

    /// In a handler, adds to the response's header metadata, as [`CallContext::set_header`]. Without
    /// a call, as in a test that calls a handler itself, this does nothing.
    ///
    /// # Errors
    /// INTERNAL when the headers are out already.
    pub fn set_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.context()
            .map_or(Ok(()), |call| call.set_header(metadata))
    }

    /// In a handler, sends the response's headers now, as [`CallContext::send_header`]. Without a
    /// call this does nothing.
    ///
    /// # Errors
    /// INTERNAL when the headers are out already.
    pub fn send_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.context()
            .map_or(Ok(()), |call| call.send_header(metadata))
    }

    /// In a handler, adds to the trailers, as [`CallContext::set_trailer`]. Without a call this
    /// does nothing.
    pub fn set_trailer(&self, metadata: Metadata) {
        if let Some(call) = self.context() {
            call.set_trailer(metadata);
        }
    }

    /// In a handler, chooses what the response's messages are compressed by, as
    /// [`CallContext::set_send_compressor`]. Without a call this does nothing.
    ///
    /// # Errors
    /// INTERNAL when the server has no such compressor, the client does not accept it, or it is too
    /// late.
    pub fn set_send_compressor(&self, name: &str) -> Result<(), Status> {
        self.context()
            .map_or(Ok(()), |call| call.set_send_compressor(name))
    }

    /// In a handler, by what the client accepts responses compressed, as
    /// [`CallContext::client_supported_compressors`]. Without a call: by nothing.
    #[must_use]
    pub fn client_supported_compressors(&self) -> Vec<&str> {
        self.context()
            .map_or_else(Vec::new, CallContext::client_supported_compressors)
    }

    /// A request for a call that is made on behalf of this one: it has this call's deadline, ends
    /// when this call ends, and carries its trace context (`traceparent`, `tracestate`,
    /// `grpc-trace-bin`). No other metadata is passed on.
    pub fn outgoing<M>(&self, message: M) -> Request<M> {
        let mut metadata = Metadata::new();
        for key in TRACE_KEYS {
            for value in self.metadata().get_all(key) {
                // A value that this server received can be refused by the rules for sending; a
                // trace that is not understood is better dropped than the call.
                let _ = metadata.append(key, Bytes::copy_from_slice(value));
            }
        }
        Request {
            message,
            metadata: Some(metadata),
            origin: Origin::Outgoing {
                deadline: self.deadline(),
                parent: self.context().cloned(),
            },
        }
    }

    /// The same request around another message.
    pub fn map<M>(self, map: impl FnOnce(T) -> M) -> Request<M> {
        Request {
            message: map(self.message),
            metadata: self.metadata,
            origin: self.origin,
        }
    }

    /// What a stub sends of it besides the message, which stays where it is.
    pub(crate) fn take_outgoing(&mut self) -> Outgoing {
        let origin = Origin::Outgoing {
            deadline: None,
            parent: None,
        };
        let origin = std::mem::replace(&mut self.origin, origin);
        let metadata = self.metadata.take();
        let metadata = metadata.unwrap_or_else(|| origin.metadata().clone());
        let (deadline, parent) = match origin {
            Origin::Outgoing { deadline, parent } => (deadline, parent),
            Origin::Incoming(context) => (context.deadline(), Some(context)),
        };
        Outgoing {
            metadata,
            deadline,
            parent,
        }
    }
}

/// What a stub sends of a request besides its message.
pub(crate) struct Outgoing {
    pub(crate) metadata: Metadata,
    pub(crate) deadline: Option<Instant>,
    pub(crate) parent: Option<CallContext>,
}

impl<T> From<T> for Request<T> {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}
