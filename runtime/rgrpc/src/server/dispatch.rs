use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep_until};

use super::call::{Handled, MessageLimits, Outcome};
use super::options::ServerOptions;
use super::panic::{PanicHook, guarded};
use super::services::Services;
use super::{HandlerFuture, ServeError, ServerCall};
use crate::call::CallContext;
use crate::codec::MessageLimit;
use crate::side::Side;
use crate::status::Status;
use crate::transport::{self, CallEnd, CancelReason, Dispatch, Phase, ServerStream};

/// Finds the handlers of calls; one for a server.
pub(super) struct Dispatcher {
    services: Arc<Services>,
    options: ServerOptions,
}

impl Dispatcher {
    pub(super) fn new(services: Arc<Services>, options: ServerOptions) -> Self {
        Self { services, options }
    }

    /// Whether calls can be dispatched.
    ///
    /// # Errors
    /// An option's value cannot be taken.
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

    /// The handler for a call.
    fn handler(
        &self,
        context: &CallContext,
        content: Option<Bytes>,
    ) -> Result<HandlerFuture, Status> {
        let encoding = context.negotiate_encoding()?;
        let limits = MessageLimits {
            max_receive: MessageLimit::new(Side::Server, self.options.max_receive_message_size),
            max_send: MessageLimit::new(Side::Server, self.options.max_send_message_size),
        };
        let call = ServerCall::new(context.clone(), content, encoding, limits);
        let path = context.method();
        match (self.services.lookup(path), &self.options.unknown_service) {
            (Some(method), _) => Ok(method(call)),
            (None, Some(unknown)) => Ok(unknown.handle(call)),
            (None, None) => Err(self.services.missing(path)),
        }
    }
}

/// A connection's calls: the server's dispatcher, and what tells the server, by being dropped, that
/// the connection and the last of its calls have ended.
pub(super) struct ConnectionCalls {
    dispatcher: Arc<Dispatcher>,
    _alive: watch::Receiver<Phase>,
}

impl ConnectionCalls {
    pub(super) fn new(dispatcher: Arc<Dispatcher>, alive: watch::Receiver<Phase>) -> Self {
        Self {
            dispatcher,
            _alive: alive,
        }
    }
}

impl Dispatch for ConnectionCalls {
    type Call = Call;

    fn dispatch(&self, stream: Arc<dyn ServerStream>, content: Option<Bytes>) -> Call {
        let context = CallContext::new(stream);
        let panic_hook = self.dispatcher.options.panic_hook.clone();
        let begin = || self.dispatcher.handler(&context, content);
        let handler = guarded(&context, panic_hook.as_ref(), begin)
            .unwrap_or_else(Err)
            .unwrap_or_else(|status| Box::pin(ready(Handled::failed(status))));
        Call {
            handler: Some(handler),
            timer: None,
            panic_hook,
            context,
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

/// Why a handler is not polled any more.
enum End {
    Handled(Handled),
    /// The client or the connection has ended the call.
    Closed,
    DeadlinePassed,
}

impl transport::Call for Call {
    fn stream(&self) -> &dyn ServerStream {
        self.context.stream()
    }
}

impl Future for Call {
    type Output = CallEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallEnd> {
        let end = match self.poll_handler(cx) {
            Poll::Ready(handled) => End::Handled(handled),
            Poll::Pending => ready!(self.poll_cancelled(cx)),
        };
        // The handler's values may ask when they are dropped.
        if let End::DeadlinePassed = end {
            self.context.cancel(CancelReason::DeadlineExceeded);
        }
        // What the handler holds goes before the call is said to have ended.
        self.drop_handler();
        Poll::Ready(match end {
            End::Handled(Handled(Outcome::Reply { response, .. })) => self.context.reply(response),
            End::Handled(Handled(Outcome::Finish(outcome))) => self.context.finish(outcome),
            End::Closed => self.context.closed(),
            // A status rather than a bare reset, as grpc-go sends: a client whose own clock has not
            // noticed yet would take that for a cancellation.
            End::DeadlinePassed => self.context.abort(Status::deadline_exceeded(
                "the call's deadline passed on the server",
            )),
        })
    }
}

impl Call {
    fn poll_handler(&mut self, cx: &mut Context<'_>) -> Poll<Handled> {
        let Self {
            handler,
            panic_hook,
            context,
            ..
        } = self;
        let Some(handler) = handler else {
            return Poll::Pending;
        };
        // The only response is compressed here, so that a compressor's panic is this call's alone.
        let handle = || {
            let mut handled = handler.as_mut().poll(cx);
            if let Poll::Ready(handled) = &mut handled {
                handled.compress(context);
            }
            handled
        };
        guarded(context, panic_hook.as_ref(), handle)
            .unwrap_or_else(|status| Poll::Ready(Handled::failed(status)))
    }

    /// Drops the handler, whose values may panic as they go. How the call ends is known without
    /// them.
    fn drop_handler(&mut self) {
        let handler = self.handler.take();
        let _ = guarded(&self.context, self.panic_hook.as_ref(), || drop(handler));
    }

    /// Ready when the client, the connection or the deadline has ended the call.
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.context.poll_closed(cx).is_ready() {
            return Poll::Ready(End::Closed);
        }
        let Some(deadline) = self.context.deadline() else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().poll(cx).map(|()| End::DeadlinePassed)
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
