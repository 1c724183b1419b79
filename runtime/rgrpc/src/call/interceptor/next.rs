//! The rest of a chain, which an interceptor runs.
//!
//! Created by the chain for each interceptor, in the caller's future.

use std::future::Future;

use super::chain::start_at;
use super::{ClientReply, InterceptorList, OutgoingCall};
use crate::status::Status;

/// The rest of a chain: the interceptors after this one, and the call itself.
#[derive(Debug)]
pub struct ClientNext {
    /// The interceptors of the chain, if there are any after this one.
    pub(super) rest: Option<InterceptorList>,
    /// The position of the next interceptor in them.
    pub(super) position: usize,
}

impl ClientNext {
    /// Runs the rest of the chain for a call, and returns the reply of the server or of an
    /// interceptor on the way.
    ///
    /// A unary call has then ended. Any other call then has its halves, and nothing was sent or
    /// received on them.
    ///
    /// May be called again, with a clone of the call, also while another run is under way: each run
    /// is a call of its own for servers, retries and stats handlers. The last reply is the
    /// caller's.
    ///
    /// Dropping the future cancels the run.
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
