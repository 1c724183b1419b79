//! The handling of one call: from a stream to a handler's arguments, and from its output to a
//! reply.
//!
//! Called by the functions of a `ServiceDesc` and by interceptors that respond themselves, in the
//! call's future.
//!
//! Source: grpc-go `Server.processUnaryRPC`, `Server.processStreamingRPC`.

use std::any::Any;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes};

use super::Handler;
use super::reply::{CompressedReply, ReplyMessage, ServerReply};
use crate::call::{
    CallContext, Incoming, MessageSource, ObservedCall, RawMessage, RecvStream, Request, Response,
    SendStream, SharedRequest,
};
use crate::codec::{
    Codec, Encoding, MessageLimit, PREFIX_LEN, decode, decode_whole, frame, is_one_message,
};
use crate::interceptor::{MessageInterceptor, MessageView};
use crate::side::Side;
use crate::stats::CallRecorders;
use crate::status::Status;

/// The future that handles one call, made by a function of a [`ServiceDesc`](super::ServiceDesc).
pub type HandlerFuture = Pin<Box<dyn Future<Output = Handled> + Send>>;

/// The result of a handled call.
type Handled = Result<ServerReply, Status>;

/// A received call, before its handler runs: the argument of the functions in a
/// [`ServiceDesc`](super::ServiceDesc).
///
/// Each of its methods handles one kind of call. All kinds share one pipeline: a unary call is a
/// stream with one message in each direction.
#[derive(Clone, Debug)]
pub struct ServerCall {
    request: Incoming,
    /// The whole content, if it came with the head.
    content: Option<Bytes>,
    /// The encoding of the request's compressed messages; `None` for [`Encoding::Identity`]. Boxed,
    /// because most calls have `None`.
    encoding: Option<Box<Encoding>>,
    limits: MessageLimits,
    /// True if interceptors or stats handlers see messages.
    observed: bool,
    /// True if an interceptor may run the handler again, with a clone that has the same stream.
    shared: bool,
}

/// The maximum sizes of messages, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageLimits {
    pub(super) max_receive: SizeLimit,
    pub(super) max_send: SizeLimit,
}

/// A server's [`MessageLimit`] without the side, because each call carries two.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeLimit(u32);

impl SizeLimit {
    /// Creates a limit of this many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    #[inline]
    fn of_server(self) -> MessageLimit {
        MessageLimit::new(Side::Server, self.0 as usize)
    }
}

/// The parameters for framing the only response of a handler.
struct Reply {
    max_send: SizeLimit,
    /// There are message interceptors.
    observed: Option<Arc<ObservedCall>>,
    /// A stats handler wants the message.
    keep_message: bool,
}

impl ServerCall {
    #[inline]
    pub(super) fn new(
        context: CallContext,
        content: Option<Bytes>,
        encoding: Encoding,
        limits: MessageLimits,
    ) -> Self {
        let encoding = match encoding {
            Encoding::Identity => None,
            encoding => Some(Box::new(encoding)),
        };
        Self {
            request: Incoming::new(context),
            content,
            encoding,
            limits,
            observed: false,
            shared: false,
        }
    }

    /// Shows messages to the call's stats handlers, if there are any.
    #[inline]
    pub(super) fn observe(&mut self) {
        self.observed = self.request.context().recorders().is_some();
    }

    /// Marks the call as passing through interceptors, which may clone it.
    #[inline]
    pub(super) fn shared(self) -> Self {
        Self {
            shared: true,
            ..self
        }
    }

    /// The request, as interceptors have changed it.
    pub(super) fn request(&self) -> &Incoming {
        &self.request
    }

    pub(super) fn request_mut(&mut self) -> &mut Incoming {
        &mut self.request
    }

    pub(super) fn limits_mut(&mut self) -> &mut MessageLimits {
        &mut self.limits
    }

    /// Adds an interceptor of the messages.
    pub(super) fn intercept_messages(&mut self, interceptor: impl MessageInterceptor) {
        self.request.intercept_messages(interceptor);
        self.observed = true;
    }

    /// Receives the only request, which stays here: without its prefix. Cancel-safe.
    pub(super) async fn request_message(&mut self) -> Result<Bytes, Status> {
        let shared = match self.request.shared() {
            Some(shared) => Arc::clone(shared),
            None => match self.whole_request() {
                Some(framed) => {
                    self.content = Some(framed.clone());
                    return Ok(framed.slice(PREFIX_LEN..));
                }
                None => self.share_request(),
            },
        };
        Ok(shared.message().await?.bytes)
    }

    /// Has the only request received once, for all clones.
    fn share_request(&mut self) -> Arc<SharedRequest> {
        let requests = RecvStream::raw(
            Arc::new(self.request.context().clone()),
            self.limits.max_receive.of_server(),
        );
        let shared = Arc::new(SharedRequest::new(self.begin_receiving(requests)));
        self.request.set_shared(Arc::clone(&shared));
        shared
    }

    /// Handles a unary call.
    pub fn unary<T, C, Req, Res, H>(
        mut self,
        _codec: C,
        service: Arc<T>,
        handler: H,
    ) -> HandlerFuture
    where
        T: Send + Sync + 'static,
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        H: 'static
            + for<'a> Handler<'a, T, (Request<Req>,), Output = Result<Response<Res>, Status>>,
    {
        Box::pin(async move {
            let reply = self.reply();
            // In a block, so that the request that the handler gets is not kept here too.
            let response = pin!({
                let request = match self.whole_request() {
                    Some(framed) => self.decode_request::<C, Req>(framed),
                    // Boxed, so that calls whose request is here need no space for it.
                    None => Box::pin(self.only_request::<C, Req>()).await,
                };
                match request {
                    Ok(request) => handler.call(&service, (request,)),
                    Err(status) => return Err(status),
                }
            });
            reply.handled::<C, Res>(response.await)
        })
    }

    /// Handles a server-streaming call.
    pub fn server_streaming<T, C, Req, Res, H>(
        mut self,
        _codec: C,
        service: Arc<T>,
        handler: H,
    ) -> HandlerFuture
    where
        T: Send + Sync + 'static,
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        H: 'static
            + for<'a> Handler<'a, T, (Request<Req>, SendStream<Res>), Output = Result<(), Status>>,
    {
        Box::pin(async move {
            let responses = self.responses::<C, Res>();
            // In a block for the same reason as in `unary`.
            let outcome = pin!({
                let request = match self.whole_request() {
                    Some(framed) => self.decode_request::<C, Req>(framed),
                    None => Box::pin(self.only_request::<C, Req>()).await,
                };
                match request {
                    Ok(request) => handler.call(&service, (request, responses)),
                    Err(status) => return Err(status),
                }
            });
            outcome.await.map(|()| ServerReply(None))
        })
    }

    /// Handles a client-streaming call.
    pub fn client_streaming<T, C, Req, Res, H>(
        self,
        _codec: C,
        service: Arc<T>,
        handler: H,
    ) -> HandlerFuture
    where
        T: Send + Sync + 'static,
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        H: 'static
            + for<'a> Handler<
                'a,
                T,
                (Request<RecvStream<Req>>,),
                Output = Result<Response<Res>, Status>,
            >,
    {
        Box::pin(async move {
            let reply = self.reply();
            let requests = self.requests::<C, Req>();
            let response = handler.call(&service, (requests,)).await;
            reply.handled::<C, Res>(response)
        })
    }

    /// Handles a bidirectional call.
    pub fn bidi_streaming<T, C, Req, Res, H>(
        self,
        _codec: C,
        service: Arc<T>,
        handler: H,
    ) -> HandlerFuture
    where
        T: Send + Sync + 'static,
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        H: 'static
            + for<'a> Handler<
                'a,
                T,
                (Request<RecvStream<Req>>, SendStream<Res>),
                Output = Result<(), Status>,
            >,
    {
        Box::pin(async move {
            let responses = self.responses::<C, Res>();
            let requests = self.requests::<C, Req>();
            let outcome = handler.call(&service, (requests, responses)).await;
            outcome.map(|()| ServerReply(None))
        })
    }

    /// Takes the only request with its prefix, if it was received whole.
    #[inline]
    fn whole_request(&mut self) -> Option<Bytes> {
        let max = self.limits.max_receive.0 as usize;
        match self.content.take_if(|content| is_one_message(content, max)) {
            Some(framed) => Some(framed),
            None => self.take_whole(max),
        }
    }

    fn take_whole(&self, max: usize) -> Option<Bytes> {
        let context = self.request.context();
        if self.shared && context.stream().call().is_body_taken() {
            return None;
        }
        // Ready at once, because the head was received.
        let cx = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(whole) = context.poll_whole(cx, &|data| is_one_message(data, max)) else {
            return None;
        };
        if self.shared && whole.is_some() {
            context.stream().call().take_body();
        }
        Some(whole?.data)
    }

    #[inline(always)]
    fn decode_request<C: Codec<Req>, Req: 'static>(
        self,
        framed: Bytes,
    ) -> Result<Request<Req>, Status> {
        let len = framed.len() - PREFIX_LEN;
        let message = decode_whole::<C, Req>(framed, Side::Server)?;
        if self.observed {
            self.observe_request(&MessageView::new(Some(&message), len, len))?;
        }
        Ok(self.into_request(message))
    }

    /// The only request has come whole.
    fn observe_request(&self, view: &MessageView<'_>) -> Result<(), Status> {
        ObservedCall::received(self.request.context(), self.request.interceptors(), view)
    }

    /// Waits for the only request.
    async fn only_request<C: Codec<Req>, Req>(mut self) -> Result<Request<Req>, Status>
    where
        Req: Send + 'static,
    {
        let message = match self.request.take_shared() {
            None => self.receive::<C, Req>().recv_only().await?,
            Some(shared) => {
                let RawMessage {
                    bytes,
                    compressed_len,
                } = shared.message().await?;
                let encoded_len = bytes.len();
                let message = decode(C::decode, bytes.into(), Side::Server)?;
                if self.observed {
                    let view = MessageView::new(Some(&message), encoded_len, compressed_len);
                    self.observe_request(&view)?;
                }
                message
            }
        };
        Ok(self.into_request(message))
    }

    fn requests<C: Codec<Req>, Req: 'static>(mut self) -> Request<RecvStream<Req>> {
        let requests = self.receive::<C, Req>();
        self.into_request(requests)
    }

    fn receive<C: Codec<Req>, Req: 'static>(&mut self) -> RecvStream<Req> {
        let limit = self.limits.max_receive.of_server();
        let requests = if self.observed {
            RecvStream::new::<C>(self.observed_call(), limit).observed::<C>()
        } else {
            RecvStream::new::<C>(Arc::new(self.request.context().clone()), limit)
        };
        if let Some(message) = self.request.shared().and_then(|shared| shared.received()) {
            // A handler of an interceptor's own receives the only request as a stream.
            return requests.received(with_prefix(&message.bytes));
        }
        self.begin_receiving(requests)
    }

    /// Has this half receive the request: the part that is here, then the rest.
    fn begin_receiving<M>(&mut self, mut requests: RecvStream<M>) -> RecvStream<M> {
        if let Some(encoding) = self.encoding.take() {
            requests = requests.encoded_by(encoding);
        }
        if self.shared && !self.request.context().stream().call().take_body() {
            return requests.refused(Status::internal(
                "the request was received by an earlier run of the handler: an interceptor that runs \
                 it again receives the request before, by IncomingCall::request_message",
            ));
        }
        match self.content.take() {
            Some(content) => requests.received(content),
            None => requests,
        }
    }

    #[inline]
    fn into_request<M>(self, message: M) -> Request<M> {
        Request::incoming(message, self.request)
    }

    fn responses<C: Codec<Res>, Res: 'static>(&self) -> SendStream<Res> {
        let limit = self.limits.max_send.of_server();
        if self.observed {
            SendStream::new::<C>(self.observed_call(), limit).observed::<C>()
        } else {
            SendStream::new::<C>(Arc::new(self.request.context().clone()), limit)
        }
    }

    /// Creates an interceptor's own response.
    pub(super) fn reply_with<C: Codec<M>, M>(
        &self,
        response: Response<M>,
    ) -> Result<ServerReply, Status> {
        let framed = frame::<C, M>(response.message(), MessageLimit::largest(Side::Server))?;
        Ok(ServerReply(Some(ReplyMessage {
            encoded_len: framed.len().saturating_sub(PREFIX_LEN),
            response: response.map(|_| framed),
            max_send: self.limits.max_send.of_server(),
            message: None,
            compressed: None,
        })))
    }

    fn observed_call(&self) -> Arc<ObservedCall> {
        let context = self.request.context().clone();
        Arc::new(ObservedCall::new(
            context,
            self.request.interceptors().cloned(),
        ))
    }

    #[inline]
    fn reply(&self) -> Reply {
        if self.observed {
            return self.observed_reply();
        }
        Reply {
            max_send: self.limits.max_send,
            observed: None,
            keep_message: false,
        }
    }

    fn observed_reply(&self) -> Reply {
        let recorders = self.request.context().recorders();
        Reply {
            max_send: self.limits.max_send,
            observed: self.request.interceptors().map(|_| self.observed_call()),
            keep_message: recorders.is_some_and(CallRecorders::want_messages),
        }
    }
}

impl Reply {
    /// Converts the output of a handler with one response.
    #[inline]
    fn handled<C: Codec<Res>, Res: Send + 'static>(
        self,
        mut response: Result<Response<Res>, Status>,
    ) -> Handled {
        // By reference, so that the message is not moved.
        let response = match response {
            Ok(ref mut response) if self.observed.is_none() && !self.keep_message => response,
            Ok(response) => return self.handled_observed::<C, Res>(response),
            Err(status) => return Err(status),
        };
        // The limit is for the compressed message, which may be smaller.
        let framed = frame::<C, Res>(response.message(), MessageLimit::largest(Side::Server))?;
        Ok(ServerReply(Some(ReplyMessage {
            encoded_len: framed.len().saturating_sub(PREFIX_LEN),
            response: response.take_metadata().map(|()| framed),
            max_send: self.max_send.of_server(),
            message: None,
            compressed: None,
        })))
    }

    /// As above, for a message that is observed.
    fn handled_observed<C: Codec<Res>, Res: Send + 'static>(
        self,
        response: Response<Res>,
    ) -> Handled {
        let framed = frame::<C, Res>(response.message(), MessageLimit::largest(Side::Server))?;
        let encoded_len = framed.len().saturating_sub(PREFIX_LEN);
        let max_send = self.max_send.of_server();
        let mut compressed = None;
        if let Some(observed) = &self.observed {
            // Compressed here, to have the size. An interceptor may set another compressor after this.
            if let Some(compressor) = observed.context().current_compressor() {
                compressed = Some(Box::new(CompressedReply::new(
                    compressor, &framed, max_send,
                )?));
            }
            let compressed_len = match &compressed {
                Some(compressed) => compressed.compressed_len(),
                None => encoded_len,
            };
            observed.sending(&MessageView::new(
                Some(response.message()),
                encoded_len,
                compressed_len,
            ))?;
        }
        let mut message = None;
        let response = response.map(|sent| {
            if self.keep_message {
                message = Some(Box::new(sent) as Box<dyn Any + Send>);
            }
            framed
        });
        Ok(ServerReply(Some(ReplyMessage {
            response,
            max_send,
            encoded_len,
            message,
            compressed,
        })))
    }
}

/// A message as it came over the wire without compression.
fn with_prefix(message: &Bytes) -> Bytes {
    // A message that was received has a length that fits.
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(PREFIX_LEN + message.len());
    framed.put_u8(0);
    framed.put_u32(len);
    framed.put_slice(message);
    framed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_interceptors_and_stats_handlers_needs_no_space_for_them() {
        let word = size_of::<usize>();
        // Its context, the request's changes, the content, the encoding, the limits and two flags.
        assert_eq!(size_of::<ServerCall>(), 10 * word);
        assert_eq!(size_of::<Reply>(), 2 * word);
    }
}
