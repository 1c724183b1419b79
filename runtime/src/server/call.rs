use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::Handler;
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
    pub fn unary<T, C, Req, Res, H>(self, _codec: C, service: Arc<T>, handler: H) -> HandlerFuture
    where
        T: Send + Sync + 'static,
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
        H: 'static
            + for<'a> Handler<'a, T, (Request<Req>,), Output = Result<Response<Res>, Status>>,
    {
        Box::pin(async move {
            let response = match self.only_request::<C, Req>().await {
                Ok(request) => handler.call(&service, (request,)).await,
                Err(status) => Err(status),
            };
            self.reply::<C, Res>(response);
        })
    }

    /// Handles a call with one message there and any number back.
    pub fn server_streaming<T, C, Req, Res, H>(
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
            + for<'a> Handler<'a, T, (Request<Req>, SendStream<Res>), Output = Result<(), Status>>,
    {
        Box::pin(async move {
            let outcome = match self.only_request::<C, Req>().await {
                Ok(request) => {
                    let responses = self.responses::<C, Res>();
                    handler.call(&service, (request, responses)).await
                }
                Err(status) => Err(status),
            };
            self.context.finish(outcome);
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
            let requests = self.requests::<C, Req>();
            let response = handler.call(&service, (requests,)).await;
            self.reply::<C, Res>(response);
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
            let (requests, responses) = (self.requests::<C, Req>(), self.responses::<C, Res>());
            let outcome = handler.call(&service, (requests, responses)).await;
            self.context.finish(outcome);
        })
    }

    async fn only_request<C: Codec<Req>, Req>(&self) -> Result<Request<Req>, Status>
    where
        Req: Send + 'static,
    {
        let max = self.limits.max_receive;
        let message = match self.context.take_whole(&|data| is_one_message(data, max)) {
            Some(framed) => decode_whole(C::decode, framed)?,
            None => {
                let mut messages = self.receive::<C, Req>();
                // Boxed, so that calls whose request is here do not carry the room for it.
                Box::pin(async move { messages.recv_only("request").await }).await?
            }
        };
        Ok(self.request(message))
    }

    fn requests<C: Codec<Req>, Req>(&self) -> Request<RecvStream<Req>> {
        self.request(self.receive::<C, Req>())
    }

    fn receive<C: Codec<Req>, Req>(&self) -> RecvStream<Req> {
        RecvStream::new::<C>(Arc::new(self.context.clone()), self.limits.max_receive)
    }

    fn request<M>(&self, message: M) -> Request<M> {
        Request::incoming(
            message,
            self.context.head().metadata.clone(),
            self.context.clone(),
        )
    }

    fn responses<C: Codec<Res>, Res>(&self) -> SendStream<Res> {
        SendStream::new::<C>(Arc::new(self.context.clone()), self.limits.max_send)
    }

    /// Ends a call that has one response.
    fn reply<C: Codec<Res>, Res>(&self, response: Result<Response<Res>, Status>) {
        let framed = response.and_then(|response| {
            let (message, metadata, trailer) = response.into_parts();
            Ok((
                frame::<C, Res>(&message, self.limits.max_send)?,
                metadata,
                trailer,
            ))
        });
        match framed {
            Ok((message, metadata, trailer)) => self.context.reply(metadata, message, trailer),
            Err(status) => self.context.finish(Err(status)),
        }
    }
}
