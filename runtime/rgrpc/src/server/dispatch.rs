//! The dispatch of calls to their handlers, and the future of a call.
//!
//! The engine dispatches each stream on the connection's task, and polls the [`Call`] there once; a
//! call that is not ready is spawned.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep_until};

use super::call::{MessageLimits, SizeLimit};
use super::interceptor::Interceptors;
use super::options::ServerOptions;
use super::panic::{PanicHook, guarded};
use super::reply::ServerReply;
use super::services::{Method, MethodId, Services};
use super::{CallHead, HandlerFuture, IncomingCall, ServeError, ServerCall};
use crate::call::CallContext;
use crate::codec::Encoding;
use crate::interceptor::CallKind;
use crate::side::Side;
use crate::stats::{CallBegin, CallEvent, CallScope, ConnectionRecorders};
use crate::status::Status;
use crate::task::caught;
use crate::transport::{
    self, CallEnd, CancelReason, DisconnectReason, Dispatch, ServerPhase, ServerStream,
};

/// Finds the handlers of calls; one for an accept loop.
#[derive(Debug)]
pub(super) struct Dispatcher {
    services: Arc<Services>,
    options: ServerOptions,
    /// True if there is an interceptor, a stats handler or a head hook.
    hooked: bool,
}

impl Dispatcher {
    pub(super) fn new(services: Arc<Services>, options: ServerOptions) -> Self {
        let hooked = !options.interceptors.is_empty()
            || !options.stats.is_empty()
            || options.head_hook.is_some();
        Self {
            services,
            options,
            hooked,
        }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The value of an option is invalid.
    pub(super) fn check(&self) -> Result<(), ServeError> {
        let options = &self.options;
        if let Some(name) = &options.unsendable_compressor {
            return Err(ServeError::Compressor(name.clone()));
        }
        let transport = options.transport.transport;
        if options.has_keepalive && !transport.has_keepalive() {
            return Err(ServeError::Keepalive(transport));
        }
        Ok(())
    }

    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    pub(super) fn interceptors(&self) -> &Interceptors {
        &self.options.interceptors
    }

    pub(super) fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Starts the handling of a call.
    ///
    /// # Errors
    /// The server refuses the call.
    #[inline]
    fn begin(
        self: &Arc<Self>,
        context: &CallContext,
        content: Option<Bytes>,
    ) -> Result<HandlerFuture, Status> {
        let method = self.services.lookup(context.method());
        if self.hooked {
            return self.begin_hooked(context, method, content);
        }
        let encoding = context.negotiate_encoding()?;
        let limits = self.limits(self.options.max_receive_message_size);
        let call = ServerCall::new(context.clone(), content, encoding, limits);
        self.handler(method, call)
    }

    /// Starts the handling of a call with the stats handlers, then the head hook, then
    /// interceptors.
    fn begin_hooked(
        self: &Arc<Self>,
        context: &CallContext,
        method: Option<MethodId>,
        content: Option<Bytes>,
    ) -> Result<HandlerFuture, Status> {
        let mut max_receive = self.options.max_receive_message_size;
        let scoped = !self.options.stats.is_empty() || self.options.head_hook.is_some();
        let has_interceptors = !self.options.interceptors.is_empty();
        if scoped {
            let method = method.map(|id| self.services.method(id));
            self.begin_scope(context, method, &mut max_receive)?;
        }
        let limits = self.limits(max_receive);
        let (encoding, refusal) = match context.negotiate_encoding() {
            Ok(encoding) => (encoding, None),
            Err(status) => (Encoding::Identity, Some(status)),
        };
        let call = ServerCall::hooked(context.clone(), content, encoding, limits, has_interceptors);
        if has_interceptors {
            let call = IncomingCall::new(Arc::clone(self), method, call, refusal);
            return Ok(IncomingCall::start_chain(self, 0, call));
        }
        match refusal {
            Some(status) => Err(status),
            None => self.handler(method, call),
        }
    }

    /// Begins the call with the stats handlers, then runs the head hook.
    fn begin_scope(
        &self,
        context: &CallContext,
        method: Option<&Method>,
        max_receive: &mut usize,
    ) -> Result<(), Status> {
        let mut scope = CallScope::default();
        let CallScope {
            extensions,
            recorders,
        } = &mut scope;
        if !self.options.stats.is_empty() {
            *recorders = self.options.stats.begin_call(&mut CallBegin {
                side: Side::Server,
                method: context.method(),
                is_registered: method.is_some(),
                descriptor: method.and_then(Method::descriptor),
                kind: method.map_or(CallKind::BidiStreaming, |method| method.kind),
                metadata: context.metadata(),
                deadline: context.deadline(),
                began: context.stream().call().began(),
                peer: Some(context.peer()),
                connection: context.connection().extensions(),
                target: None,
                parent: None,
                extensions,
            });
            recorders.record(&CallEvent::InHeader(context.metadata()));
        }
        let decided = match &self.options.head_hook {
            None => Ok(()),
            Some(hook) => {
                let decide = || {
                    hook.call(&mut CallHead {
                        context,
                        method,
                        extensions,
                        max_receive,
                    })
                };
                // Caught here, so that the stats handlers record the call's end.
                caught("the head hook", decide)
                    .unwrap_or_else(|panicked| Err(Status::internal(panicked.to_string())))
            }
        };
        if !scope.is_empty() {
            context.stream().call().set_scope(scope);
        }
        decided
    }

    fn limits(&self, max_receive: usize) -> MessageLimits {
        MessageLimits {
            max_receive: SizeLimit::new(max_receive),
            max_send: SizeLimit::new(self.options.max_send_message_size),
        }
    }

    /// Starts the handler of a call.
    ///
    /// # Errors
    /// The server does not have the method.
    #[inline]
    pub(super) fn handler(
        &self,
        method: Option<MethodId>,
        call: ServerCall,
    ) -> Result<HandlerFuture, Status> {
        match method {
            Some(id) => Ok(self.services.method(id).handle(call)),
            None => self.unknown_method(call),
        }
    }

    fn unknown_method(&self, call: ServerCall) -> Result<HandlerFuture, Status> {
        match &self.options.unknown_service {
            Some(unknown) => Ok(unknown.handle(call)),
            None => Err(self.services.missing(call.request().context().method())),
        }
    }
}

/// The dispatcher of a connection's calls. Its drop reports that the connection and the last of its
/// calls have ended.
pub(super) struct ConnectionCalls {
    dispatcher: Arc<Dispatcher>,
    /// Dropped first, so that they record the end before the server stops. Boxed, because most
    /// servers have none.
    recorders: Option<Box<ConnectionRecorders>>,
    _alive: watch::Receiver<ServerPhase>,
}

impl ConnectionCalls {
    pub(super) fn new(
        dispatcher: Arc<Dispatcher>,
        recorders: Option<ConnectionRecorders>,
        alive: watch::Receiver<ServerPhase>,
    ) -> Self {
        Self {
            dispatcher,
            recorders: recorders.map(Box::new),
            _alive: alive,
        }
    }
}

impl Dispatch for ConnectionCalls {
    type Call = Call;

    fn dispatch(&self, stream: Arc<dyn ServerStream>, content: Option<Bytes>) -> Call {
        let context = CallContext::new(stream);
        let panic_hook = self.dispatcher.options.panic_hook.clone();
        let begin = || self.dispatcher.begin(&context, content);
        let handler = guarded(&context, panic_hook.as_ref(), begin)
            .unwrap_or_else(Err)
            .unwrap_or_else(|status| Box::pin(ready(Err(status))));
        Call {
            handler: Some(handler),
            timer: None,
            panic_hook,
            context,
        }
    }

    fn ended(&self, reason: DisconnectReason) {
        if let Some(recorders) = &self.recorders {
            recorders.set_reason(reason);
        }
    }
}

/// A call that is being handled. It ends when its handler returns or panics, when the client or
/// the connection ends it, or at its deadline; in the last two the handler is dropped.
pub(super) struct Call {
    /// `None` when the call has ended.
    handler: Option<HandlerFuture>,
    /// Made when the handler is not ready at once.
    timer: Option<Pin<Box<Sleep>>>,
    panic_hook: Option<PanicHook>,
    context: CallContext,
}

impl transport::Call for Call {
    fn stream(&self) -> &dyn ServerStream {
        self.context.stream()
    }
}

impl Future for Call {
    type Output = CallEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallEnd> {
        match self.poll_handler(cx) {
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => self.poll_cancelled(cx),
        }
    }
}

impl Call {
    /// Polls the handler, and drops it when it is ready: its values are dropped before the end of
    /// the call is reported. A panic of a value that is dropped does not change the end.
    #[inline]
    fn poll_handler(&mut self, cx: &mut Context<'_>) -> Poll<CallEnd> {
        let Self {
            handler,
            panic_hook,
            context,
            ..
        } = self;
        let mut handled = Poll::Pending;
        let mut is_handled = false;
        let run = || {
            let Some(future) = handler else {
                return;
            };
            handled = future.as_mut().poll(cx);
            let Poll::Ready(result) = &mut handled else {
                return;
            };
            // The only response is compressed here, so that a compressor's panic is this call's
            // alone.
            if let Ok(reply) = result
                && let Err(status) = reply.compress(context)
            {
                *result = Err(status);
            }
            is_handled = true;
            drop(handler.take());
        };
        if let Err(status) = guarded(context, panic_hook.as_ref(), run)
            && !is_handled
        {
            self.drop_handler();
            return Poll::Ready(self.context.finish(Err(status)));
        }
        handled.map(|handled| match handled {
            Ok(ServerReply(Some(reply))) => reply.end_call(&self.context),
            Ok(ServerReply(None)) => self.context.finish(Ok(())),
            Err(status) => self.context.finish(Err(status)),
        })
    }

    /// Drops the handler. A panic of its values does not change the end of the call.
    fn drop_handler(&mut self) {
        let handler = self.handler.take();
        let _ = guarded(&self.context, self.panic_hook.as_ref(), || drop(handler));
    }

    /// Waits until the client, the connection or the deadline ends the call.
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<CallEnd> {
        if self.context.poll_closed(cx).is_ready() {
            self.drop_handler();
            return Poll::Ready(self.context.closed());
        }
        let Some(deadline) = self.context.deadline() else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(timer.as_mut().poll(cx));
        // The handler's values may ask when they are dropped.
        self.context.cancel(CancelReason::DeadlineExceeded);
        self.drop_handler();
        // A status rather than a bare reset, as grpc-go sends: a client whose own clock has not
        // noticed yet would take that for a cancellation.
        Poll::Ready(self.context.abort(Status::deadline_exceeded(
            "the call's deadline passed on the server",
        )))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // The runtime drops a call that has not ended.
        if self.handler.is_some() {
            self.context.cancel(CancelReason::ServerStopped);
            self.drop_handler();
            self.context.closed();
        }
    }
}
