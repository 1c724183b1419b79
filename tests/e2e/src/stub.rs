//! The stub service: what each method does, the test says with a closure.
//!
//! Source: grpc-go `internal/stubserver`.

use std::fmt;
use std::pin::Pin;

use rgrpc::{RecvStream, Request, Response, SendStream, Status};

use crate::{HangWatch, Message, hang, msg, proto};

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;
type UnaryFn = dyn Fn(Request<Message>) -> BoxFuture<Response<Message>> + Send + Sync;
type ServerStreamingFn =
    dyn Fn(Request<Message>, SendStream<Message>) -> BoxFuture<()> + Send + Sync;
type ClientStreamingFn =
    dyn Fn(Request<RecvStream<Message>>) -> BoxFuture<Response<Message>> + Send + Sync;
type BidiStreamingFn =
    dyn Fn(Request<RecvStream<Message>>, SendStream<Message>) -> BoxFuture<()> + Send + Sync;

/// The service. A method that is not set fails with UNIMPLEMENTED.
#[derive(Default)]
pub struct StubService {
    unary: Option<Box<UnaryFn>>,
    server_streaming: Option<Box<ServerStreamingFn>>,
    client_streaming: Option<Box<ClientStreamingFn>>,
    bidi_streaming: Option<Box<BidiStreamingFn>>,
}

impl StubService {
    /// A service without methods.
    pub fn new() -> Self {
        Self::default()
    }

    /// A service that sends back what it receives: one message of all where there is one, and a
    /// message for each byte when one becomes many.
    pub fn echo() -> Self {
        Self::new()
            .unary(async |request| Ok(Response::new(request.into_message())))
            .server_streaming(async |request, mut responses| {
                for byte in request.into_message().body {
                    responses.send(msg([byte])).await?;
                }
                Ok(())
            })
            .client_streaming(async |requests| {
                let mut requests = requests.into_message();
                let mut all = Message::default();
                while let Some(message) = requests.recv().await? {
                    all.body.extend(message.body);
                }
                Ok(Response::new(all))
            })
            .bidi_streaming(async |requests, mut responses| {
                let mut requests = requests.into_message();
                while let Some(message) = requests.recv().await? {
                    responses.send(message).await?;
                }
                Ok(())
            })
    }

    /// A service whose methods never return, and the watch of its handlers.
    pub fn hanging() -> (Self, HangWatch) {
        let (hang, watch) = hang();
        let (unary, server, client, bidi) = (hang.clone(), hang.clone(), hang.clone(), hang);
        let service = Self::new()
            .unary(move |_| {
                let hang = unary.clone();
                async move { match hang.forever().await {} }
            })
            .server_streaming(move |_, _| {
                let hang = server.clone();
                async move { match hang.forever().await {} }
            })
            .client_streaming(move |_| {
                let hang = client.clone();
                async move { match hang.forever().await {} }
            })
            .bidi_streaming(move |_, _| {
                let hang = bidi.clone();
                async move { match hang.forever().await {} }
            });
        (service, watch)
    }

    /// Sets what `Unary` does.
    pub fn unary<F, Fut>(mut self, method: F) -> Self
    where
        F: Fn(Request<Message>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Message>, Status>> + Send + 'static,
    {
        self.unary = Some(Box::new(move |request| Box::pin(method(request))));
        self
    }

    /// Sets what `ServerStreaming` does.
    pub fn server_streaming<F, Fut>(mut self, method: F) -> Self
    where
        F: Fn(Request<Message>, SendStream<Message>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Status>> + Send + 'static,
    {
        self.server_streaming = Some(Box::new(move |request, responses| {
            Box::pin(method(request, responses))
        }));
        self
    }

    /// Sets what `ClientStreaming` does.
    pub fn client_streaming<F, Fut>(mut self, method: F) -> Self
    where
        F: Fn(Request<RecvStream<Message>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Message>, Status>> + Send + 'static,
    {
        self.client_streaming = Some(Box::new(move |requests| Box::pin(method(requests))));
        self
    }

    /// Sets what `BidiStreaming` does.
    pub fn bidi_streaming<F, Fut>(mut self, method: F) -> Self
    where
        F: Fn(Request<RecvStream<Message>>, SendStream<Message>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Status>> + Send + 'static,
    {
        self.bidi_streaming = Some(Box::new(move |requests, responses| {
            Box::pin(method(requests, responses))
        }));
        self
    }
}

fn not_set<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the test did not set this method"))
}

impl proto::Stub for StubService {
    async fn unary(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        match &self.unary {
            Some(method) => method(request).await,
            None => not_set(),
        }
    }

    async fn server_streaming(
        &self,
        request: Request<Message>,
        responses: SendStream<Message>,
    ) -> Result<(), Status> {
        match &self.server_streaming {
            Some(method) => method(request, responses).await,
            None => not_set(),
        }
    }

    async fn client_streaming(
        &self,
        requests: Request<RecvStream<Message>>,
    ) -> Result<Response<Message>, Status> {
        match &self.client_streaming {
            Some(method) => method(requests).await,
            None => not_set(),
        }
    }

    async fn bidi_streaming(
        &self,
        requests: Request<RecvStream<Message>>,
        responses: SendStream<Message>,
    ) -> Result<(), Status> {
        match &self.bidi_streaming {
            Some(method) => method(requests, responses).await,
            None => not_set(),
        }
    }
}

impl fmt::Debug for StubService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubService")
            .field("unary", &self.unary.is_some())
            .field("server_streaming", &self.server_streaming.is_some())
            .field("client_streaming", &self.client_streaming.is_some())
            .field("bidi_streaming", &self.bidi_streaming.is_some())
            .finish()
    }
}
