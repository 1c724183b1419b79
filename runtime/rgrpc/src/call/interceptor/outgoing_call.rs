//! A client's call as its interceptors see it.
//!
//! Created by the channel when a chain begins; changed by interceptors, in the caller's future.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{CallHead, ClientReply, ReplyFuture, TypedCall};
use crate::call::{
    CallContext, CallOptions, Extensions, LocalCall, LocalStreams, MethodName, Response,
};
use crate::codec::Codec;
use crate::descriptor::MethodDescriptor;
use crate::interceptor::{CallKind, CallOutcome, MessageInterceptor};
use crate::metadata::Metadata;
use crate::status::Status;

/// The size of the messages in one direction of an interceptor's own stream from which on their sender
/// waits, in bytes: that of a stream of a connection.
const MAX_QUEUED: usize = 64 * 1024;

/// A call that a client makes, before it is sent, in an interceptor.
///
/// The changes of an interceptor are seen by the interceptors after it, and by the channel. A clone
/// is for [another run](super::ClientNext::run): the clones share the request and the
/// [end](Self::on_end) of the call.
///
/// A unary call has its [request](Self::request). The messages of another call are shown to a
/// [message interceptor](Self::intercept_messages).
///
/// Source: the arguments of grpc-go's interceptors; connect-go `AnyRequest`.
#[derive(Clone)]
pub struct OutgoingCall {
    /// Boxed, because a call is moved into and out of the future of each interceptor.
    pub(super) head: Box<CallHead>,
    pub(super) typed: Arc<dyn TypedCall>,
}

impl OutgoingCall {
    /// Creates the call that a chain begins with.
    #[inline]
    pub(crate) fn new(
        method: MethodName,
        kind: CallKind,
        options: CallOptions,
        typed: Arc<dyn TypedCall>,
    ) -> Self {
        Self {
            head: Box::new(CallHead {
                method,
                kind,
                options,
            }),
            typed,
        }
    }

    /// Makes the call.
    pub(super) fn start(self) -> ReplyFuture {
        self.typed.start(*self.head)
    }

    /// The method's full name: `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.head.method
    }

    /// The service's full name in the [method](Self::method)'s: `package.Service`; empty if that is
    /// malformed.
    #[must_use]
    pub fn service_name(&self) -> &str {
        self.names().map_or("", |(service, _)| service)
    }

    /// The method's name without its service's; empty if the [method](Self::method)'s full name is
    /// malformed.
    #[must_use]
    pub fn method_name(&self) -> &str {
        self.names().map_or("", |(_, method)| method)
    }

    fn names(&self) -> Option<(&str, &str)> {
        self.head.method.strip_prefix('/')?.rsplit_once('/')
    }

    /// The kind of the call: as its stub has set it. A call of
    /// [`Invoke::invoke`](crate::Invoke::invoke) without a stub is unary. One of
    /// [`Invoke::new_stream`](crate::Invoke::new_stream) has the kind in the
    /// [descriptor](Self::descriptor); without a descriptor, or with that of a unary method, it
    /// counts as bidirectional.
    #[must_use]
    pub fn kind(&self) -> CallKind {
        self.head.kind
    }

    /// The descriptor of the method and its service: that of the stub that makes the call. `None`
    /// for a call that is made by the method's name alone.
    #[must_use]
    pub fn descriptor(&self) -> Option<MethodDescriptor<'_>> {
        self.head.method.descriptor()
    }

    /// The time at which the call ends with DEADLINE_EXCEEDED; `None`: never. A `timeout` of the
    /// service config may make it earlier.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.head.options.deadline()
    }

    /// The request's header metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.head.options.metadata()
    }

    /// The request's header metadata, mutable.
    #[must_use]
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        self.head.options.metadata_mut()
    }

    /// The options of the call: its user's, completed by the channel's default options.
    #[must_use]
    pub fn options(&self) -> &CallOptions {
        &self.head.options
    }

    /// The options of the call, mutable.
    #[must_use]
    pub fn options_mut(&mut self) -> &mut CallOptions {
        &mut self.head.options
    }

    /// The typed values of the call: those of its user and of interceptors.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.head.options.extensions()
    }

    /// The typed values of the call, mutable.
    #[must_use]
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.head.options.extensions_mut()
    }

    /// The content-subtype of the call's codec: [`Codec::NAME`], which is empty for Protocol Buffers.
    #[must_use]
    pub fn content_subtype(&self) -> &'static str {
        self.typed.content_subtype()
    }

    /// The request of a unary call, if its type is `M`; `None` for other calls, whose requests are sent
    /// on a stream.
    ///
    /// A call that is made with a [`PreparedMessage`](crate::PreparedMessage) has that type.
    #[must_use]
    pub fn request<M: 'static>(&self) -> Option<&M> {
        self.typed.request()?.downcast_ref()
    }

    /// The request of a unary call in encoded form, by the call's codec: the key of a cache for methods
    /// whose types it does not know, with [`method`](Self::method) and
    /// [`content_subtype`](Self::content_subtype). `None` for other calls.
    ///
    /// Encodes the message each time it is called. The encoding of a map has no fixed order in Protocol
    /// Buffers, so that equal messages may have several encodings.
    ///
    /// # Errors
    /// INTERNAL when the codec fails.
    pub fn encoded_request(&self) -> Result<Option<Bytes>, Status> {
        self.typed.encoded_request()
    }

    /// Creates an answer to a unary call from an encoded response, by the call's codec:
    /// [`ClientReply::encoded`] of an earlier call, for example.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::sync::Mutex;
    ///
    /// use bytes::Bytes;
    /// use rgrpc::{ClientInterceptor, ClientNext, ClientReply, OutgoingCall, Response, Status};
    ///
    /// /// A cache of unary calls of any type, without limits.
    /// #[derive(Default)]
    /// struct Cache(Mutex<HashMap<(String, Bytes), Response<Bytes>>>);
    ///
    /// impl ClientInterceptor for Cache {
    ///     async fn intercept(
    ///         &self,
    ///         call: OutgoingCall,
    ///         next: ClientNext,
    ///     ) -> Result<ClientReply, Status> {
    ///         let Some(request) = call.encoded_request()? else {
    ///             return next.run(call).await;
    ///         };
    ///         let key = (call.method().to_owned(), request);
    ///         let found = self.0.lock().unwrap().get(&key).cloned();
    ///         if let Some(response) = found {
    ///             return call.reply_encoded(response);
    ///         }
    ///         let reply = next.run(call).await?;
    ///         if let Some(response) = reply.encoded()? {
    ///             self.0.lock().unwrap().insert(key, response);
    ///         }
    ///         Ok(reply)
    ///     }
    /// }
    /// # let _ = rgrpc::ClientConn::builder("a", rgrpc::credentials::insecure())
    /// #     .interceptor(Cache::default());
    /// ```
    ///
    /// # Errors
    /// INTERNAL when the call is not unary, or when the codec cannot decode the message.
    pub fn reply_encoded(&self, response: Response<Bytes>) -> Result<ClientReply, Status> {
        self.typed.reply_encoded(response)
    }

    /// Creates an answer to a call that is not unary from all messages of its response, which ends with
    /// OK after them. The call is over for its requests: sending one fails as after a server's end.
    ///
    /// `codec` encodes these messages: that of the method for messages of the method's type, or
    /// [`RawCodec`](crate::RawCodec) for encoded ones. All of them are held in memory until the caller
    /// has received them. Message interceptors and stats handlers do not see them.
    ///
    /// # Errors
    /// INTERNAL when the call is unary, or when the codec fails.
    pub fn reply_messages<C: Codec<M>, M>(
        &self,
        codec: C,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<ClientReply, Status> {
        let _ = codec;
        let call = LocalCall::answered::<C, M>(messages)?;
        self.typed.reply_streamed(&call, &self.head.options)
    }

    /// Creates an answer to a call that is not unary, and the server's end of it, from which the
    /// interceptor answers: usually in a task of its own.
    ///
    /// `codec` is that of the server's end, as in [`reply_messages`](Self::reply_messages). In each
    /// direction at most 64 KiB of messages wait to be received, and one message of any size; then
    /// their sender waits. The call ends with DEADLINE_EXCEEDED or CANCELLED when its deadline passes,
    /// its cancel handle is used or its parent ends; a `timeout` of the service config does not apply.
    /// Message interceptors and stats handlers do not see its messages.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use rgrpc::{ClientNext, ClientReply, Metadata, OutgoingCall, RawCodec, Status};
    ///
    /// /// Answers streaming calls by their own requests.
    /// async fn echo(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    ///     if !call.kind().client_streams() {
    ///         return next.run(call).await;
    ///     }
    ///     let (reply, mut streams) = call.reply_streamed::<_, Bytes, Bytes>(RawCodec)?;
    ///     tokio::spawn(async move {
    ///         while let Some(message) = streams.recv().await? {
    ///             streams.send(message).await?;
    ///         }
    ///         streams.finish(Ok(Metadata::new()));
    ///         Ok::<_, Status>(())
    ///     });
    ///     Ok(reply)
    /// }
    /// # let _ = rgrpc::ClientConn::builder("a", rgrpc::credentials::insecure()).interceptor(echo);
    /// ```
    ///
    /// # Errors
    /// INTERNAL when the call is unary, or outside of a tokio runtime for a call with a deadline, a
    /// cancel handle or a parent.
    pub fn reply_streamed<C, Req, Res>(
        &self,
        codec: C,
    ) -> Result<(ClientReply, LocalStreams<Req, Res>), Status>
    where
        C: Codec<Req> + Codec<Res>,
    {
        let call = LocalCall::new(MAX_QUEUED);
        let reply = self.typed.reply_streamed(&call, &self.head.options)?;
        Ok((reply, call.server_end(codec)))
    }

    /// The call in whose handler this one is made, if there is one.
    #[must_use]
    pub fn parent(&self) -> Option<&CallContext> {
        self.head.options.parent()
    }

    /// Adds a function that is called once, at the end of the call for its caller, whatever the
    /// number of runs: with the status, the trailers and the party that has ended the call.
    /// Functions that are added later are called earlier.
    ///
    /// A unary call ends when its future is ready or dropped; another when its end has been
    /// received, or when the receiving half is dropped. It is called on the task that ends the call,
    /// and must not block. A panic in it is logged. Returns false if the call has ended already; the
    /// function is dropped then.
    ///
    /// ```
    /// use rgrpc::{ClientNext, ClientReply, OutgoingCall, Status};
    ///
    /// async fn log(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    ///     let method = call.method().to_owned();
    ///     call.on_end(move |outcome| {
    ///         println!("{method}: {:?}, by the {}", outcome.code(), outcome.ended_by());
    ///     });
    ///     next.run(call).await
    /// }
    /// # let _ = rgrpc::ClientConn::builder("a", rgrpc::credentials::insecure()).interceptor(log);
    /// ```
    pub fn on_end(&self, hook: impl FnOnce(&CallOutcome<'_>) + Send + 'static) -> bool {
        self.typed.end().on_end(Box::new(hook))
    }

    /// Wraps both halves of the call: the interceptor sees each message that is sent and received.
    /// See [`MessageInterceptor`].
    ///
    /// A retry or a hedge does not show a message again.
    pub fn intercept_messages(&mut self, interceptor: impl MessageInterceptor) {
        self.head.options.intercept_messages(interceptor);
    }
}

impl fmt::Debug for OutgoingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingCall")
            .field("method", &self.head.method)
            .field("kind", &self.head.kind)
            .field("options", &self.head.options)
            .finish_non_exhaustive()
    }
}
