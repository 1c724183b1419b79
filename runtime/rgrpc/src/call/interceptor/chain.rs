use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::outgoing_call::CallHead;
use super::{ClientInterceptor, ClientNext, ClientReply, OutgoingCall, ReplyFuture};
use crate::call::on_finish::OnFinish;
use crate::call::{CallOptions, FinishHooks, MethodName, RecvStream, Response, SendStream};
use crate::interceptor::{CallOutcome, EndHook, EndHooks};
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;

/// The interceptors of a channel, a stub or a service config, in the order in which they run.
pub(crate) type InterceptorList = Arc<[Arc<dyn ErasedClientInterceptor>]>;

/// A [`ClientInterceptor`] of any type, as lists of interceptors keep it.
pub(crate) trait ErasedClientInterceptor: Send + Sync {
    /// Starts it for a call.
    fn start(&self, call: OutgoingCall, next: ClientNext) -> ReplyFuture;
}

/// Keeps an interceptor for the calls that it runs for.
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

/// An interceptor for a list.
pub(crate) fn erased(interceptor: impl ClientInterceptor) -> Arc<dyn ErasedClientInterceptor> {
    Arc::new(Shared(Arc::new(interceptor)))
}

/// The call at the end of a chain, which knows the types of the messages, and the chain before it.
///
/// Shared by the caller's future, which waits for the chain, and by the [`OutgoingCall`]s of its
/// interceptors.
pub(crate) trait TypedCall: Send + Sync {
    /// The chain before the call.
    fn chain(&self) -> &CallChain;

    /// Makes the call. The chain may do so several times.
    fn start(self: Arc<Self>, method: MethodName, options: CallOptions) -> ReplyFuture;
}

/// The interceptors of one call, and the hooks for its end.
pub(crate) struct CallChain {
    interceptors: InterceptorList,
    /// There are hooks: calls without any take no lock.
    has_hooks: AtomicBool,
    hooks: Mutex<Option<Hooks>>,
}

/// The hooks for the end of a call.
struct Hooks {
    /// The time at which the first one was added: calls without hooks do not read the clock.
    began: Instant,
    hooks: EndHooks,
}

impl CallChain {
    /// Creates the chain of a call that begins now.
    pub(crate) fn new(interceptors: InterceptorList) -> Self {
        Self {
            interceptors,
            has_hooks: AtomicBool::new(false),
            hooks: Mutex::new(None),
        }
    }

    /// Adds a hook for the end of the call.
    pub(crate) fn on_end(&self, hook: EndHook) {
        let begin = || Hooks {
            began: Instant::now(),
            hooks: EndHooks::default(),
        };
        lock(&self.hooks).get_or_insert_with(begin).hooks.push(hook);
        self.has_hooks.store(true, Ordering::Release);
    }

    /// Adds the user's hooks for the end of a call.
    pub(crate) fn on_finish(&self, hooks: OnFinish) {
        if !hooks.is_empty() {
            let hooks = FinishHooks::new(hooks);
            self.on_end(Box::new(|outcome| {
                hooks.call(outcome.status().map(|()| outcome.trailer()));
            }));
        }
    }

    fn has_hooks(&self) -> bool {
        self.has_hooks.load(Ordering::Acquire)
    }

    /// The call has ended: with these trailers, or with a failure. Only the first end counts.
    #[inline]
    pub(super) fn end(&self, end: Result<&Metadata, &Status>) {
        if self.has_hooks() {
            self.tell(end);
        }
    }

    fn tell(&self, end: Result<&Metadata, &Status>) {
        let hooks = lock(&self.hooks).take();
        if let Some(Hooks { began, hooks }) = hooks {
            hooks.call(&CallOutcome::of_client(end, began));
        }
    }

    /// Starts the rest of a chain, from this position on.
    pub(super) fn proceed(call: OutgoingCall, position: usize) -> ReplyFuture {
        let typed = Arc::clone(&call.typed);
        if let Some(interceptor) = typed.chain().interceptors.get(position) {
            let position = position + 1;
            return interceptor.start(call, ClientNext { position });
        }
        let CallHead {
            method, options, ..
        } = *call.head;
        typed.start(method, options)
    }
}

/// Runs the chain of a unary call.
///
/// Dropping the future cancels the call.
///
/// # Errors
/// The status that the call ends with.
pub(crate) async fn run_unary<Res: 'static>(call: OutgoingCall) -> Result<Response<Res>, Status> {
    let end = EndGuard::new(&call);
    let reply = CallChain::proceed(call, 0).await;
    let response = reply.and_then(ClientReply::into_response);
    end.finish(response.as_ref().map(Response::trailer));
    response
}

/// Runs the chain of a call that is not unary.
///
/// Dropping the future cancels the call.
///
/// # Errors
/// The status of a call that could not begin.
pub(crate) async fn run_streaming<Req: 'static, Res: 'static>(
    call: OutgoingCall,
) -> Result<(SendStream<Req>, RecvStream<Res>), Status> {
    let end = EndGuard::new(&call);
    let reply = CallChain::proceed(call, 0).await;
    match reply.and_then(ClientReply::into_streams) {
        Ok((requests, responses)) if end.has_hooks() => Ok((requests, responses.reporting(end))),
        Ok(streams) => Ok(streams),
        Err(status) => {
            end.finish(Err(&status));
            Err(status)
        }
    }
}

/// Tells the hooks of a call of its end; of CANCELLED if it is dropped before.
pub(crate) struct EndGuard {
    typed: Arc<dyn TypedCall>,
    has_ended: bool,
}

impl EndGuard {
    fn new(call: &OutgoingCall) -> Self {
        Self {
            typed: Arc::clone(&call.typed),
            has_ended: false,
        }
    }

    fn has_hooks(&self) -> bool {
        self.typed.chain().has_hooks()
    }

    /// The call has ended: with these trailers, or with a failure. Only the first end counts.
    pub(crate) fn tell(&self, end: Result<&Metadata, &Status>) {
        self.typed.chain().end(end);
    }

    /// As [`tell`](Self::tell), when nothing else tells of an end.
    fn finish(mut self, end: Result<&Metadata, &Status>) {
        self.has_ended = true;
        self.tell(end);
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.has_ended && self.has_hooks() {
            let status = Status::cancelled("the call was dropped before it had ended");
            self.tell(Err(&status));
        }
    }
}
