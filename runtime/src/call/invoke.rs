use std::borrow::Cow;
use std::future::Future;

use super::{CallOptions, RecvStream, Response, SendStream};
use crate::codec::Codec;
use crate::status::Status;

/// What makes calls: a channel, or something in front of one.
///
/// Stubs are generic over it. [`ClientConn`](crate::ClientConn) makes real calls; an implementation
/// of your own can add to the options and pass the call on (an interceptor), or answer by itself
/// (a mock, which can tell messages apart by [`std::any::Any`]).
///
/// Called by the task that awaits the call. Dropping a returned future cancels the call.
///
/// Source: grpc-go `ClientConnInterface`.
pub trait Invoke: Send + Sync {
    /// Makes a call with one message each way.
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

    /// Opens a call with any number of messages each way. The halves are ready when the request
    /// is on its way, before the server has answered.
    ///
    /// # Errors
    /// The call could not be begun.
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

/// A method's full name: `/package.Service/Method`.
///
/// Stubs make it of a constant, which costs nothing; a name that is put together at run time works
/// as well.
pub type MethodName = Cow<'static, str>;
