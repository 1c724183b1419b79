use std::any::Any;
use std::fmt;
use std::future::{self, Future};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::time::Instant;

use super::outgoing_call::CallHead;
use super::{ClientInterceptor, ClientNext, ClientReply, OutgoingCall, ReplyFuture};
use crate::call::on_finish::OnFinish;
use crate::call::{CallOptions, FinishHooks, LocalCall, RecvStream, Response, SendStream};
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
pub(crate) trait TypedCall: CallMessages {
    /// The end of the call for its caller.
    fn end(&self) -> &ChainEnd;

    /// Makes the call. The chain may do so several times.
    fn start(self: Arc<Self>, head: CallHead) -> ReplyFuture;
}

/// The messages of a [`TypedCall`], for its interceptors.
pub(crate) trait CallMessages: Send + Sync {
    /// The content-subtype of the call's codec.
    fn content_subtype(&self) -> &'static str;

    /// The request of a unary call; `None` for other calls.
    fn request(&self) -> Option<&dyn Any>;

    /// The request of a unary call, encoded by the call's codec; `None` for other calls.
    ///
    /// # Errors
    /// INTERNAL when the codec fails.
    fn encoded_request(&self) -> Result<Option<Bytes>, Status>;

    /// The answer to a unary call by this response, which is encoded.
    ///
    /// # Errors
    /// INTERNAL when the call is not unary, or the codec fails.
    fn reply_encoded(&self, response: Response<Bytes>) -> Result<ClientReply, Status>;

    /// The answer to a call that is not unary by these streams, within the bounds of the options.
    ///
    /// # Errors
    /// INTERNAL when the call is unary.
    fn reply_streamed(
        &self,
        streams: &Arc<LocalCall>,
        options: &CallOptions,
    ) -> Result<ClientReply, Status>;
}

/// The end of a call with a chain, and the hooks for it.
///
/// ```text
///  UNHOOKED ──on_end──► HOOKED ──the call ends──► OVER
///      └───────────────the call ends───────────────▲
/// ```
#[derive(Default)]
pub(crate) struct ChainEnd {
    /// One of the states above: calls without hooks take no lock.
    state: AtomicU8,
    hooks: Mutex<Option<Hooks>>,
}

const UNHOOKED: u8 = 0;
const HOOKED: u8 = 1;
const OVER: u8 = 2;

/// The hooks for the end of a call.
struct Hooks {
    /// The time at which the first one was added: calls without hooks do not read the clock.
    began: Instant,
    hooks: EndHooks,
}

impl ChainEnd {
    /// Adds a hook for the end of the call. Returns false if the call is over.
    pub(crate) fn on_end(&self, hook: EndHook) -> bool {
        let begin = || Hooks {
            began: Instant::now(),
            hooks: EndHooks::default(),
        };
        let mut hooks = lock(&self.hooks);
        let before = self.state.load(Ordering::Acquire);
        if before == OVER {
            return false;
        }
        hooks.get_or_insert_with(begin).hooks.push(hook);
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        let hooked = || {
            let swapped = self
                .state
                .compare_exchange(UNHOOKED, HOOKED, success, failure);
            swapped.is_ok()
        };
        if before == HOOKED || hooked() {
            return true;
        }
        // The call has ended meanwhile, without hooks.
        let unused = hooks.take();
        drop(hooks);
        drop(unused);
        false
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
        self.state.load(Ordering::Acquire) == HOOKED
    }

    /// The call has ended: with these trailers, or with a failure. Only the first end counts.
    #[inline]
    pub(super) fn end(&self, end: Result<&Metadata, &Status>) {
        if let Some(hooks) = self.close() {
            hooks.tell(end);
        }
    }

    /// The call is over: no hook is added any more. Returns the hooks that there are, once.
    #[inline]
    fn close(&self) -> Option<Hooks> {
        match self.state.swap(OVER, Ordering::AcqRel) {
            HOOKED => lock(&self.hooks).take(),
            _ => None,
        }
    }
}

impl Hooks {
    fn tell(self, end: Result<&Metadata, &Status>) {
        self.hooks.call(&CallOutcome::of_client(end, self.began));
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
    /// Until the first poll.
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
            // Its values may panic then, which does not change the end of the call.
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
        Ok((requests, responses)) if end.may_have_hooks() => {
            Ok((requests, responses.reporting(end)))
        }
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
    #[inline]
    fn new(call: &OutgoingCall) -> Self {
        Self {
            typed: Arc::clone(&call.typed),
            has_ended: false,
        }
    }

    /// Returns whether there are hooks, or a clone of the call that can add one.
    fn may_have_hooks(&self) -> bool {
        if Arc::strong_count(&self.typed) > 1 {
            return true;
        }
        // What the holders of dropped clones have done is seen after this.
        fence(Ordering::Acquire);
        self.typed.end().has_hooks()
    }

    /// The call has ended: with these trailers, or with a failure. Only the first end counts.
    #[inline]
    pub(crate) fn tell(&self, end: Result<&Metadata, &Status>) {
        self.typed.end().end(end);
    }

    /// As [`tell`](Self::tell), when nothing else tells of an end.
    #[inline]
    fn finish(mut self, end: Result<&Metadata, &Status>) {
        self.has_ended = true;
        self.tell(end);
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.has_ended
            && let Some(hooks) = self.typed.end().close()
        {
            let status = Status::cancelled("the call was dropped before it had ended");
            hooks.tell(Err(&status));
        }
    }
}
