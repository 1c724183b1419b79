//! A streaming or a hedged call: attempts, until the call is committed to one.
//!
//! Created by `streaming_call.rs` and `hedged_call.rs`, on the caller's task. It has no task of its
//! own: the task that polls a half drives all attempts, and their events wake both halves. A task
//! watches over the call's bounds, if it has any.
//!
//! Source: gRFC A6; grpc-go `clientStream.withRetry`, `clientStream.commitAttempt`.

mod attempt;
mod replay_buffer;
#[cfg(test)]
mod tests;
mod uncommitted;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker, ready};

use rgrpc_http2::BytesQueue;
use tokio::task::AbortHandle;

pub(super) use self::attempt::{RecordRequest, StreamContext};
use self::attempt::{StreamAttempt, send_on};
use self::replay_buffer::Sent;
use self::uncommitted::{EndReason, Outcome, Uncommitted, end_attempt};
use super::attempt::CallAttempt;
use super::bounds::{Bounds, Exceeded};
use super::scheduler::AttemptScheduler;
use super::stream_wakers::{StreamHalf, StreamWakers};
use super::wait_reason::WaitReason;
use crate::buffer_pool::BufferPool;
use crate::call::{
    CallObserver, CancelHandle, FinishHooks, MessageSink, MessageSource, SourceEvent,
};
use crate::codec::Compressor;
use crate::interceptor::MessageView;
use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::{Lost, watched};
use crate::transport::{IncomingHead, NoHead, ReadDemand};

/// A streaming call, or a hedged one.
///
/// Until it is committed, sent messages go to all attempts under way, and into a
/// [`ReplayBuffer`](replay_buffer::ReplayBuffer) for those to come. An attempt commits the call
/// when it has received headers or has ended well, or when the buffer is over its limit; from then
/// on the halves are those of that attempt, and the others are cancelled.
pub(super) struct StreamCall {
    context: Arc<StreamContext>,
    /// The attempt that has committed the call: set once, together with [`CallState::Committed`],
    /// and read by each operation of a committed call without a lock.
    committed: OnceLock<Committed>,
    /// Locked for single steps: attempts are polled, and tasks are woken, without it.
    state: Mutex<CallState>,
    wakers: Arc<StreamWakers>,
    /// The hooks for the end of the call; `None` once they have run.
    hooks: Mutex<Option<FinishHooks>>,
    /// The task that watches over the call's bounds.
    watch: Mutex<Option<AbortHandle>>,
}

/// The state of a streaming call.
///
/// ```text
///   Uncommitted ──a half takes the attempts──► Driven ──puts them back──┬──► Uncommitted
///                                                                       ├──► Committed
///                                                                       └──► Failed
/// ```
enum CallState {
    /// The attempts are at rest. Not boxed: that would be one more allocation for each call.
    Uncommitted(Uncommitted),
    /// Somebody drives the attempts; the orders of others wait until they are put back.
    Driven(Orders),
    /// [`StreamCall::committed`] has the attempt.
    Committed,
    /// The call has failed before an attempt has committed it.
    Failed(Status),
}

/// The orders to a call whose attempts are being driven, for the half that drives them.
#[derive(Default)]
struct Orders {
    sent: Vec<Sent>,
    end: Option<EndReason>,
    /// A half was polled meanwhile, and has to be polled again.
    polled: bool,
}

/// A call that is one attempt.
struct Committed {
    attempt: Arc<CallAttempt>,
    scheduler: AttemptScheduler,
    /// The head that was received before the call was committed, until the receiving half asks for
    /// it.
    head: Mutex<Option<Result<IncomingHead, NoHead>>>,
    end: Option<Metadata>,
}

/// The result of driving a call: its state, with the answer of the attempts while it is
/// uncommitted.
enum Drive<'a, T> {
    Committed(&'a Committed),
    Uncommitted(Poll<T>),
    Failed(Status),
}

impl StreamCall {
    /// Creates a call that begins now. Its first attempt begins when the call is driven.
    pub(super) fn new(
        context: StreamContext,
        scheduler: AttemptScheduler,
        hooks: FinishHooks,
    ) -> Self {
        let context = Arc::new(context);
        let uncommitted = Uncommitted::new(Arc::clone(&context), scheduler);
        Self {
            committed: OnceLock::new(),
            state: Mutex::new(CallState::Uncommitted(uncommitted)),
            context,
            wakers: Arc::default(),
            hooks: Mutex::new(Some(hooks)),
            watch: Mutex::new(None),
        }
    }

    /// Drives the call until an attempt has a stream.
    ///
    /// # Errors
    /// The call's status, if it has already ended.
    pub(super) async fn opened(&self) -> Result<(), Status> {
        poll_fn(|cx| {
            let is_open = |uncommitted: &Uncommitted, _: &mut Context<'_>| match uncommitted
                .attempts
                .iter()
                .find_map(StreamAttempt::open)
            {
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
            };
            match self.drive(StreamHalf::Receive, cx, is_open) {
                Drive::Committed(_) => Poll::Ready(Ok(())),
                Drive::Uncommitted(poll) => poll.map(Ok),
                Drive::Failed(status) => Poll::Ready(Err(status)),
            }
        })
        .await
    }

    /// Ends the call when its bounds are exceeded, whether or not anyone polls its halves.
    pub(super) fn watch_bounds(self: &Arc<Self>) {
        let bounds = Bounds::of_call(&self.context.call);
        if bounds.is_unbounded() {
            return;
        }
        let call = Arc::downgrade(self);
        let watch = async move { bounds.exceeded().await };
        let task = watched(watch, move |ended| {
            if let Some(call) = call.upgrade() {
                match ended {
                    Ok(exceeded) => call.end(EndReason::Exceeded(exceeded)),
                    Err(lost) => call.unwatched(lost),
                }
            }
        });
        let task = tokio::spawn(task).abort_handle();
        *lock(&self.watch) = Some(task);
    }

    /// Nobody watches over the call's bounds any more. It ends, unless it has: else it could last
    /// for ever.
    fn unwatched(&self, lost: Lost) {
        if self.is_unfinished() {
            self.end(EndReason::Status(Status::unavailable(format!(
                "the call's deadline is not watched over any more: {lost}"
            ))));
        }
    }

    /// Ends the call if its handle was used, so that a half that is polled after that reports it,
    /// and no message that has come before.
    fn check_cancelled(&self) {
        let handle = self.context.call.cancel_handle();
        let is_cancelled = handle.is_some_and(CancelHandle::is_cancelled);
        if is_cancelled && self.failure().is_none() && self.is_unfinished() {
            self.end(EndReason::Exceeded(Exceeded::Cancelled));
        }
    }

    /// The reason why the call waits, if it has begun. The attempts of a call that is not committed
    /// are cancelled: it is over.
    pub(super) fn give_up(&self) -> Option<WaitReason> {
        if let Some(committed) = self.committed.get() {
            return Some(committed.attempt.wait_reason());
        }
        let (reason, wake) = self.with_attempts(Uncommitted::give_up)?;
        if wake {
            self.wakers.wake_all();
        }
        reason
    }

    /// The call has ended, and its halves know or are gone.
    pub(super) fn finish(&self, end: Result<&Metadata, &Status>) {
        // First, because the task that is aborted looks at them.
        let hooks = lock(&self.hooks).take();
        let watch = lock(&self.watch).take();
        if let Some(watch) = watch {
            watch.abort();
        }
        self.context.call.commit();
        if let Some(hooks) = hooks {
            hooks.call(end);
        }
    }

    fn is_unfinished(&self) -> bool {
        lock(&self.hooks).is_some()
    }

    /// Drives the call for a half, unless it is committed; `answer` is asked of attempts that have
    /// not committed it.
    fn drive<T>(
        &self,
        half: StreamHalf,
        cx: &Context<'_>,
        answer: impl FnOnce(&Uncommitted, &mut Context<'_>) -> Poll<T>,
    ) -> Drive<'_, T> {
        self.check_cancelled();
        if let Some(committed) = self.committed.get() {
            return Drive::Committed(committed);
        }
        // Before looking, so that no change is missed.
        self.wakers.register(half, cx.waker());
        let driven = self.with_attempts(|uncommitted| {
            let waker = Waker::from(Arc::clone(&self.wakers));
            let mut cx = Context::from_waker(&waker);
            uncommitted.drive(&mut cx);
            match uncommitted.outcome {
                None => answer(uncommitted, &mut cx),
                Some(_) => Poll::Pending,
            }
        });
        let answered = match driven {
            Some((answered, wake)) => {
                if wake {
                    self.wakers.wake_other(half);
                }
                answered
            }
            None => Poll::Pending,
        };
        if let Some(committed) = self.committed.get() {
            return Drive::Committed(committed);
        }
        match self.failure() {
            Some(status) => Drive::Failed(status),
            None => Drive::Uncommitted(answered),
        }
    }

    /// Takes the attempts, does `step` with them while no lock is held, carries out the orders that
    /// have come meanwhile, and puts the attempts back. Returns the step's result, and whether the
    /// halves have to be woken.
    ///
    /// `None` if there are no attempts, or somebody drives them at this moment: the caller is woken
    /// when they are put back.
    fn with_attempts<T>(&self, step: impl FnOnce(&mut Uncommitted) -> T) -> Option<(T, bool)> {
        let mut uncommitted = self.take()?;
        let mut guard = PanicGuard {
            call: self,
            is_armed: true,
        };
        let result = step(&mut uncommitted);
        let wake = self.put_back(uncommitted);
        guard.is_armed = false;
        Some((result, wake))
    }

    fn take(&self) -> Option<Uncommitted> {
        let mut state = lock(&self.state);
        match &mut *state {
            CallState::Uncommitted(_) => {
                let driven = CallState::Driven(Orders::default());
                match std::mem::replace(&mut *state, driven) {
                    CallState::Uncommitted(uncommitted) => Some(uncommitted),
                    _ => None,
                }
            }
            CallState::Driven(orders) => {
                orders.polled = true;
                None
            }
            CallState::Committed | CallState::Failed(_) => None,
        }
    }

    fn put_back(&self, mut uncommitted: Uncommitted) -> bool {
        let mut was_polled = false;
        loop {
            let orders = {
                let mut state = lock(&self.state);
                let CallState::Driven(orders) = &mut *state else {
                    // The half that takes the attempts is the one that puts them back.
                    return false;
                };
                was_polled |= orders.polled;
                if orders.sent.is_empty() && orders.end.is_none() {
                    let (new, rest) = self.state_after(uncommitted);
                    *state = new;
                    drop(state);
                    return rest.is_some() || was_polled;
                }
                std::mem::take(orders)
            };
            for sent in orders.sent {
                uncommitted.send(sent);
            }
            if let Some(end) = orders.end {
                uncommitted.end(end);
            }
        }
    }

    /// The state of a call whose attempts have come this far, and what is left of them, to be
    /// dropped without the lock, if that is another state. The lock is held.
    fn state_after(&self, mut uncommitted: Uncommitted) -> (CallState, Option<Uncommitted>) {
        let state = match uncommitted.outcome.take() {
            None => return (CallState::Uncommitted(uncommitted), None),
            Some(Outcome::Failed(status)) => CallState::Failed(status),
            Some(Outcome::Committed { attempt, head, end }) => {
                // Once: a committed call has no attempts to put back.
                let _ = self.committed.set(Committed {
                    attempt,
                    scheduler: uncommitted.scheduler.clone(),
                    head: Mutex::new(head),
                    end,
                });
                CallState::Committed
            }
        };
        (state, Some(uncommitted))
    }

    /// The observers of the call, if it has any.
    fn observer(&self) -> Option<&Arc<CallObserver>> {
        self.context.observer.as_ref()
    }

    /// The length before compression of the message that is being sent, in a call with observers.
    fn encoded_len(&self) -> usize {
        self.observer().map_or(0, |observer| observer.sizes().0)
    }

    fn send(&self, sent: Sent) -> Result<(), Status> {
        if let Some(committed) = self.committed.get() {
            return send_on(&committed.attempt, sent);
        }
        let mut sent = Some(sent);
        loop {
            match &mut *lock(&self.state) {
                CallState::Driven(orders) => {
                    orders.sent.extend(sent);
                    return Ok(());
                }
                CallState::Failed(status) => return Err(status.clone()),
                CallState::Uncommitted(_) | CallState::Committed => {}
            }
            if let Some(committed) = self.committed.get() {
                return sent.map_or(Ok(()), |sent| send_on(&committed.attempt, sent));
            }
            let step = |uncommitted: &mut Uncommitted| {
                sent.take()
                    .into_iter()
                    .for_each(|sent| uncommitted.send(sent));
            };
            // Else the state has changed since it was looked at.
            if let Some(((), wake)) = self.with_attempts(step) {
                if wake {
                    self.wakers.wake_other(StreamHalf::Send);
                }
                return Ok(());
            }
        }
    }

    /// Ends the call from this side, with the status that its halves report.
    fn end(&self, end: EndReason) {
        let mut end = Some(end);
        loop {
            match &mut *lock(&self.state) {
                CallState::Driven(orders) => {
                    orders.end = orders.end.take().or(end);
                    return;
                }
                CallState::Failed(_) => return,
                CallState::Uncommitted(_) | CallState::Committed => {}
            }
            if let Some(committed) = self.committed.get() {
                if let Some(end) = end {
                    end_attempt(&committed.attempt, &self.context, end);
                }
                return;
            }
            let step = |uncommitted: &mut Uncommitted| {
                end.take().into_iter().for_each(|end| uncommitted.end(end));
            };
            // Else the state has changed since it was looked at.
            if self.with_attempts(step).is_some() {
                self.wakers.wake_all();
                return;
            }
        }
    }

    /// The status of a call that has failed on this side.
    fn failure(&self) -> Option<Status> {
        if let Some(committed) = self.committed.get() {
            return committed.attempt.local_end();
        }
        match &*lock(&self.state) {
            CallState::Failed(status) => Some(status.clone()),
            _ => None,
        }
    }
}

/// Fails a call when user code has panicked while its attempts were driven: they are not put back,
/// and the other half must not wait for them.
struct PanicGuard<'a> {
    call: &'a StreamCall,
    is_armed: bool,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            let status =
                Status::internal("user code panicked in the call; the log has its message");
            let driven = std::mem::replace(&mut *lock(&self.call.state), CallState::Failed(status));
            drop(driven);
            self.call.wakers.wake_all();
        }
    }
}

impl MessageSink for StreamCall {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let takes = |uncommitted: &Uncommitted, cx: &mut Context<'_>| {
            // A slower attempt gets messages that it has no credit for nevertheless: the buffer is
            // bounded.
            let mut open = uncommitted.attempts.iter().filter_map(StreamAttempt::open);
            if open.any(|attempt| matches!(attempt.poll_ready(cx), Poll::Ready(Ok(())))) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        };
        ready!(match self.drive(StreamHalf::Send, cx, takes) {
            Drive::Committed(committed) => committed.attempt.poll_ready(cx),
            Drive::Failed(status) => Poll::Ready(Err(status)),
            Drive::Uncommitted(poll) => poll.map(Ok),
        })?;
        // Last, so that the end of the call is not held back.
        match self.observer() {
            Some(observer) => observer.poll_send(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn compressor(&self) -> Option<Arc<dyn Compressor>> {
        self.context.call.send_compressor().cloned()
    }

    fn observe_sent(&self, message: &MessageView<'_>) -> Result<(), Status> {
        if let Some(observer) = self.observer() {
            observer.sending(message)?;
            observer.sent(message);
        }
        Ok(())
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.send(Sent::Message(message, self.encoded_len()))
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        self.send(Sent::Last(message, self.encoded_len()))
    }

    fn close(&self) {
        // The receiving half says why there is nothing to close.
        let _ = self.send(Sent::Close);
    }

    fn abandon(&self) {
        match self.committed.get() {
            Some(committed) => MessageSource::abandon(&*committed.attempt),
            None => self.end(EndReason::Status(dropped())),
        }
    }
}

impl MessageSource for StreamCall {
    fn peer(&self) -> Option<&Arc<Peer>> {
        self.committed
            .get()
            .map(|committed| committed.attempt.peer())
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        match self.drive(StreamHalf::Receive, cx, nothing_received) {
            Drive::Committed(committed) => {
                let received = lock(&committed.head).take();
                match received {
                    Some(head) => Poll::Ready(head),
                    None => committed.attempt.poll_head(cx),
                }
            }
            Drive::Uncommitted(_) => Poll::Pending,
            Drive::Failed(_) => Poll::Ready(Err(NoHead)),
        }
    }

    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent> {
        let received = match self.drive(StreamHalf::Receive, cx, nothing_received) {
            Drive::Committed(committed) => match &committed.end {
                Some(trailer) => Poll::Ready(SourceEvent::End(Ok(trailer.clone()))),
                None => committed.attempt.poll_data(cx, read_demand),
            },
            Drive::Uncommitted(_) => Poll::Pending,
            Drive::Failed(status) => Poll::Ready(SourceEvent::End(Err(status))),
        };
        if let Poll::Ready(SourceEvent::End(Err(status))) = &received {
            self.finish(Err(status));
        }
        received
    }

    fn is_observed(&self) -> bool {
        self.observer().is_some()
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.check_cancelled();
        match self.committed.get() {
            Some(committed) => committed.attempt.poll_receive(cx),
            // It has failed.
            None => Poll::Ready(Ok(())),
        }
    }

    fn observe_received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        match self.committed.get() {
            Some(committed) => committed.attempt.observe_received(message),
            None => Ok(()),
        }
    }

    fn accept(&self, trailer: &Metadata) {
        if let Some(committed) = self.committed.get() {
            committed.scheduler.succeeded();
            committed.attempt.accept(trailer);
        }
        self.finish(Ok(trailer));
    }

    fn buffer_pool(&self) -> BufferPool {
        match self.committed.get() {
            Some(committed) => committed.attempt.buffer_pool(),
            None => BufferPool::shared(),
        }
    }

    fn decompressor(&self, encoding: &[u8]) -> Option<Arc<dyn Compressor>> {
        self.committed.get()?.attempt.decompressor(encoding)
    }

    fn reject(&self, status: Status, trailer: &Metadata) -> Status {
        if let Some(committed) = self.committed.get() {
            drop(committed.attempt.reject(status.clone(), trailer));
        }
        self.finish(Err(&status));
        status
    }

    fn fail(&self, status: Status) -> Status {
        match self.committed.get() {
            Some(committed) => drop(committed.attempt.fail(status.clone())),
            None => self.end(EndReason::Status(status.clone())),
        }
        self.finish(Err(&status));
        status
    }

    fn abandon(&self) {
        MessageSink::abandon(self);
        let status = self.failure().unwrap_or_else(dropped);
        self.finish(Err(&status));
    }

    fn local_end(&self) -> Option<Status> {
        self.failure()
    }
}

/// The answer of uncommitted attempts to the receiving half.
fn nothing_received(_: &Uncommitted, _: &mut Context<'_>) -> Poll<()> {
    Poll::Pending
}

fn dropped() -> Status {
    Status::cancelled("a half of the call's streams was dropped")
}

impl Drop for StreamCall {
    fn drop(&mut self) {
        let status = self.failure().unwrap_or_else(dropped);
        if let Some(mut uncommitted) = self.take() {
            uncommitted.cancel_attempts();
        }
        self.finish(Err(&status));
    }
}
