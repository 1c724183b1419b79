//! The interceptors of a server, with the services that they are for.
//!
//! Filled by the setters of `Server`; read by dispatch for each call, without a lock.

use std::fmt;
use std::sync::Arc;

use super::{IncomingCall, ServerInterceptor, ServerNext};
use crate::server::HandlerFuture;

/// The interceptors of a server, in the order of registration.
#[derive(Clone, Default)]
pub(in crate::server) struct Interceptors(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    /// The full name of the service whose calls it runs for; `None`: all calls.
    service: Option<Arc<str>>,
    interceptor: Arc<dyn DynInterceptor>,
}

/// A [`ServerInterceptor`] of any type.
pub(super) trait DynInterceptor: Send + Sync {
    /// Starts the interceptor for a call.
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
        self.0.push(Entry {
            service: service.map(Arc::from),
            interceptor: Arc::new(Shared(Arc::new(interceptor))),
        });
    }

    pub(in crate::server) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first interceptor from `position` on that runs for calls of this path, and the position
    /// after it.
    pub(super) fn next(&self, position: usize, path: &str) -> Option<(&dyn DynInterceptor, usize)> {
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

/// The service's full name in a path `/service/method`.
pub(super) fn service_of(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.rsplit_once('/')?;
    Some(service)
}

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.0.iter().map(|entry| &entry.service);
        f.debug_list().entries(services).finish()
    }
}
