use std::future::Future;

use super::chain::start_at;
use super::{ClientReply, InterceptorList, OutgoingCall};
use crate::status::Status;

/// The rest of a chain: the interceptors after this one, and the call itself.
#[derive(Debug)]
pub struct ClientNext {
    /// The interceptors of the chain, if there are any after this one.
    pub(super) rest: Option<InterceptorList>,
    /// The position in them from which the chain goes on.
    pub(super) position: usize,
}

impl ClientNext {
    /// Runs the rest of the chain for a call, and returns how the server, or an interceptor on the
    /// way, has answered.
    ///
    /// A unary call is over then. Another call has its halves then, and nothing was sent or received
    /// on them.
    ///
    /// May be called again, with a clone of the call, also while another run is under way: each run
    /// is a call of its own for servers, retries and stats handlers. The last reply is the caller's.
    ///
    /// Not cancel-safe: dropping the future before it is ready cancels the run, and the server is told
    /// so. Another run makes the call again.
    ///
    /// # Errors
    /// The status that the run ended with.
    pub fn run(
        &self,
        call: OutgoingCall,
    ) -> impl Future<Output = Result<ClientReply, Status>> + Send + use<> {
        match &self.rest {
            Some(interceptors) => start_at(call, interceptors, self.position),
            None => call.start(),
        }
    }
}
