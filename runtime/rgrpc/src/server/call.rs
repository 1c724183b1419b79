use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use rgrpc_http2::BytesQueue;

use super::Handler;
use crate::call::{CallContext, MessageSink, RecvStream, Request, Response, SendStream};
use crate::codec::MessageLimit;
use crate::codec::{Codec, Encoding, compress_framed, decode_whole, frame, is_one_message};
use crate::side::Side;
use crate::status::Status;

/// The handling of one call, as the tables of generated code make it.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Handled> + Send>>;

/// How a handler has ended its call: what a [`HandlerFuture`] is ready with, for the server to
/// send.
#[derive(Debug)]
pub struct Handled(pub(super) Outcome);

/// What is sent for it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The only response, framed; what of it is sent may have at most `max_send` bytes.
    Reply {
        response: Response<BytesQueue>,
        max_send: MessageLimit,
    },
    /// The status, after what was sent before.
    Finish(Result<(), Status>),
}

/// A call that a server received and has not handled yet: what the functions in a
/// [`ServiceDesc`](super::ServiceDesc) are called with.
///
/// Each of its methods is one kind of call, and there is one pipeline for all: a unary call is a
/// stream with one message each way.
#[derive(Debug)]
pub struct ServerCall {
    context: CallContext,
    /// All that the client sends, if it came at once.
    content: Option<Bytes>,
    /// What the request's messages are compressed by that say so.
    encoding: Encoding,
    limits: MessageLimits,
}

/// The sizes that messages may have, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageLimits {
    pub(super) max_receive: MessageLimit,
    pub(super) max_send: MessageLimit,
}

impl ServerCall {
    pub(super) fn new(
        context: CallContext,
        content: Option<Bytes>,
        encoding: Encoding,
        limits: MessageLimits,
    ) -> Self {
        Self {
            context,
            content,
            encoding,
            limits,
        }
    }

    /// Handles a call with one message each way.
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
            let max_send = self.limits.max_send;
            // In a block, so that the request that the handler gets is not kept here too.
            let response = pin!({
                let request = match self.whole_request() {
                    Some(framed) => self.decode_request::<C, Req>(framed),
                    // Boxed, so that calls whose request is here do not carry the room for it.
                    None => Box::pin(self.only_request::<C, Req>()).await,
                };
                match request {
                    Ok(request) => handler.call(&service, (request,)),
                    Err(status) => return Handled::failed(status),
                }
            });
            reply::<C, Res>(response.await, max_send)
        })
    }

    /// Handles a call with one message there and any number back.
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
            // As above.
            let outcome = pin!({
                let request = match self.whole_request() {
                    Some(framed) => self.decode_request::<C, Req>(framed),
                    None => Box::pin(self.only_request::<C, Req>()).await,
                };
                match request {
                    Ok(request) => handler.call(&service, (request, responses)),
                    Err(status) => return Handled::failed(status),
                }
            });
            Handled(Outcome::Finish(outcome.await))
        })
    }

    /// Handles a call with any number of messages there and one back.
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
            let max_send = self.limits.max_send;
            let requests = self.requests::<C, Req>();
            let response = handler.call(&service, (requests,)).await;
            reply::<C, Res>(response, max_send)
        })
    }

    /// Handles a call with any number of messages each way.
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
            Handled(Outcome::Finish(
                handler.call(&service, (requests, responses)).await,
            ))
        })
    }

    /// The only request with its prefix, if it is here whole.
    fn whole_request(&mut self) -> Option<Bytes> {
        let max = self.limits.max_receive.bytes();
        match self.content.take_if(|content| is_one_message(content, max)) {
            Some(framed) => Some(framed),
            None => self.context.take_whole(&|data| is_one_message(data, max)),
        }
    }

    #[inline]
    fn decode_request<C: Codec<Req>, Req>(self, framed: Bytes) -> Result<Request<Req>, Status> {
        let message = decode_whole::<C, Req>(framed)?;
        Ok(self.request(message))
    }

    /// The only request, when it has come.
    async fn only_request<C: Codec<Req>, Req>(mut self) -> Result<Request<Req>, Status>
    where
        Req: Send + 'static,
    {
        let message = self.receive::<C, Req>().recv_only().await?;
        Ok(self.request(message))
    }

    fn requests<C: Codec<Req>, Req>(mut self) -> Request<RecvStream<Req>> {
        let requests = self.receive::<C, Req>();
        self.request(requests)
    }

    fn receive<C: Codec<Req>, Req>(&mut self) -> RecvStream<Req> {
        let source = Arc::new(self.context.clone());
        let requests = RecvStream::new::<C>(source, self.limits.max_receive)
            .encoded_by(std::mem::take(&mut self.encoding));
        match self.content.take() {
            Some(content) => requests.received(content),
            None => requests,
        }
    }

    #[inline]
    fn request<M>(self, message: M) -> Request<M> {
        Request::incoming(message, self.context)
    }

    fn responses<C: Codec<Res>, Res>(&self) -> SendStream<Res> {
        SendStream::new::<C>(Arc::new(self.context.clone()), self.limits.max_send)
    }
}

/// The end of a call that has one response, which is to have at most `max_send` bytes when it is
/// sent.
#[inline]
fn reply<C: Codec<Res>, Res>(
    response: Result<Response<Res>, Status>,
    max_send: MessageLimit,
) -> Handled {
    let response = match response {
        Ok(response) => response,
        Err(status) => return Handled::failed(status),
    };
    // It may be smaller when it is compressed.
    match frame::<C, Res>(response.message(), MessageLimit::largest(Side::Server)) {
        Ok(framed) => {
            let response = response.map(|_| framed);
            Handled(Outcome::Reply { response, max_send })
        }
        Err(status) => Handled::failed(status),
    }
}

impl Handled {
    pub(super) fn failed(status: Status) -> Self {
        Self(Outcome::Finish(Err(status)))
    }

    /// Compresses the only response, if the call's messages are to be, and checks its size.
    pub(super) fn compress(&mut self, context: &CallContext) {
        if let Outcome::Reply { response, max_send } = &mut self.0
            && let Err(status) = compress_framed(
                response.message_mut(),
                context.compressor().as_ref(),
                *max_send,
            )
        {
            self.0 = Outcome::Finish(Err(status));
        }
    }
}
