//! A request, on both sides.
//!
//! Created by callers and by the server's dispatch; owned by a call's builder or a handler.
//!
//! Source: connect-go `Request`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{CallContext, Extensions, SharedRequest};
use crate::interceptor::{MessageInterceptor, MessageInterceptors};
use crate::io::Peer;
use crate::later;
use crate::metadata::{Metadata, MetadataError};
use crate::status::Status;

/// The metadata keys of a trace context: those of W3C Trace Context and of gRPC.
const TRACE_KEYS: [&str; 3] = ["traceparent", "tracestate", "grpc-trace-bin"];

/// A message, or a stream of messages, with the metadata that came or goes before it.
///
/// In a handler it also carries the call's [`context`](Self::context). Towards a stub it may carry
/// a deadline; a plain message becomes one by `into()`, so stubs take either. On both sides it
/// carries typed [`extensions`](Self::extensions).
///
/// A request that a handler received can be given to a stub, for instance after [`map`](Self::map):
/// it is sent as one of [`outgoing`](Self::outgoing), that is with the deadline, the cancellation
/// and the trace context of the call, with what the handler has added to the metadata, and without
/// what was received; see [`Metadata::forward`].
///
/// A handler that takes the message or the stream out keeps the rest by [`split`](Self::split).
#[derive(Debug)]
pub struct Request<T> {
    message: T,
    source: RequestSource,
}

#[derive(Clone, Debug)]
enum RequestSource {
    /// Made by this program, to be sent.
    Outgoing {
        deadline: Option<Instant>,
        /// The call in whose handler it was made: when that ends, so does this.
        parent: Option<CallContext>,
        metadata: Metadata,
        extensions: Extensions,
    },
    /// Received by this server.
    Incoming(Incoming),
}

/// A received request without its message: its call, and the changes that this program has made.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    context: CallContext,
    /// Boxed, because few handlers and interceptors change anything.
    changed: Option<Box<Changed>>,
}

/// The parts of a received request that this program has changed.
#[derive(Clone, Debug)]
struct Changed {
    /// `None`: unchanged.
    metadata: Option<Metadata>,
    extensions: Extensions,
    /// See the messages of the call.
    interceptors: Option<Arc<MessageInterceptors>>,
    /// The only request, if an interceptor has asked for it.
    shared: Option<Arc<SharedRequest>>,
}

impl Incoming {
    #[inline]
    pub(crate) fn new(context: CallContext) -> Self {
        Self {
            context,
            changed: None,
        }
    }

    #[inline]
    pub(crate) fn context(&self) -> &CallContext {
        &self.context
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        let changed = self.changed.as_ref().and_then(|own| own.metadata.as_ref());
        changed.unwrap_or_else(|| self.context.metadata())
    }

    pub(crate) fn metadata_mut(&mut self) -> &mut Metadata {
        let Self { context, changed } = self;
        changed
            .get_or_insert_with(|| Changed::nothing(context))
            .metadata
            .get_or_insert_with(|| context.metadata().clone())
    }

    fn into_metadata(self) -> Metadata {
        let changed = self.changed.and_then(|own| own.metadata);
        changed.unwrap_or_else(|| self.context.metadata().clone())
    }

    /// The message interceptors of the call.
    #[inline]
    pub(crate) fn interceptors(&self) -> Option<&Arc<MessageInterceptors>> {
        self.changed.as_ref()?.interceptors.as_ref()
    }

    /// Adds an interceptor of the call's messages.
    pub(crate) fn intercept_messages(&mut self, interceptor: impl MessageInterceptor) {
        let Self { context, changed } = self;
        let changed = changed.get_or_insert_with(|| Changed::nothing(context));
        let interceptors = changed.interceptors.get_or_insert_default();
        Arc::make_mut(interceptors).push(interceptor);
    }

    /// The only request, if an interceptor has asked for it.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&Arc<SharedRequest>> {
        self.changed.as_ref()?.shared.as_ref()
    }

    /// Takes the only request, so that it is kept no longer than its handler needs it.
    #[inline]
    pub(crate) fn take_shared(&mut self) -> Option<Arc<SharedRequest>> {
        self.changed.as_mut()?.shared.take()
    }

    pub(crate) fn set_shared(&mut self, shared: Arc<SharedRequest>) {
        let Self { context, changed } = self;
        let changed = changed.get_or_insert_with(|| Changed::nothing(context));
        changed.shared = Some(shared);
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        match &self.changed {
            Some(own) => &own.extensions,
            None => self.context.extensions(),
        }
    }

    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        let Self { context, changed } = self;
        let changed = changed.get_or_insert_with(|| Changed::nothing(context));
        &mut changed.extensions
    }
}

impl Changed {
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "it is made to be kept in a box"
    )]
    fn nothing(context: &CallContext) -> Box<Self> {
        Box::new(Self {
            metadata: None,
            extensions: context.extensions().clone(),
            interceptors: None,
            shared: None,
        })
    }
}

impl RequestSource {
    const fn new() -> Self {
        Self::Outgoing {
            deadline: None,
            parent: None,
            metadata: Metadata::new(),
            extensions: Extensions::new(),
        }
    }

    const fn context(&self) -> Option<&CallContext> {
        match self {
            Self::Outgoing { .. } => None,
            Self::Incoming(incoming) => Some(&incoming.context),
        }
    }

    fn metadata(&self) -> &Metadata {
        match self {
            Self::Outgoing { metadata, .. } => metadata,
            Self::Incoming(incoming) => incoming.metadata(),
        }
    }

    fn into_metadata(self) -> Metadata {
        match self {
            Self::Outgoing { metadata, .. } => metadata,
            Self::Incoming(incoming) => incoming.into_metadata(),
        }
    }
}

impl<T> Request<T> {
    /// Creates a request to send, without metadata and without a deadline.
    pub const fn new(message: T) -> Self {
        Self {
            message,
            source: RequestSource::new(),
        }
    }

    /// Creates the request of a received call.
    #[inline]
    pub(crate) fn incoming(message: T, incoming: Incoming) -> Self {
        Self {
            message,
            source: RequestSource::Incoming(incoming),
        }
    }

    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The message, to be changed. In a handler of a stream of messages this is the stream, which
    /// can be received from without being taken out.
    pub const fn message_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// The message alone. The rest of the request is dropped: [`split`](Self::split) keeps it.
    pub fn into_message(self) -> T {
        self.message
    }

    /// The message and the metadata. The rest of the request is dropped: [`split`](Self::split)
    /// keeps it.
    pub fn into_parts(self) -> (T, Metadata) {
        (self.message, self.source.into_metadata())
    }

    /// The message, and the request without it: the metadata, the deadline, the extensions, in a
    /// handler the call's context, and with it the peer and [`outgoing`](Self::outgoing).
    /// [`map`](Self::map) puts them together again.
    ///
    /// ```
    /// use rgrpc::{RecvStream, Request, SendStream, Status};
    ///
    /// async fn chat(
    ///     messages: Request<RecvStream<String>>,
    ///     mut replies: SendStream<String>,
    /// ) -> Result<(), Status> {
    ///     let (mut messages, request) = messages.split();
    ///     while let Some(message) = messages.recv().await? {
    ///         let author = request.metadata().get("x-author").unwrap_or("someone");
    ///         replies.send(format!("{author}: {message}")).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn split(self) -> (T, Request<()>) {
        let Self { message, source } = self;
        (
            message,
            Request {
                message: (),
                source,
            },
        )
    }

    /// The metadata. In a handler it also shows `:authority`, `user-agent`, `content-type` and
    /// `grpc-accept-encoding`, as in grpc-go.
    pub fn metadata(&self) -> &Metadata {
        self.source.metadata()
    }

    /// The metadata, mutable.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        match &mut self.source {
            RequestSource::Outgoing { metadata, .. } => metadata,
            RequestSource::Incoming(incoming) => incoming.metadata_mut(),
        }
    }

    /// The typed values that travel with the request inside this program. In a handler these are
    /// the values that stats handlers, the head hook and interceptors have inserted.
    pub fn extensions(&self) -> &Extensions {
        match &self.source {
            RequestSource::Outgoing { extensions, .. } => extensions,
            RequestSource::Incoming(incoming) => incoming.extensions(),
        }
    }

    /// The typed values that travel with the request inside this program, mutable.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        match &mut self.source {
            RequestSource::Outgoing { extensions, .. } => extensions,
            RequestSource::Incoming(incoming) => incoming.extensions_mut(),
        }
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

    /// Adds a typed value that travels with the request inside this program; see [`Extensions`].
    #[must_use]
    pub fn with_extension(mut self, value: impl Clone + Send + Sync + 'static) -> Self {
        self.extensions_mut().insert(value);
        self
    }

    /// Sets the timeout of the call, from now. An earlier deadline of the request stays.
    ///
    /// On a request that a handler received this does nothing: its deadline is the caller's.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let RequestSource::Outgoing { deadline, .. } = &mut self.source {
            let new = later::deadline(Instant::now(), timeout);
            *deadline = match (*deadline, new) {
                (Some(old), Some(new)) => Some(old.min(new)),
                (old, new) => old.or(new),
            };
        }
        self
    }

    /// The call's deadline, at which it fails with DEADLINE_EXCEEDED; `None` if it has none.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.source {
            RequestSource::Outgoing { deadline, .. } => *deadline,
            RequestSource::Incoming(incoming) => incoming.context.deadline(),
        }
    }

    /// The call that this request belongs to, in a handler; `None` for a request made by
    /// [`Request::new`].
    pub const fn context(&self) -> Option<&CallContext> {
        self.source.context()
    }

    /// The two ends of the request's connection, in a handler; `None` for a request made by
    /// [`Request::new`].
    pub fn peer(&self) -> Option<&Peer> {
        self.context().map(CallContext::peer)
    }

    /// Adds to the response's header metadata in a handler, as [`CallContext::set_header`]. Without
    /// a call, as in a test that calls a handler itself, this does nothing.
    ///
    /// # Errors
    /// INTERNAL if the headers have been sent.
    pub fn set_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.context()
            .map_or(Ok(()), |call| call.set_header(metadata))
    }

    /// Sends the response's headers now in a handler, as [`CallContext::send_header`]. Without a
    /// call this does nothing.
    ///
    /// # Errors
    /// INTERNAL if the headers have been sent.
    pub fn send_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.context()
            .map_or(Ok(()), |call| call.send_header(metadata))
    }

    /// Adds to the trailers in a handler, as [`CallContext::set_trailer`]. Without a call this does
    /// nothing.
    pub fn set_trailer(&self, metadata: Metadata) {
        if let Some(call) = self.context() {
            call.set_trailer(metadata);
        }
    }

    /// Sets the compressor of the response's messages in a handler, as
    /// [`CallContext::set_send_compressor`]. Without a call this does nothing.
    ///
    /// # Errors
    /// INTERNAL when the server has no such compressor, the client does not accept it, or it is too
    /// late.
    pub fn set_send_compressor(&self, name: &str) -> Result<(), Status> {
        self.context()
            .map_or(Ok(()), |call| call.set_send_compressor(name))
    }

    /// The names of the compressors that the client accepts for responses, in a handler, as
    /// [`CallContext::client_supported_compressors`]. Without a call: none.
    #[must_use]
    pub fn client_supported_compressors(&self) -> Vec<&str> {
        self.context()
            .map_or_else(Vec::new, CallContext::client_supported_compressors)
    }

    /// Creates a request for a call on behalf of this one: it has this call's deadline, ends when
    /// this call ends, and carries its trace context (`traceparent`, `tracestate`,
    /// `grpc-trace-bin`). No other metadata is passed on, and no [extension](Self::extensions);
    /// [`Metadata::forward`] passes on more.
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
            source: RequestSource::Outgoing {
                deadline: self.deadline(),
                parent: self.context().cloned(),
                metadata,
                extensions: Extensions::new(),
            },
        }
    }

    /// Replaces the message. Metadata, deadline, context and extensions stay.
    pub fn map<M>(self, map: impl FnOnce(T) -> M) -> Request<M> {
        Request {
            message: map(self.message),
            source: self.source,
        }
    }

    /// Takes the parts that a stub sends, except the message.
    pub(crate) fn take_outgoing(&mut self) -> Outgoing {
        match std::mem::replace(&mut self.source, RequestSource::new()) {
            RequestSource::Outgoing {
                deadline,
                parent,
                metadata,
                extensions,
            } => Outgoing {
                metadata,
                deadline,
                parent,
                extensions,
            },
            // Extensions of a call that is served say nothing about the call that is made.
            RequestSource::Incoming(incoming) => {
                let context = incoming.context.clone();
                let mut metadata = incoming.into_metadata();
                for key in TRACE_KEYS {
                    metadata.forward(key);
                }
                Outgoing {
                    deadline: context.deadline(),
                    parent: Some(context),
                    metadata,
                    extensions: Extensions::new(),
                }
            }
        }
    }
}

/// The parts of a request that a stub sends, except the message.
pub(crate) struct Outgoing {
    pub(crate) metadata: Metadata,
    pub(crate) deadline: Option<Instant>,
    pub(crate) parent: Option<CallContext>,
    pub(crate) extensions: Extensions,
}

impl<T> From<T> for Request<T> {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}
