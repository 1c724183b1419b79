use std::future::Future;

use super::IncomingCall;
use crate::server::ServerReply;
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
    /// Not cancel-safe: dropping the future before it is ready drops the handler, which may have received
    /// the request. The call goes on; the interceptor answers it.
    ///
    /// # Errors
    /// The status that the call is to end with.
    pub fn run(
        &self,
        call: IncomingCall,
    ) -> impl Future<Output = Result<ServerReply, Status>> + Send + use<> {
        call.proceed(self.position)
    }
}
