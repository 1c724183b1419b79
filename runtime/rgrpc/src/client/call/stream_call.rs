//! A streaming call, or a hedged one: attempts, one of which becomes the call.
//!
//! There is no task for it; whoever polls a half drives all attempts, and their events wake both halves.
//! A task watches over the call's bounds, if it has any.
//!
//! Source: gRFC A6; grpc-go `clientStream.withRetry`, `clientStream.commitAttempt`.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use rgrpc_http2::BytesQueue;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::bounds::{Bounds, Exceeded};
use super::call_attempt::CallAttempt;
use super::replay_buffer::{ReplayBuffer, Sent};
use super::scheduler::{AttemptDecision, AttemptScheduler};
use super::stream_attempt::{AttemptProgress, StreamAttempt, StreamContext};
use super::stream_wakers::{StreamHalf, StreamWakers};
use super::wait_reason::WaitReason;
use crate::call::{CancelHandle, FinishHooks, MessageSink, MessageSource, SourceEvent};
use crate::codec::Compressor;
use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::{Lost, current_runtime, watched};
use crate::transport::{IncomingHead, NoHead, Wanted};

/// A streaming call, or a hedged one.
///
/// Until it is committed, sent messages go to all attempts under way, and into a [`ReplayBuffer`] for
/// those to come. An attempt commits the call when it has received headers or has ended well, or when
/// the buffer is over its limit; from then on the halves are those of that attempt, and the others are
/// cancelled.
pub(super) struct StreamCall {
    context: Arc<StreamContext>,
    /// The attempt that has committed the call: set once, together with [`CallState::Committed`], and read
    /// by each operation of a committed call without a lock.
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
    /// The attempts are at rest.
    Uncommitted(Box<Uncommitted>),
    /// Somebody drives the attempts; the orders of others wait until they are put back.
    Driven(Orders),
    /// [`StreamCall::committed`] has the attempt.
    Committed,
    /// The call has failed before an attempt has committed it.
    Failed(Status),
}

/// The orders to a call whose attempts are being driven, for whoever drives them.
#[derive(Default)]
struct Orders {
    sent: Vec<Sent>,
    end: Option<CallEnd>,
    /// A half was polled meanwhile, and has to be polled again.
    polled: bool,
}

/// A reason to end a call from this side.
enum CallEnd {
    Exceeded(Exceeded),
    Status(Status),
}

/// A call that is one attempt.
struct Committed {
    attempt: Arc<CallAttempt>,
    scheduler: AttemptScheduler,
    /// The head that was received before the call was committed, until the receiving half asks for it.
    head: Mutex<Option<Result<IncomingHead, NoHead>>>,
    end: Option<Metadata>,
}

/// A call whose attempts have not committed it.
struct Uncommitted {
    context: Arc<StreamContext>,
    scheduler: AttemptScheduler,
    /// The timer of the next attempt, and the time that it is set to.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    attempts: Vec<StreamAttempt>,
    buffer: ReplayBuffer,
    last_failure: Option<Status>,
    /// The end of this state, once there is one: no attempt is left then.
    outcome: Option<Outcome>,
}

enum Outcome {
    /// The attempt that commits the call, and what it has received.
    Committed {
        attempt: Arc<CallAttempt>,
        head: Option<Result<IncomingHead, NoHead>>,
        end: Option<Metadata>,
    },
    Failed(Status),
}

/// The result of driving a call: its state, with the answer of the attempts while it is uncommitted.
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
        let limit = context.call.max_retry_buffer_size();
        let context = Arc::new(context);
        Self {
            committed: OnceLock::new(),
            state: Mutex::new(CallState::Uncommitted(Box::new(Uncommitted {
                context: Arc::clone(&context),
                scheduler,
                timer: None,
                attempts: Vec::new(),
                buffer: ReplayBuffer::new(limit),
                last_failure: None,
                outcome: None,
            }))),
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
                    Ok(exceeded) => call.end(CallEnd::Exceeded(exceeded)),
                    Err(lost) => call.unwatched(lost),
                }
            }
        });
        let task = tokio::spawn(task).abort_handle();
        *lock(&self.watch) = Some(task);
    }

    /// Nobody watches over the call's bounds any more. It ends, unless it has: else it could last for
    /// ever.
    fn unwatched(&self, lost: Lost) {
        if self.is_unfinished() {
            self.end(CallEnd::Status(Status::unavailable(format!(
                "the call's deadline is not watched over any more: {lost}"
            ))));
        }
    }

    /// Ends the call if its handle was used, so that a half that is polled after that reports it, and
    /// no message that has come before.
    fn check_cancelled(&self) {
        let handle = self.context.call.cancel_handle();
        let is_cancelled = handle.is_some_and(CancelHandle::is_cancelled);
        if is_cancelled && self.failure().is_none() && self.is_unfinished() {
            self.end(CallEnd::Exceeded(Exceeded::Cancelled));
        }
    }

    /// The reason why the call waits, if it has begun. The attempts of a call that is not committed are
    /// cancelled: it is over.
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
    pub(super) fn finish(&self, outcome: Result<(), &Status>) {
        // First, because the task that is aborted looks at them.
        let hooks = lock(&self.hooks).take();
        let watch = lock(&self.watch).take();
        if let Some(watch) = watch {
            watch.abort();
        }
        if let Some(hooks) = hooks {
            hooks.call(outcome);
        }
    }

    fn is_unfinished(&self) -> bool {
        lock(&self.hooks).is_some()
    }

    /// Drives the call for a half, unless it is committed; `answer` is asked of attempts that have not
    /// committed it.
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

    /// Takes the attempts, does `step` with them while no lock is held, carries out the orders that have
    /// come meanwhile, and puts the attempts back. Returns the step's result, and whether the halves have
    /// to be woken.
    ///
    /// `None` if there are no attempts, or somebody drives them at this moment: the caller is woken when
    /// they are put back.
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

    fn take(&self) -> Option<Box<Uncommitted>> {
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

    fn put_back(&self, mut uncommitted: Box<Uncommitted>) -> bool {
        let mut was_polled = false;
        loop {
            let orders = {
                let mut state = lock(&self.state);
                let CallState::Driven(orders) = &mut *state else {
                    // Whoever takes the attempts is the one who puts them back.
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

    /// The state of a call whose attempts have come this far, and what is left of them, to be dropped
    /// without the lock, if that is another state. The lock is held.
    fn state_after(
        &self,
        mut uncommitted: Box<Uncommitted>,
    ) -> (CallState, Option<Box<Uncommitted>>) {
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

    fn send(&self, sent: Sent) -> Result<(), Status> {
        if let Some(committed) = self.committed.get() {
            return committed.attempt.send_operation(sent);
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
                return sent.map_or(Ok(()), |sent| committed.attempt.send_operation(sent));
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
    fn end(&self, end: CallEnd) {
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

/// Fails a call when user code has panicked while its attempts were driven: they are not put back, and
/// the other half must not wait for them.
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

/// Ends the attempt of a committed call.
fn end_attempt(attempt: &CallAttempt, context: &StreamContext, end: CallEnd) {
    attempt.end(match end {
        CallEnd::Status(status) => status,
        CallEnd::Exceeded(exceeded) => {
            exceeded.status(context.conn.target(), || Some(attempt.wait_reason()))
        }
    });
}

impl Uncommitted {
    /// Begins the attempts that are due and polls those under way, until nothing moves or there is an
    /// outcome.
    fn drive(&mut self, cx: &mut Context<'_>) {
        while self.outcome.is_none() {
            while let Some(previous) = self.scheduler.begin_due(Instant::now()) {
                self.attempts
                    .push(StreamAttempt::begin(&self.context, previous));
            }
            if self.attempts.is_empty() && self.scheduler.next_at(Instant::now).is_none() {
                let last = self.last_failure.take();
                let last = last.unwrap_or_else(|| Status::internal("no attempt was made"));
                self.fail(self.scheduler.exhausted(last));
                return;
            }
            match self.poll_attempts(cx) {
                Poll::Ready((index, progress)) => self.progress(index, progress),
                Poll::Pending if self.poll_timer(cx).is_ready() => {}
                Poll::Pending => return,
            }
        }
    }

    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Poll<(usize, AttemptProgress)> {
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            if let Poll::Ready(progress) = attempt.poll(cx) {
                return Poll::Ready((index, progress));
            }
        }
        Poll::Pending
    }

    /// Ready when an attempt is due, or the call has failed.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.scheduler.next_at(Instant::now) else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.take_if(|(set_to, _)| *set_to == at);
        if timer.is_none()
            && let Err(status) = current_runtime("a call was made, which was to be retried,")
        {
            self.fail(status);
            return Poll::Ready(());
        }
        let (_, mut sleep) = timer.unwrap_or_else(|| (at, Box::pin(sleep_until(at))));
        let poll = sleep.as_mut().poll(cx);
        if poll.is_pending() {
            self.timer = Some((at, sleep));
        }
        poll
    }

    fn progress(&mut self, index: usize, progress: AttemptProgress) {
        match progress {
            AttemptProgress::Opened => {
                for sent in self.buffer.replay() {
                    self.attempts[index].send(sent);
                }
                // Messages that were sent while there was no attempt to take them.
                if self.buffer.is_over() {
                    self.commit(index, None, None);
                }
            }
            AttemptProgress::Head(head) => self.commit(index, Some(Ok(head)), None),
            AttemptProgress::Ended(trailer) => {
                self.commit(index, Some(Err(NoHead)), Some(trailer));
            }
            AttemptProgress::Failed(failure) => {
                let attempt = self.attempts.remove(index);
                let previous = attempt.previous();
                if let Some(attempt) = attempt.into_attempt() {
                    self.context.call.show(attempt.response_info());
                }
                let last = failure.status.clone();
                let random = fastrand::f64();
                match self.scheduler.failed(failure, Instant::now, random) {
                    AttemptDecision::RepeatNow => {
                        self.attempts
                            .push(StreamAttempt::begin(&self.context, previous));
                    }
                    AttemptDecision::RetryAfter(_) | AttemptDecision::AwaitOthers => {
                        self.last_failure = Some(last);
                    }
                    AttemptDecision::Fail(status) => self.fail(status),
                }
            }
        }
    }

    /// Sends to all attempts under way, which may commit the call.
    fn send(&mut self, sent: Sent) {
        match &self.outcome {
            None => {}
            Some(Outcome::Committed { attempt, .. }) => {
                // The receiving half says why it cannot be sent.
                let _ = attempt.send_operation(sent);
                return;
            }
            Some(Outcome::Failed(_)) => return,
        }
        self.buffer.push(sent.clone());
        for attempt in &self.attempts {
            attempt.send(sent.clone());
        }
        if !self.buffer.is_over() || self.attempts.is_empty() {
            return;
        }
        self.scheduler.stop();
        let open = self.attempts.iter().position(|one| one.open().is_some());
        if let Some(index) = open {
            self.commit(index, None, None);
        }
    }

    /// The call is this attempt; the others are cancelled.
    fn commit(
        &mut self,
        index: usize,
        head: Option<Result<IncomingHead, NoHead>>,
        end: Option<Metadata>,
    ) {
        let Some(attempt) = self.attempts.remove(index).into_attempt() else {
            return;
        };
        self.context.call.show(attempt.response_info());
        self.cancel_attempts();
        self.outcome = Some(Outcome::Committed { attempt, head, end });
    }

    /// The call has failed.
    fn fail(&mut self, status: Status) {
        self.cancel_attempts();
        self.outcome = Some(Outcome::Failed(status));
    }

    /// Ends the call from this side. The first status of a failure stays.
    fn end(&mut self, end: CallEnd) {
        match &self.outcome {
            Some(Outcome::Failed(_)) => {}
            Some(Outcome::Committed { attempt, .. }) => end_attempt(attempt, &self.context, end),
            None => {
                let status = match end {
                    CallEnd::Status(status) => status,
                    CallEnd::Exceeded(exceeded) => {
                        let context = Arc::clone(&self.context);
                        exceeded.status(context.conn.target(), || self.give_up())
                    }
                };
                self.fail(status);
            }
        }
    }

    /// Cancels the attempts under way. Returns the reason why the call has waited.
    fn give_up(&mut self) -> Option<WaitReason> {
        let attempt = self.scheduler.begun() + 1;
        let open = self.attempts.iter().find_map(StreamAttempt::open);
        let answer = open.map(|attempt| attempt.wait_reason());
        // An attempt without a stream records the reason of its wait when it is dropped.
        self.cancel_attempts();
        answer.or_else(|| self.context.recorder.take()).or_else(|| {
            let last = self.last_failure.take()?;
            Some(WaitReason::Backoff { attempt, last })
        })
    }

    /// Cancels the attempts under way; no other begins.
    fn cancel_attempts(&mut self) {
        self.scheduler.stop();
        self.timer = None;
        self.buffer.clear();
        self.attempts.drain(..).for_each(StreamAttempt::cancel);
    }
}

impl MessageSink for StreamCall {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let takes = |uncommitted: &Uncommitted, cx: &mut Context<'_>| {
            // A slower attempt gets messages that it has no room for nevertheless: the buffer is
            // bounded.
            let mut open = uncommitted.attempts.iter().filter_map(StreamAttempt::open);
            if open.any(|attempt| matches!(attempt.poll_ready(cx), Poll::Ready(Ok(())))) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        };
        match self.drive(StreamHalf::Send, cx, takes) {
            Drive::Committed(committed) => committed.attempt.poll_ready(cx),
            Drive::Failed(status) => Poll::Ready(Err(status)),
            Drive::Uncommitted(poll) => poll.map(Ok),
        }
    }

    fn compressor(&self) -> Option<Arc<dyn Compressor>> {
        self.context.call.send_compressor().cloned()
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.send(Sent::Message(message))
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        self.send(Sent::Last(message))
    }

    fn close(&self) {
        // The receiving half says why there is nothing to close.
        let _ = self.send(Sent::Close);
    }

    fn abandon(&self) {
        match self.committed.get() {
            Some(committed) => MessageSource::abandon(&*committed.attempt),
            None => self.end(CallEnd::Status(dropped())),
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

    fn poll_data(&self, cx: &mut Context<'_>, wanted: Wanted) -> Poll<SourceEvent> {
        let received = match self.drive(StreamHalf::Receive, cx, nothing_received) {
            Drive::Committed(committed) => match &committed.end {
                Some(trailer) => Poll::Ready(SourceEvent::End(Ok(trailer.clone()))),
                None => committed.attempt.poll_data(cx, wanted),
            },
            Drive::Uncommitted(_) => Poll::Pending,
            Drive::Failed(status) => Poll::Ready(SourceEvent::End(Err(status))),
        };
        if let Poll::Ready(SourceEvent::End(Err(status))) = &received {
            self.finish(Err(status));
        }
        received
    }

    fn accept(&self, trailer: &Metadata) {
        if let Some(committed) = self.committed.get() {
            committed.scheduler.succeeded();
            committed.attempt.accept(trailer);
        }
        self.finish(Ok(()));
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
            None => self.end(CallEnd::Status(status.clone())),
        }
        self.finish(Err(&status));
        status
    }

    fn abandon(&self) {
        MessageSink::abandon(self);
        let status = self.failure().unwrap_or_else(dropped);
        self.finish(Err(&status));
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::super::resolved_call::ResolvedCall;
    use super::super::wait_reason::WaitRecorder;
    use super::*;
    use crate::call::{CallOptions, MethodName};
    use crate::client::ClientConn;
    use crate::credentials;
    use crate::status::Code;

    /// A call of which no attempt has begun.
    fn call() -> StreamCall {
        let conn = ClientConn::new("passthrough:///a", credentials::insecure()).expect("valid");
        let context = StreamContext {
            conn,
            method: MethodName::Borrowed("/a.B/C"),
            content_subtype: "proto",
            call: ResolvedCall::new(CallOptions::new(), None, None, Instant::now),
            only_message: None,
            recorder: WaitRecorder::default(),
        };
        let scheduler = AttemptScheduler::new(None, None, 0);
        StreamCall::new(context, scheduler, FinishHooks::default())
    }

    fn cancelled(text: &'static str) -> CallEnd {
        CallEnd::Status(Status::cancelled(text))
    }

    fn text(status: Option<Status>) -> String {
        status.map_or_else(String::new, |status| status.message().to_owned())
    }

    /// Counts its wakes.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn messages_that_are_sent_while_the_attempts_are_driven_are_kept_in_order() {
        let call = call();
        let message = |byte| BytesQueue::from(bytes::Bytes::from(vec![byte]));
        call.send(Sent::Message(message(1))).expect("not failed");
        call.with_attempts(|_| {
            call.send(Sent::Message(message(2))).expect("not failed");
            call.send(Sent::Close).expect("not failed");
        });
        let replayed = call.with_attempts(|attempts| attempts.buffer.replay().collect::<Vec<_>>());
        let (replayed, _) = replayed.expect("put back");
        assert_eq!(
            replayed,
            [Sent::Message(message(1)), Sent::Last(message(2))]
        );
    }

    #[test]
    fn a_call_that_is_ended_while_its_attempts_are_driven_fails_when_they_are_put_back() {
        let call = call();
        let driven = call.with_attempts(|_| {
            call.end(cancelled("first"));
            call.end(cancelled("second"));
            assert!(call.failure().is_none(), "they are not put back");
        });
        let ((), wakes) = driven.expect("at rest before");
        assert!(wakes);
        assert_eq!(text(call.failure()), "first");
        assert!(call.with_attempts(|_| ()).is_none(), "none is left");
        let sent = call.send(Sent::Close);
        assert_eq!(text(sent.err()), "first");
    }

    #[test]
    fn a_half_that_is_polled_while_the_other_drives_is_woken_when_the_attempts_are_put_back() {
        let call = call();
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let driven = call.with_attempts(|_| {
            let polled = call.drive(
                StreamHalf::Receive,
                &Context::from_waker(&waker),
                nothing_received,
            );
            assert!(matches!(polled, Drive::Uncommitted(Poll::Pending)));
        });
        let ((), wakes) = driven.expect("at rest before");
        assert!(wakes);
        call.wakers.wake_other(StreamHalf::Send);
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_while_the_attempts_are_driven_fails_the_call() {
        let call = call();
        let driven = catch_unwind(AssertUnwindSafe(|| {
            call.with_attempts(|_| panic!("user code"));
        }));
        assert!(driven.is_err());
        let code = call.failure().map(|status| status.code());
        assert_eq!(code, Some(Code::Internal));
    }
}
