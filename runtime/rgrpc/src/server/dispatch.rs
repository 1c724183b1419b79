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
use tokio::time::{Instant, Sleep, sleep_until};

use super::call::{MessageLimits, SizeLimit};
use super::handlers::Handlers;
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
use crate::task::caught_status;
use crate::transport::{
    self, CallEnd, CallState, CancelReason, DisconnectReason, Dispatch, ReceivedCall, ServerPhase,
    ServerTransportStream,
};

/// The largest message that a call may receive, or the status of a call that the head hook refuses.
type Decided = Result<SizeLimit, Status>;

/// The handlers and options of a server's calls; one for each accept loop.
#[derive(Debug)]
pub(super) struct Dispatcher {
    services: Arc<Services>,
    handlers: Arc<Handlers>,
    options: ServerOptions,
    /// True if there is an interceptor.
    intercepted: bool,
    /// True if there is a stats handler or a head hook.
    scoped: bool,
    max_receive: SizeLimit,
    max_send: SizeLimit,
}

impl Dispatcher {
    pub(super) fn new(services: Arc<Services>, options: ServerOptions) -> Self {
        let unknown = options.unknown_service.clone();
        Self {
            handlers: Arc::new(Handlers::new(Arc::clone(&services), unknown)),
            services,
            intercepted: !options.interceptors.is_empty(),
            max_receive: SizeLimit::new(options.max_receive_message_size),
            max_send: SizeLimit::new(options.max_send_message_size),
            scoped: !options.stats.is_empty() || options.head_hook.is_some(),
            options,
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

    pub(super) fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Starts the handling of a call.
    ///
    /// # Errors
    /// The server refuses the call.
    #[inline(always)]
    fn begin(
        &self,
        context: &CallContext,
        method: Option<MethodId>,
        content: Option<Bytes>,
        decided: Decided,
    ) -> Result<HandlerFuture, Status> {
        if self.intercepted {
            return Ok(self.intercept(context, method, content, decided));
        }
        let limits = self.limits(decided?);
        let encoding = context.negotiate_encoding()?;
        let mut call = ServerCall::new(context.clone(), content, encoding, limits);
        if self.scoped {
            call.observe();
        }
        self.handlers.handle(method, call)
    }

    fn limits(&self, max_receive: SizeLimit) -> MessageLimits {
        MessageLimits {
            max_receive,
            max_send: self.max_send,
        }
    }

    /// As above, with interceptors, which run for calls that the server refuses as well.
    fn intercept(
        &self,
        context: &CallContext,
        method: Option<MethodId>,
        content: Option<Bytes>,
        decided: Decided,
    ) -> HandlerFuture {
        let (max_receive, refused_by_hook) = match decided {
            Ok(max_receive) => (max_receive, None),
            Err(status) => (self.max_receive, Some(status)),
        };
        let negotiated = match &refused_by_hook {
            None => context.negotiate_encoding(),
            Some(status) => Err(status.clone()),
        };
        let (encoding, refusal) = match negotiated {
            Ok(encoding) => (encoding, None),
            Err(status) => (Encoding::Identity, Some(status)),
        };
        let limits = self.limits(max_receive);
        let mut call = ServerCall::new(context.clone(), content, encoding, limits).shared();
        if self.scoped {
            call.observe();
        }
        let call = IncomingCall::new(Arc::clone(&self.handlers), method, call, refusal);
        let chain = self.options.interceptors.start(0, call);
        match refused_by_hook {
            None => chain,
            Some(status) => refused(chain, status),
        }
    }

    /// Begins the call with the stats handlers, then runs the head hook.
    fn begin_scope(
        &self,
        scope: &mut CallScope,
        received: &ReceivedCall<'_>,
        deadline: Option<Instant>,
        method: Option<MethodId>,
    ) -> Decided {
        let CallScope {
            extensions,
            recorders,
        } = scope;
        let &ReceivedCall { at, connection, .. } = received;
        let head = &*received.head.head;
        let method = method.map(|id| self.services.method(id));
        if !self.options.stats.is_empty() {
            *recorders = self.options.stats.begin_call(&mut CallBegin {
                side: Side::Server,
                method: &head.path,
                is_registered: method.is_some(),
                descriptor: method.and_then(Method::descriptor),
                kind: method.map_or(CallKind::BidiStreaming, |method| method.kind),
                metadata: &head.metadata,
                deadline,
                began: at,
                peer: Some(connection.peer()),
                connection: connection.extensions(),
                target: None,
                parent: None,
                extensions,
            });
            recorders.record(&CallEvent::InHeader(&head.metadata));
        }
        let mut max_receive = self.options.max_receive_message_size;
        if let Some(hook) = &self.options.head_hook {
            let decide = || {
                hook.call(&mut CallHead {
                    head,
                    deadline,
                    connection,
                    method,
                    extensions,
                    max_receive: &mut max_receive,
                })
            };
            // Caught here, so that the stats handlers record the call's end.
            caught_status("the head hook", decide)?;
        }
        Ok(SizeLimit::new(max_receive))
    }
}

/// Runs the chain of a call that the head hook has refused. No interceptor can make it succeed, such as a
/// cache that knows the answer.
#[cold]
fn refused(chain: HandlerFuture, status: Status) -> HandlerFuture {
    Box::pin(async move { chain.await.and(Err(status)) })
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

    #[inline]
    fn dispatch(
        &self,
        received: ReceivedCall<'_>,
        open: impl FnOnce(CallState) -> Arc<dyn ServerTransportStream>,
    ) -> Call {
        let dispatcher = &self.dispatcher;
        let method = dispatcher.services.lookup(&received.head.head.path);
        let deadline = received.head.deadline(received.at);
        let mut scope = None;
        let decided = if dispatcher.scoped {
            let scope = scope.insert(CallScope::default());
            dispatcher.begin_scope(scope, &received, deadline, method)
        } else {
            Ok(dispatcher.max_receive)
        };
        let ReceivedCall {
            head, at, content, ..
        } = received;
        let context = CallContext::new(open(CallState::new(head.head, at, deadline, scope)));
        let panic_hook = dispatcher.options.panic_hook.clone();
        let begin = || dispatcher.begin(&context, method, content, decided);
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
    /// Created when the handler is not ready at once.
    timer: Option<Pin<Box<Sleep>>>,
    panic_hook: Option<PanicHook>,
    context: CallContext,
}

impl transport::Call for Call {
    fn stream(&self) -> &dyn ServerTransportStream {
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
        if timer.deadline() != deadline {
            // An interceptor has made it earlier.
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        // Before the drop, because the handler's values may read it.
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
