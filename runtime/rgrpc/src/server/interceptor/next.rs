//! The rest of a chain, which an interceptor runs.
//!
//! Created by the chain for each interceptor, in the call's future.

use std::future::Future;

use super::IncomingCall;
use crate::server::ServerReply;
use crate::status::Status;

/// The rest of a chain: the interceptors after this one, and the handler.
#[derive(Debug)]
pub struct ServerNext {
    /// The position of the next interceptor in the chain.
    pub(super) position: usize,
}

impl ServerNext {
    /// Runs the rest of the chain for a call, and returns the reply of the handler or of an
    /// interceptor in front of it.
    ///
    /// May be called again, with a clone of the call, as long as nothing of the response has been
    /// sent: neither its headers nor a message of a stream. Otherwise the messages of a second run
    /// follow those of the first. Of several runs the first to receive the request has it; see
    /// [`IncomingCall::request_message`].
    ///
    /// Dropping the future drops the handler.
    ///
    /// # Errors
    /// The status that the call ends with.
    pub fn run(
        &self,
        call: IncomingCall,
    ) -> impl Future<Output = Result<ServerReply, Status>> + Send + use<> {
        call.proceed(self.position)
    }
}
