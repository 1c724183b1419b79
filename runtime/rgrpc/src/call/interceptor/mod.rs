//! The interceptors of a client: a chain of futures around each call.
//!
//! The channel starts the chain (`chain`) when a call begins, outside of its attempts. An
//! interceptor gets an [`OutgoingCall`] and the rest of the chain, [`ClientNext`], and returns a
//! [`ClientReply`]. [`Intercepted`] has the interceptors of one stub, and `reported_source` reports
//! the end of a stream to the chain's hooks. Everything runs within the call's future, on the
//! caller's task.

mod chain;
mod chain_end;
mod chained;
mod end_guard;
mod intercepted;
mod outgoing_call;
mod reply;
mod reported_source;
mod typed_call;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use chain::ClientNext;
pub(crate) use chain::{ErasedClientInterceptor, InterceptorList, erased};
pub(crate) use chain_end::ChainEnd;
pub(crate) use chained::{run_streaming, run_unary};
pub use intercepted::Intercepted;
pub use outgoing_call::OutgoingCall;
pub use reply::ClientReply;
pub(crate) use typed_call::{CallHead, CallMessages, TypedCall};

use crate::status::Status;

/// The future of a call in a chain.
pub(crate) type ReplyFuture = Pin<Box<dyn Future<Output = Result<ClientReply, Status>> + Send>>;

/// Runs around the calls of a client: credentials, logging, limits, caches.
///
/// [`ClientConnBuilder::interceptor`](crate::ClientConnBuilder::interceptor) registers it for all
/// calls of a channel, and [`ClientConn::intercepted`](crate::ClientConn::intercepted) for those of
/// one stub. The first one registered is the outermost; those of a stub are outside of those of its
/// channel. An interceptor runs once for a call, outside of its attempts: retries, hedges, per-RPC
/// credentials and stats handlers are behind [`ClientNext::run`]. A panic ends the call with
/// INTERNAL.
///
/// Implemented for functions: an `async fn(OutgoingCall, ClientNext) -> Result<ClientReply,
/// Status>`, or a closure.
///
/// ```
/// use rgrpc::{ClientConn, ClientNext, ClientReply, OutgoingCall, Status, credentials};
///
/// async fn attach_token(mut call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
///     call.options_mut().append_metadata("authorization", "Bearer secret");
///     next.run(call).await
/// }
///
/// let conn = ClientConn::builder("localhost:50051", credentials::insecure())
///     .interceptor(attach_token)
///     .interceptor(|call: OutgoingCall, next: ClientNext| async move {
///         let method = call.method().to_owned();
///         let reply = next.run(call).await;
///         println!("{method}: {:?}", reply.as_ref().err());
///         reply
///     })
///     .build()?;
/// # Ok::<(), rgrpc::BuildError>(())
/// ```
///
/// # Tasks and cancellation
///
/// The future is polled and dropped with the call's: when the caller drops that, the code after
/// `run` does not run. The deadline and the cancel handle of a call end the run, and not the
/// interceptor. The chain of a streaming call is over when its halves are ready, before the server
/// responds. [`OutgoingCall::on_end`] sees every end. A panic is the caller's, as in any future.
///
/// Source: grpc-go `UnaryClientInterceptor`, `StreamClientInterceptor`; connect-go `Interceptor`.
pub trait ClientInterceptor: Send + Sync + 'static {
    /// Makes a call: answers it, or runs the rest of the chain.
    ///
    /// Called for each call, on the task that polls the call's future, which polls this one too. If the
    /// caller drops the call before it is ready, this future is dropped at its await point, and with it
    /// the runs that it waits for, which are cancelled; it need not be cancel-safe.
    ///
    /// # Errors
    /// The status that the caller gets, of the interceptor or of [`ClientNext::run`].
    fn intercept(
        &self,
        call: OutgoingCall,
        next: ClientNext,
    ) -> impl Future<Output = Result<ClientReply, Status>> + Send;

    /// Starts [`intercept`](Self::intercept) in a box. Not for implementations of your own.
    #[doc(hidden)]
    fn start(
        self: &Arc<Self>,
        call: OutgoingCall,
        next: ClientNext,
    ) -> Pin<Box<dyn Future<Output = Result<ClientReply, Status>> + Send>>
    where
        Self: Sized,
    {
        let this = Arc::clone(self);
        Box::pin(async move { this.intercept(call, next).await })
    }
}

impl<F, Fut> ClientInterceptor for F
where
    F: Fn(OutgoingCall, ClientNext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<ClientReply, Status>> + Send + 'static,
{
    fn intercept(
        &self,
        call: OutgoingCall,
        next: ClientNext,
    ) -> impl Future<Output = Result<ClientReply, Status>> + Send {
        self(call, next)
    }

    /// The future of a function borrows nothing, so that there is no reference to keep.
    fn start(self: &Arc<Self>, call: OutgoingCall, next: ClientNext) -> ReplyFuture {
        Box::pin(self(call, next))
    }
}
