use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::call::{CallContext, RecvStream, Request, Response, SendStream};
use crate::codec::{Codec, decode_whole, frame, is_one_message};
use crate::status::Status;

/// The handling of one call, as the tables of generated code make it. Its result has gone to the
/// client when it is ready.
pub type HandlerFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A call that a server received and has not handled yet: what the functions in a
/// [`ServiceDesc`](super::ServiceDesc) are called with.
///
/// Each of its methods is one kind of call, and there is one pipeline for all: a unary call is a
/// stream with one message each way.
#[derive(Debug)]
pub struct ServerCall {
    context: CallContext,
    limits: MessageLimits,
}

/// The sizes that messages may have, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageLimits {
    pub(super) max_receive: usize,
    pub(super) max_send: usize,
}

impl ServerCall {
    pub(super) fn new(context: CallContext, limits: MessageLimits) -> Self {
        Self { context, limits }
    }

    /// Handles a call with one message each way.
    pub fn unary<C, Req, Res, F, Fut>(self, _codec: C, handler: F) -> HandlerFuture
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        F: FnOnce(Request<Req>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<Res>, Status>> + Send,
    {
        Box::pin(async move {
            let max_send = self.limits.max_send;
            let context = self.context.clone();
            let response = match self.only_request::<C, Req>().await {
                Ok(request) => handler(request).await,
                Err(status) => Err(status),
            };
            reply::<C, Res>(&context, response, max_send);
        })
    }

    /// Handles a call with one message there and any number back.
    pub fn server_streaming<C, Req, Res, F, Fut>(self, _codec: C, handler: F) -> HandlerFuture
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        F: FnOnce(Request<Req>, SendStream<Res>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Status>> + Send,
    {
        Box::pin(async move {
            let responses = self.responses::<C, Res>();
            let context = self.context.clone();
            let outcome = match self.only_request::<C, Req>().await {
                Ok(request) => handler(request, responses).await,
                Err(status) => Err(status),
            };
            context.finish(outcome);
        })
    }

    /// Handles a call with any number of messages there and one back.
    pub fn client_streaming<C, Req, Res, F, Fut>(self, _codec: C, handler: F) -> HandlerFuture
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        F: FnOnce(Request<RecvStream<Req>>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<Res>, Status>> + Send,
    {
        Box::pin(async move {
            let max_send = self.limits.max_send;
            let context = self.context.clone();
            let response = handler(self.requests::<C, Req>()).await;
            reply::<C, Res>(&context, response, max_send);
        })
    }

    /// Handles a call with any number of messages each way.
    pub fn bidi_streaming<C, Req, Res, F, Fut>(self, _codec: C, handler: F) -> HandlerFuture
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        F: FnOnce(Request<RecvStream<Req>>, SendStream<Res>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Status>> + Send,
    {
        Box::pin(async move {
            let responses = self.responses::<C, Res>();
            let context = self.context.clone();
            let outcome = handler(self.requests::<C, Req>(), responses).await;
            context.finish(outcome);
        })
    }

    async fn only_request<C: Codec<Req>, Req>(self) -> Result<Request<Req>, Status> {
        let max = self.limits.max_receive;
        let message = match self.context.take_whole(&|data| is_one_message(data, max)) {
            Some(framed) => decode_whole::<C, Req>(framed)?,
            None => self.receive::<C, Req>().recv_only("request").await?,
        };
        Ok(self.request(message))
    }

    fn requests<C: Codec<Req>, Req>(self) -> Request<RecvStream<Req>> {
        let messages = self.receive::<C, Req>();
        self.request(messages)
    }

    fn receive<C: Codec<Req>, Req>(&self) -> RecvStream<Req> {
        RecvStream::new::<C>(Arc::new(self.context.clone()), self.limits.max_receive)
    }

    fn request<T>(self, message: T) -> Request<T> {
        Request::incoming(message, self.context.request_metadata(), self.context)
    }

    fn responses<C: Codec<Res>, Res>(&self) -> SendStream<Res> {
        SendStream::new::<C>(Arc::new(self.context.clone()), self.limits.max_send)
    }
}

/// Ends a call that has one response.
fn reply<C: Codec<Res>, Res>(
    context: &CallContext,
    response: Result<Response<Res>, Status>,
    max_send: usize,
) {
    let framed = response.and_then(|response| {
        let (message, metadata, trailer) = response.into_parts();
        Ok((frame::<C, Res>(&message, max_send)?, metadata, trailer))
    });
    match framed {
        Ok((message, metadata, trailer)) => context.reply(metadata, message, trailer),
        Err(status) => context.finish(Err(status)),
    }
}
