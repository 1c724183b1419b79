//! The chain of a server's interceptors, and the rest of it for each of them.
//!
//! Registered before the server serves; run in the future of each call, on the task of its handler.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::incoming_call::service_of;
use super::{IncomingCall, ServerInterceptor};
use crate::server::{HandlerFuture, ServerReply};
use crate::status::Status;

/// The interceptors of a server, in the order of registration.
#[derive(Clone, Default)]
pub(in crate::server) struct Interceptors(Arc<Vec<Entry>>);

#[derive(Clone)]
struct Entry {
    /// The full name of the service whose calls it runs for; `None`: all calls.
    service: Option<Arc<str>>,
    interceptor: Arc<dyn DynInterceptor>,
}

/// A [`ServerInterceptor`] of any type.
trait DynInterceptor: Send + Sync {
    /// Starts it for a call.
    fn start(&self, call: IncomingCall, next: ServerNext) -> HandlerFuture;
}

/// A shared interceptor, which the futures of its calls hold.
struct Shared<I>(Arc<I>);

impl<I: ServerInterceptor> DynInterceptor for Shared<I> {
    fn start(&self, call: IncomingCall, next: ServerNext) -> HandlerFuture {
        self.0.start(call, next)
    }
}

impl Interceptors {
    pub(in crate::server) fn push(
        &mut self,
        service: Option<&str>,
        interceptor: impl ServerInterceptor,
    ) {
        Arc::make_mut(&mut self.0).push(Entry {
            service: service.map(Arc::from),
            interceptor: Arc::new(Shared(Arc::new(interceptor))),
        });
    }

    pub(in crate::server) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Starts the chain from this position on.
    pub(in crate::server) fn start(&self, position: usize, call: IncomingCall) -> HandlerFuture {
        let Some((interceptor, position)) = self.next(position, call.method()) else {
            return call.reach_handler();
        };
        let rest = (position < self.0.len()).then(|| self.clone());
        interceptor.start(call, ServerNext { rest, position })
    }

    /// The first interceptor from `position` on that runs for calls of this path, and the position
    /// after it.
    fn next(&self, position: usize, path: &str) -> Option<(&dyn DynInterceptor, usize)> {
        let rest = self.0.iter().enumerate().skip(position);
        for (index, entry) in rest {
            let runs = match &entry.service {
                None => true,
                Some(service) => service_of(path) == Some(service),
            };
            if runs {
                return Some((&*entry.interceptor, index + 1));
            }
        }
        None
    }
}

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.0.iter().map(|entry| &entry.service);
        f.debug_list().entries(services).finish()
    }
}

/// The rest of a chain: the interceptors after this one, and the handler.
#[derive(Debug)]
pub struct ServerNext {
    /// The interceptors of the chain, if there are any after this one.
    rest: Option<Interceptors>,
    /// The position in them from which the chain goes on.
    position: usize,
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
        match &self.rest {
            Some(interceptors) => interceptors.start(self.position, call),
            None => call.reach_handler(),
        }
    }
}
