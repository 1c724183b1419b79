//! The chain of a client's interceptors, and the rest of it for each of them.
//!
//! Made with the channel, the stub or the selection; run in the future of each call, on its caller's task.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::{ClientInterceptor, ClientReply, OutgoingCall, ReplyFuture};
use crate::call::CallOptions;
use crate::status::Status;

/// The interceptors of a channel, a stub or a service config, in the order in which they run.
pub(crate) type InterceptorList = Arc<[Arc<dyn ErasedClientInterceptor>]>;

/// A [`ClientInterceptor`] of any type, for lists.
pub(crate) trait ErasedClientInterceptor: Send + Sync {
    /// Starts the interceptor for a call.
    fn start(&self, call: OutgoingCall, next: ClientNext) -> ReplyFuture;
}

/// A shared interceptor, which the futures of its calls hold.
struct Shared<I>(Arc<I>);

impl<I: ClientInterceptor> ErasedClientInterceptor for Shared<I> {
    fn start(&self, call: OutgoingCall, next: ClientNext) -> ReplyFuture {
        self.0.start(call, next)
    }
}

impl fmt::Debug for dyn ErasedClientInterceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientInterceptor")
    }
}

/// Erases the type of an interceptor.
pub(crate) fn erased(interceptor: impl ClientInterceptor) -> Arc<dyn ErasedClientInterceptor> {
    Arc::new(Shared(Arc::new(interceptor)))
}

/// Starts the interceptor at this position of a list; behind the last one, the call itself.
pub(super) fn start_at(
    call: OutgoingCall,
    interceptors: &InterceptorList,
    position: usize,
) -> ReplyFuture {
    let Some(interceptor) = interceptors.get(position) else {
        return call.start();
    };
    let position = position + 1;
    let rest = (position < interceptors.len()).then(|| Arc::clone(interceptors));
    interceptor.start(call, ClientNext { rest, position })
}

/// The rest of a chain: the interceptors after this one, and the call itself.
#[derive(Debug)]
pub struct ClientNext {
    /// The interceptors of the chain, if there are any after this one.
    rest: Option<InterceptorList>,
    /// The position in them from which the chain goes on.
    position: usize,
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

/// The interceptors of a stub, which the options of its calls carry to the channel.
#[derive(Clone)]
struct StubInterceptors(InterceptorList);

impl CallOptions {
    /// Adds interceptors, inside of those that are there.
    pub(crate) fn intercept(&mut self, added: &InterceptorList) {
        let interceptors = match self.take_interceptors() {
            None => Arc::clone(added),
            Some(outer) => outer.iter().chain(&**added).cloned().collect(),
        };
        self.carried_mut().insert(StubInterceptors(interceptors));
    }

    /// Takes the interceptors of the stub.
    pub(crate) fn take_interceptors(&mut self) -> Option<InterceptorList> {
        let StubInterceptors(interceptors) = self.take_carried()?;
        Some(interceptors)
    }

    /// Returns whether the stub has interceptors.
    pub(crate) fn has_interceptors(&self) -> bool {
        self.carries::<StubInterceptors>()
    }
}
