//! The interceptors of one stub, as an [`Invoke`] around another.
//!
//! It passes its interceptors on in the options; the channel runs them before its own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{ClientInterceptor, InterceptorList, erased};
use crate::call::{CallOptions, Invoke, MethodName, RecvStream, Response, SendStream};
use crate::codec::Codec;
use crate::status::Status;

/// A maker of calls with interceptors of its own: those of one stub.
///
/// They are outside of those of the channel. A mock below, which responds by itself, runs no
/// interceptors.
///
/// ```
/// # use rgrpc::{ClientConn, ClientNext, ClientReply, OutgoingCall, Status, credentials};
/// async fn pass(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
///     next.run(call).await
/// }
///
/// let conn = ClientConn::new("localhost:50051", credentials::insecure())?;
/// // As for any channel: GreeterClient::new(conn.intercepted(pass)).
/// let stub_conn = conn.intercepted(pass).intercepted(pass);
/// # let _: rgrpc::Intercepted<ClientConn> = stub_conn;
/// # Ok::<(), rgrpc::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Intercepted<I> {
    invoke: I,
    interceptors: InterceptorList,
}

impl<I: Invoke> Intercepted<I> {
    /// Wraps `invoke`: calls through the wrapper run this interceptor.
    pub fn new(invoke: I, interceptor: impl ClientInterceptor) -> Self {
        Self {
            invoke,
            interceptors: Arc::new([erased(interceptor)]),
        }
    }

    /// Adds an interceptor, inside of the earlier ones.
    #[must_use]
    pub fn intercepted(self, interceptor: impl ClientInterceptor) -> Self {
        let added = [erased(interceptor)];
        Self {
            invoke: self.invoke,
            interceptors: self.interceptors.iter().cloned().chain(added).collect(),
        }
    }
}

impl<I: Invoke> Invoke for Intercepted<I> {
    fn invoke<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        message: Req,
        mut options: CallOptions,
    ) -> impl Future<Output = Result<Response<Res>, Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        options.intercept(&self.interceptors);
        self.invoke.invoke(codec, method, message, options)
    }

    fn start_invoke<'a, C, Req, Res>(
        &'a self,
        codec: C,
        method: MethodName,
        message: Req,
        mut options: CallOptions,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Res>, Status>> + Send + 'a>>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        options.intercept(&self.interceptors);
        self.invoke.start_invoke(codec, method, message, options)
    }

    fn new_stream<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        mut options: CallOptions,
    ) -> impl Future<Output = Result<(SendStream<Req>, RecvStream<Res>), Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        options.intercept(&self.interceptors);
        self.invoke.new_stream(codec, method, options)
    }
}

impl<I: fmt::Debug> fmt::Debug for Intercepted<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercepted")
            .field("invoke", &self.invoke)
            .field("interceptors", &self.interceptors.len())
            .finish()
    }
}
