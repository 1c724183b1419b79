//! A server's call as its interceptors see it.
//!
//! Created by dispatch when the head is received; changed by interceptors, in the call's future.

use std::future::{Future, ready};
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::call::{CallContext, Extensions, Response};
use crate::codec::Codec;
use crate::descriptor::MethodDescriptor;
use crate::interceptor::{CallKind, CallOutcome, MessageInterceptor};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::server::call::SizeLimit;
use crate::server::handlers::Handlers;
use crate::server::services::{Method, MethodId};
use crate::server::{HandlerFuture, ServerCall, ServerReply};
use crate::status::Status;
use crate::transport::ConnectionHandle;

/// A call that a server has received and not handled yet, in an interceptor.
///
/// Its head is received, its messages not necessarily. An interceptor's changes of metadata and
/// extensions are seen by the interceptors after it, and by the handler in its
/// [`Request`](crate::Request).
///
/// A clone is for a second run of the handler, with what was changed before: both share the part of
/// the request that has not been received; see [`request_message`](Self::request_message).
///
/// Source: the context and `UnaryServerInfo` of grpc-go's interceptors; connect-go `AnyRequest`.
#[derive(Clone, Debug)]
pub struct IncomingCall {
    handlers: Arc<Handlers>,
    /// `None` if the server does not have the method.
    method: Option<MethodId>,
    call: ServerCall,
    /// The status with which the server refuses the call.
    refusal: Option<Status>,
}

impl IncomingCall {
    pub(in crate::server) fn new(
        handlers: Arc<Handlers>,
        method: Option<MethodId>,
        call: ServerCall,
        refusal: Option<Status>,
    ) -> Self {
        Self {
            handlers,
            method,
            call,
            refusal,
        }
    }

    /// The method's full name: `/package.Service/Method`. A client can send any.
    #[must_use]
    pub fn method(&self) -> &str {
        self.context().method()
    }

    /// The service's full name in the [method](Self::method)'s: `package.Service`; empty if that is
    /// malformed.
    #[must_use]
    pub fn service_name(&self) -> &str {
        service_of(self.method()).unwrap_or_default()
    }

    /// The method's name without its service's; empty if the [method](Self::method)'s full name is
    /// malformed.
    #[must_use]
    pub fn method_name(&self) -> &str {
        match service_of(self.method()) {
            Some(service) => &self.method()[service.len() + 2..],
            None => "",
        }
    }

    /// The kind of the method. A method that the server does not have counts as bidirectional, as
    /// it is for an [unknown-service handler](crate::Server::unknown_service_handler).
    #[must_use]
    pub fn kind(&self) -> CallKind {
        self.registered()
            .map_or(CallKind::BidiStreaming, |method| method.kind)
    }

    /// The descriptor of the method and its service; `None` if the server does not have the method.
    #[must_use]
    pub fn descriptor(&self) -> Option<MethodDescriptor<'_>> {
        self.registered()?.descriptor()
    }

    /// The request's header metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.call.request().metadata()
    }

    /// The request's header metadata, mutable. [`CallContext::metadata`] stays as it came.
    #[must_use]
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        self.call.request_mut().metadata_mut()
    }

    /// The typed values of the call: those of stats handlers, of the head hook and of interceptors.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.call.request().extensions()
    }

    /// The typed values of the call, mutable. Handlers have them in
    /// [`Request::extensions`](crate::Request::extensions).
    #[must_use]
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.call.request_mut().extensions_mut()
    }

    /// The time at which the call ends with DEADLINE_EXCEEDED; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.context().deadline()
    }

    /// Makes the deadline earlier: the call ends with DEADLINE_EXCEEDED at this time, and its handler is
    /// dropped. Calls that the handler makes on behalf of this one inherit it. A time after the
    /// [deadline](Self::deadline) changes nothing. Default: the client's deadline.
    ///
    /// It holds for the call, whichever clone has set it.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.context().shorten_deadline(deadline);
    }

    /// Sets the maximum size of a received message of this call, in bytes. Default:
    /// [`Server::max_receive_message_size`](crate::Server::max_receive_message_size), or the value of the
    /// [head hook](crate::Server::head_hook). A larger message fails with RESOURCE_EXHAUSTED.
    ///
    /// Holds for messages that are received after it, and not for one that
    /// [`request_message`](Self::request_message) was called for.
    pub fn set_max_receive_message_size(&mut self, bytes: usize) {
        self.call.limits_mut().max_receive = SizeLimit::new(bytes);
    }

    /// Sets the maximum size of a sent message of this call, in bytes. Default:
    /// [`Server::max_send_message_size`](crate::Server::max_send_message_size). A larger message fails with
    /// RESOURCE_EXHAUSTED.
    pub fn set_max_send_message_size(&mut self, bytes: usize) {
        self.call.limits_mut().max_send = SizeLimit::new(bytes);
    }

    /// Sets the compressor of the response's messages, by its name, as
    /// [`CallContext::set_send_compressor`].
    ///
    /// # Errors
    /// Those of [`CallContext::set_send_compressor`].
    pub fn set_send_compressor(&mut self, name: &str) -> Result<(), Status> {
        self.context().set_send_compressor(name)
    }

    /// The status with which the server refuses the call: that of its
    /// [head hook](crate::Server::head_hook), or UNIMPLEMENTED for a `grpc-encoding` that it does not have.
    /// `None` if it does not.
    ///
    /// [`ServerNext::run`](super::ServerNext::run) returns the status then, and no handler runs. A call that
    /// the head hook refuses ends with a failure, whatever the interceptors answer.
    #[must_use]
    pub fn refusal(&self) -> Option<&Status> {
        self.refusal.as_ref()
    }

    /// The two ends of the connection that the call came by, and how it is secured.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.context().peer()
    }

    /// The call's connection: its typed values, and the means to drain it.
    #[must_use]
    pub fn connection(&self) -> &ConnectionHandle {
        self.context().connection()
    }

    /// The call's context, which an interceptor clones to set headers and trailers of the response,
    /// or to learn of the call's end.
    #[must_use]
    pub fn context(&self) -> &CallContext {
        self.call.request().context()
    }

    /// Adds a function that is called once, at the end of the call, as [`CallContext::on_end`].
    pub fn on_end(&self, hook: impl FnOnce(&CallOutcome<'_>) + Send + 'static) -> bool {
        self.context().on_end(hook)
    }

    /// Wraps both halves of the call: the interceptor sees each message that the handler receives
    /// and sends.
    ///
    /// ```
    /// use rgrpc::{IncomingCall, MessageInterceptor, MessageView, ServerNext, ServerReply, Status};
    ///
    /// struct Log;
    ///
    /// impl MessageInterceptor for Log {
    ///     fn received(&self, message: &MessageView<'_>) -> Result<(), Status> {
    ///         println!("received {} bytes", message.encoded_len());
    ///         Ok(())
    ///     }
    /// }
    ///
    /// async fn log(mut call: IncomingCall, next: ServerNext) -> Result<ServerReply, Status> {
    ///     call.intercept_messages(Log);
    ///     next.run(call).await
    /// }
    /// # let _ = rgrpc::Server::new().interceptor(log);
    /// ```
    pub fn intercept_messages(&mut self, interceptor: impl MessageInterceptor) {
        self.call.intercept_messages(interceptor);
    }

    /// Receives the only request of a unary or server-streaming call: waits until it has come, and
    /// returns its encoded bytes, decompressed. The handler has it as well, in each run, and so have
    /// clones that are made afterwards.
    ///
    /// Message interceptors and stats handlers see the message when the handler has it. Copies nothing
    /// if the message is in one piece.
    ///
    /// Cancel-safe: what has come is kept for the next call of this, and for the handler.
    ///
    /// # Errors
    /// As the handler's: RESOURCE_EXHAUSTED for a message that is too large, UNIMPLEMENTED for no
    /// message or several, CANCELLED. INTERNAL for a call of another kind, and for a request that
    /// an earlier run of the handler has received. An interceptor returns it.
    pub async fn request_message(&mut self) -> Result<Bytes, Status> {
        if self.kind().client_streams() {
            return Err(Status::internal(
                "the request of a call that streams it was asked for as one message",
            ));
        }
        if let Some(status) = &self.refusal {
            return Err(status.clone());
        }
        self.call.request_message().await
    }

    /// Creates the interceptor's own response to a unary or client-streaming call.
    ///
    /// The codec is that of the method: [`ProtoCodec`](crate::ProtoCodec) for Protocol Buffers.
    /// [`handle`](Self::handle) is for calls whose responses stream.
    ///
    /// # Errors
    /// INTERNAL when the codec fails.
    pub fn reply<C: Codec<M>, M>(
        &self,
        codec: C,
        response: Response<M>,
    ) -> Result<ServerReply, Status> {
        let _ = codec;
        self.call.reply_with::<C, M>(response)
    }

    /// Handles the call by the interceptor's own handler, in place of the rest of the chain.
    ///
    /// For calls whose responses stream, for which there is no [`reply`](Self::reply). The closure
    /// calls the method of [`ServerCall`] for the kind, as generated code does.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use bytes::Bytes;
    /// use rgrpc::{
    ///     IncomingCall, RawCodec, Request, SendStream, ServerNext, ServerReply, Status,
    /// };
    ///
    /// async fn empty(_: &(), _: Request<Bytes>, mut out: SendStream<Bytes>) -> Result<(), Status>
    /// {
    ///     out.send(Bytes::new()).await
    /// }
    ///
    /// async fn answer(call: IncomingCall, _: ServerNext) -> Result<ServerReply, Status> {
    ///     call.handle(|call| call.server_streaming(RawCodec, Arc::new(()), empty)).await
    /// }
    /// # let _ = rgrpc::Server::new().interceptor(answer);
    /// ```
    ///
    /// # Errors
    /// The status that the handler returns; that of the [refusal](Self::refusal), without running it.
    pub fn handle<F>(
        self,
        handler: F,
    ) -> impl Future<Output = Result<ServerReply, Status>> + Send + use<F>
    where
        F: FnOnce(ServerCall) -> HandlerFuture,
    {
        match self.refusal {
            Some(status) => Box::pin(ready(Err(status))),
            None => handler(self.call),
        }
    }

    /// The method, if the server has it.
    fn registered(&self) -> Option<&Method> {
        let id = self.method?;
        Some(self.handlers.services().method(id))
    }

    /// Runs the handler of the call, at the end of the chain.
    pub(super) fn reach_handler(self) -> HandlerFuture {
        let Self {
            handlers,
            method,
            call,
            refusal,
        } = self;
        let handler = match refusal {
            Some(status) => Err(status),
            None => handlers.handle(method, call),
        };
        handler.unwrap_or_else(|status| Box::pin(ready(Err(status))))
    }
}

/// The service's full name in a path `/service/method`.
pub(super) fn service_of(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.rsplit_once('/')?;
    Some(service)
}
