use std::fmt;
use std::sync::Arc;

use super::{IncomingCall, ServerInterceptor, ServerNext};
use crate::server::{Handled, HandlerFuture};

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
    /// Starts it for a call.
    fn start(self: Arc<Self>, call: IncomingCall, next: ServerNext) -> HandlerFuture;
}

impl<I: ServerInterceptor> DynInterceptor for I {
    fn start(self: Arc<Self>, call: IncomingCall, next: ServerNext) -> HandlerFuture {
        let max_send = call.max_send();
        Box::pin(async move {
            let reply = self.intercept(call, next).await;
            Handled::of_interceptor(reply, max_send)
        })
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
            interceptor: Arc::new(interceptor),
        });
    }

    pub(in crate::server) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first interceptor from `position` on that runs for calls of this path, and the position
    /// after it.
    pub(super) fn next(
        &self,
        position: usize,
        path: &str,
    ) -> Option<(Arc<dyn DynInterceptor>, usize)> {
        for (index, entry) in self.0.iter().enumerate().skip(position) {
            let runs = match &entry.service {
                None => true,
                Some(service) => service_of(path) == Some(service),
            };
            if runs {
                return Some((Arc::clone(&entry.interceptor), index + 1));
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
