//! The trait by which stubs make calls.
//!
//! Implemented by `ClientConn`, by wrappers of it and by users' mocks; called by the call builders,
//! on the caller's task.

use std::future::Future;
use std::pin::Pin;

use super::{CallOptions, MethodName, RecvStream, Response, SendStream};
use crate::codec::Codec;
use crate::status::Status;

/// A maker of calls: a channel, or a wrapper of one.
///
/// Stubs are generic over it. [`ClientConn`](crate::ClientConn) makes real calls; an implementation
/// of your own can add to the options and pass the call on (an interceptor), or respond by itself
/// (a mock).
///
/// Called by the task that awaits the call. Dropping a returned future cancels the call.
///
/// # Mocks
///
/// For tests of code that makes calls. A mock tells methods apart by their name and messages by
/// [`Any`](std::any::Any); [`test_streams`](crate::test_streams) makes the halves of a call with
/// streams. To test against the real server code instead, serve a [`pipe`](crate::io::pipe).
///
/// ```
/// use std::any::Any;
///
/// use rgrpc::{
///     CallOptions, Codec, Invoke, Metadata, MethodName, RecvStream, Response, SendStream, Status,
///     test_streams,
/// };
/// # #[derive(Clone, PartialEq, prost::Message)]
/// # pub struct HelloReply { #[prost(string, tag = "1")] pub message: String }
///
/// struct Mock;
///
/// impl Invoke for Mock {
///     async fn invoke<C, Req, Res>(
///         &self,
///         _: C,
///         method: MethodName,
///         _: Req,
///         _: CallOptions,
///     ) -> Result<Response<Res>, Status>
///     where
///         C: Codec<Req> + Codec<Res>,
///         Req: Send + Sync + 'static,
///         Res: Send + 'static,
///     {
///         let reply: Box<dyn Any> = match &*method {
///             "/helloworld.Greeter/SayHello" => Box::new(HelloReply { message: "Hello!".into() }),
///             _ => return Err(Status::unimplemented("not mocked")),
///         };
///         match reply.downcast::<Res>() {
///             Ok(reply) => Ok(Response::new(*reply)),
///             Err(_) => Err(Status::internal("the mock answers with another type")),
///         }
///     }
///
///     async fn new_stream<C, Req, Res>(
///         &self,
///         codec: C,
///         _: MethodName,
///         _: CallOptions,
///     ) -> Result<(SendStream<Req>, RecvStream<Res>), Status>
///     where
///         C: Codec<Req> + Codec<Res>,
///         Req: Send + 'static,
///         Res: Send + 'static,
///     {
///         let (requests, responses, mock) = test_streams::<C, Req, Res>(codec);
///         // Or keep it, and send from a task.
///         mock.finish(Ok(Metadata::new()));
///         Ok((requests, responses))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Status> {
/// // As a generated client does: GreeterClient::new(Mock).say_hello(…).
/// let mock = Mock;
/// # let request = rgrpc::Request::new(HelloReply::default());
/// let method = "/helloworld.Greeter/SayHello";
/// let call = rgrpc::UnaryCall::new(&mock, rgrpc::ProtoCodec, method, request);
/// let reply: Response<HelloReply> = call.await?;
/// assert_eq!(reply.message().message, "Hello!");
/// # Ok(()) }
/// ```
///
/// Source: grpc-go `ClientConnInterface`.
pub trait Invoke: Send + Sync {
    /// Makes a unary call.
    ///
    /// # Errors
    /// The status that the call ended with.
    fn invoke<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        message: Req,
        options: CallOptions,
    ) -> impl Future<Output = Result<Response<Res>, Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static;

    /// Starts [`invoke`](Self::invoke) in a box. Not for implementations of your own.
    #[doc(hidden)]
    fn start_invoke<'a, C, Req, Res>(
        &'a self,
        codec: C,
        method: MethodName,
        message: Req,
        options: CallOptions,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Res>, Status>> + Send + 'a>>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        Box::pin(self.invoke(codec, method, message, options))
    }

    /// Opens a streaming call. The halves are ready when the request is on its way, before the
    /// server responds.
    ///
    /// # Errors
    /// The status of a call that could not begin.
    fn new_stream<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        options: CallOptions,
    ) -> impl Future<Output = Result<(SendStream<Req>, RecvStream<Res>), Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static;
}

impl<I: Invoke> Invoke for &I {
    fn invoke<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        message: Req,
        options: CallOptions,
    ) -> impl Future<Output = Result<Response<Res>, Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        (**self).invoke(codec, method, message, options)
    }

    fn start_invoke<'a, C, Req, Res>(
        &'a self,
        codec: C,
        method: MethodName,
        message: Req,
        options: CallOptions,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Res>, Status>> + Send + 'a>>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        (**self).start_invoke(codec, method, message, options)
    }

    fn new_stream<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        options: CallOptions,
    ) -> impl Future<Output = Result<(SendStream<Req>, RecvStream<Res>), Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        (**self).new_stream(codec, method, options)
    }
}
