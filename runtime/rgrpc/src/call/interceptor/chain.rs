//! The chain of a call's interceptors, and the report of the call's end to its hooks.
//!
//! Run by the channel for its own and a stub's interceptors, and for the filters of a call, in the
//! caller's future.

use std::fmt;
use std::future::{self, Future};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::outgoing_call::CallHead;
use super::{ClientInterceptor, ClientNext, ClientReply, OutgoingCall, ReplyFuture};
use crate::call::on_finish::OnFinish;
use crate::call::{FinishHooks, RecvStream, Response, SendStream};
use crate::interceptor::{CallOutcome, EndHook, EndHooks};
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::{caught, caught_in};

/// The name of the code that a panic ends a call with. Panics of the call at the end of a chain are
/// caught there.
const INTERCEPTOR: &str = "an interceptor of the call";

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

/// The call at the end of a chain, which knows the types of the messages, and the chain before it.
///
/// Shared by the caller's future, which waits for the chain, and by the [`OutgoingCall`]s of its
/// interceptors.
pub(crate) trait TypedCall: Send + Sync {
    /// The end of the call for its caller.
    fn end(&self) -> &ChainEnd;

    /// Makes the call. The chain may do so several times.
    fn start(self: Arc<Self>, head: CallHead) -> ReplyFuture;
}

/// The end of a call with a chain, and the hooks for it.
#[derive(Default)]
pub(crate) struct ChainEnd {
    /// True if there are hooks: calls without hooks take no lock.
    has_hooks: AtomicBool,
    hooks: Mutex<Option<Hooks>>,
}

/// The hooks for the end of a call.
struct Hooks {
    /// The time at which the first one was added: calls without hooks do not read the clock.
    began: Instant,
    hooks: EndHooks,
}

impl ChainEnd {
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
    #[inline]
    pub(crate) fn on_finish(&self, hooks: Option<OnFinish>) {
        if hooks.is_some() {
            let hooks = FinishHooks::new(hooks);
            self.on_end(Box::new(|outcome| {
                hooks.call(outcome.status().map(|()| outcome.trailer()));
            }));
        }
    }

    fn has_hooks(&self) -> bool {
        self.has_hooks.load(Ordering::Acquire)
    }

    /// Reports the end of the call: its trailers, or its failure. Only the first end counts.
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

/// Runs the chain of a unary call.
///
/// Dropping the future cancels the call.
///
/// # Errors
/// The status that the call ends with.
pub(crate) fn run_unary<Res: 'static>(
    call: OutgoingCall,
    interceptors: InterceptorList,
) -> UnaryChain<Res> {
    UnaryChain {
        begin: Some((call, interceptors)),
        running: None,
        types: PhantomData,
    }
}

/// The future of a unary call with a chain. Written by hand: it is allocated for every call, and an
/// async function would keep the call twice.
pub(crate) struct UnaryChain<Res> {
    /// Before the first poll.
    begin: Option<(OutgoingCall, InterceptorList)>,
    /// From the first poll until the end.
    running: Option<(ReplyFuture, EndGuard)>,
    types: PhantomData<fn() -> Res>,
}

impl<Res: 'static> Future for UnaryChain<Res> {
    type Output = Result<Response<Res>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some((call, interceptors)) = self.begin.take() {
            let end = EndGuard::new(&call);
            let chain = caught(INTERCEPTOR, || start_at(call, &interceptors, 0))
                .unwrap_or_else(|panicked| Box::pin(future::ready(Err(panicked.to_status()))));
            self.running = Some((chain, end));
        }
        let Some((chain, _)) = &mut self.running else {
            panic!("a call that is over was polled");
        };
        let polled = caught(INTERCEPTOR, || chain.as_mut().poll(cx))
            .unwrap_or_else(|panicked| Poll::Ready(Err(panicked.to_status())));
        let response = ready!(polled).and_then(ClientReply::into_response);
        if let Some((chain, end)) = self.running.take() {
            // A panic of its values does not change the end of the call.
            let _ = caught(INTERCEPTOR, || drop(chain));
            end.finish(response.as_ref().map(Response::trailer));
        }
        Poll::Ready(response)
    }
}

/// Runs the chain of a call that is not unary.
///
/// Dropping the future cancels the call.
///
/// # Errors
/// The status of a call that could not begin.
pub(crate) async fn run_streaming<Req: 'static, Res: 'static>(
    call: OutgoingCall,
    interceptors: InterceptorList,
) -> Result<(SendStream<Req>, RecvStream<Res>), Status> {
    let end = EndGuard::new(&call);
    let reply = caught_in(INTERCEPTOR, || start_at(call, &interceptors, 0)).await;
    let reply = reply.unwrap_or_else(|panicked| Err(panicked.to_status()));
    match reply.and_then(ClientReply::into_streams) {
        Ok((requests, responses)) if end.has_hooks() => Ok((requests, responses.reporting(end))),
        Ok(streams) => Ok(streams),
        Err(status) => {
            end.finish(Err(&status));
            Err(status)
        }
    }
}

/// The duty to report a call's end to its hooks: CANCELLED, if it is dropped before the end.
pub(crate) struct EndGuard {
    typed: Arc<dyn TypedCall>,
    has_ended: bool,
}

impl EndGuard {
    #[inline]
    fn new(call: &OutgoingCall) -> Self {
        Self {
            typed: Arc::clone(&call.typed),
            has_ended: false,
        }
    }

    fn has_hooks(&self) -> bool {
        self.typed.end().has_hooks()
    }

    /// Reports the end of the call: its trailers, or its failure. Only the first end counts.
    #[inline]
    pub(crate) fn tell(&self, end: Result<&Metadata, &Status>) {
        self.typed.end().end(end);
    }

    /// Reports the end, as [`tell`](Self::tell), if nothing else reports it.
    #[inline]
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
