//! The interceptors of a server: a chain of futures around each call's handler.
//!
//! The dispatcher starts the `chain` when the head of a call is received. An interceptor gets an
//! [`IncomingCall`] and the rest of the chain, [`ServerNext`]. Everything runs within the call's
//! future, on the task of its handler.

mod chain;
mod incoming_call;

use std::future::Future;
use std::sync::Arc;

pub(super) use chain::Interceptors;
pub use chain::ServerNext;
pub use incoming_call::IncomingCall;

use super::{HandlerFuture, ServerReply};
use crate::status::Status;

/// Runs around the handlers of a server's calls: authorization, logging, limits, caches.
///
/// [`Server::interceptor`](super::Server::interceptor) registers it for all calls, and
/// [`Server::service_interceptor`](super::Server::service_interceptor) for those of one service. The
/// first one registered is the outermost. An interceptor runs for every call whose head is well formed,
/// when the head has come: the body is neither awaited nor decoded before
/// [`ServerNext::run`] reaches the handler. That includes calls of unknown methods and calls that the
/// server [refuses](IncomingCall::refusal), whose status `run` returns.
///
/// Implemented for functions: an `async fn(IncomingCall, ServerNext) -> Result<ServerReply,
/// Status>`, or a closure.
///
/// ```
/// use rgrpc::{IncomingCall, Server, ServerNext, ServerReply, Status};
///
/// async fn check_token(call: IncomingCall, next: ServerNext) -> Result<ServerReply, Status> {
///     if call.metadata().get("authorization") != Some("Bearer secret") {
///         return Err(Status::unauthenticated("the token is missing or not valid"));
///     }
///     next.run(call).await
/// }
///
/// let server = Server::new()
///     .interceptor(check_token)
///     .interceptor(|call: IncomingCall, next: ServerNext| async move {
///         let method = call.method().to_owned();
///         let reply = next.run(call).await;
///         println!("{method}: {:?}", reply.as_ref().err());
///         reply
///     });
/// # drop(server);
/// ```
///
/// # Tasks and cancellation
///
/// The future is polled and dropped with the handler's: when the client, the connection or the
/// deadline ends the call, the code after `run` does not run. [`IncomingCall::on_end`] sees every
/// end. A panic fails the call with INTERNAL, as that of a handler does.
///
/// Source: grpc-go `UnaryServerInterceptor`, `StreamServerInterceptor`; connect-go `Interceptor`.
pub trait ServerInterceptor: Send + Sync + 'static {
    /// Handles a call: answers it, or runs the rest of the chain.
    ///
    /// Called for each call, on the connection's task, where the future is polled first; one that is not
    /// ready is spawned as a task of its own with its handler. If the client, the connection or the
    /// deadline ends the call before it is ready, this future is dropped at its await point, and with it
    /// the handler; it need not be cancel-safe.
    ///
    /// # Errors
    /// The status that the call ends with, of the interceptor or of [`ServerNext::run`].
    fn intercept(
        &self,
        call: IncomingCall,
        next: ServerNext,
    ) -> impl Future<Output = Result<ServerReply, Status>> + Send;

    /// Starts [`intercept`](Self::intercept) in a box. Not for implementations of your own.
    #[doc(hidden)]
    fn start(self: &Arc<Self>, call: IncomingCall, next: ServerNext) -> HandlerFuture
    where
        Self: Sized,
    {
        let this = Arc::clone(self);
        Box::pin(async move { this.intercept(call, next).await })
    }
}

impl<F, Fut> ServerInterceptor for F
where
    F: Fn(IncomingCall, ServerNext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<ServerReply, Status>> + Send + 'static,
{
    fn intercept(
        &self,
        call: IncomingCall,
        next: ServerNext,
    ) -> impl Future<Output = Result<ServerReply, Status>> + Send {
        self(call, next)
    }

    /// The future of a function borrows nothing, so that there is no reference to keep.
    fn start(self: &Arc<Self>, call: IncomingCall, next: ServerNext) -> HandlerFuture {
        Box::pin(self(call, next))
    }
}
