use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{IncomingCall, ServerReply};
use crate::server::HandlerFuture;
use crate::status::Status;

/// The rest of a chain: the interceptors after this one, and the handler.
#[derive(Debug)]
pub struct ServerNext {
    /// The position in the chain from which it goes on.
    pub(super) position: usize,
}

impl ServerNext {
    /// Runs the rest of the chain for a call, and returns how the handler, or an interceptor in front of
    /// it, has answered.
    ///
    /// May be called again, with a clone of the call, as long as nothing of the response has been sent:
    /// neither its headers nor a message of a stream. Otherwise what a second run sends follows what was
    /// sent before. Of several runs the first to receive the request has it; see
    /// [`IncomingCall::request_message`].
    ///
    /// Dropping the future drops the handler.
    ///
    /// # Errors
    /// The status that the call is to end with.
    pub fn run(
        &self,
        call: IncomingCall,
    ) -> impl Future<Output = Result<ServerReply, Status>> + Send + use<> {
        Run(call.proceed(self.position))
    }
}

/// The rest of a chain that runs.
pub(super) struct Run(pub(super) HandlerFuture);

impl Future for Run {
    type Output = Result<ServerReply, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(ServerReply::of_handler)
    }
}
