use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::attempt::{Attempt, Progress, Start};
use super::call::ClientCall;
use super::deadline::Exceeded;
use super::half_wakers::{Half, HalfWakers};
use super::plan::Plan;
use super::replay::{ReplayBuffer, Sent};
use super::schedule::{Schedule, Step};
use super::wait::Wait;
use crate::call::{CancelHandle, Finish, MessageSink, MessageSource, Received};
use crate::codec::Compressor;
use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::{Lost, current_runtime, watched};
use crate::transport::{IncomingHead, NoHead, Wanted};
use rgrpc_http2::BytesQueue;

/// A call with streams, or one that is hedged: attempts, of which one becomes the call.
///
/// Until then the call is undecided: what is sent goes to all attempts under way, and into a
/// [`ReplayBuffer`] for those to come. There is no task for it; whoever polls a half drives all
/// attempts, and what they wait for wakes both halves. The call is decided when an attempt has
/// received headers or ended well, or when the buffer is over its limit; from then on the halves
/// are those of that attempt, and the others are cancelled.
///
/// Source: gRFC A6; grpc-go `clientStream.withRetry`.
pub(super) struct StreamCall {
    /// The attempt that the call is, once it is decided.
    decided: OnceLock<Decided>,
    undecided: Mutex<Undecided>,
    /// What its messages are compressed by.
    compressor: Option<Arc<dyn Compressor>>,
    cancel: Option<CancelHandle>,
    wakers: Arc<HalfWakers>,
    /// What is called when the call has ended, until it was.
    finish: Mutex<Option<Finish>>,
    /// The task that watches over the call's bounds.
    watch: Mutex<Option<AbortHandle>>,
}

/// A call that is one attempt.
struct Decided {
    call: Arc<ClientCall>,
    /// What was received of it before it was decided, until the receiving half asks for it.
    head: Mutex<Option<Result<IncomingHead, NoHead>>>,
    end: Option<Metadata>,
}

/// A call whose attempts are still to decide it, or that has failed before one did.
struct Undecided {
    start: Arc<Start>,
    schedule: Schedule,
    /// When the next attempt is due.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    attempts: Vec<Attempt>,
    buffer: ReplayBuffer,
    last_failure: Option<Status>,
    failed: Option<Status>,
}

impl StreamCall {
    /// A call that begins now. Its first attempt begins when the call is driven.
    pub(super) fn new(start: Start, plan: Plan, finish: Finish) -> Self {
        let limit = start.options.max_retry_buffer_size();
        Self {
            compressor: start.options.send_compressor().cloned(),
            cancel: start.options.cancel_handle().cloned(),
            decided: OnceLock::new(),
            undecided: Mutex::new(Undecided {
                start: Arc::new(start),
                schedule: Schedule::new(plan, Instant::now()),
                timer: None,
                attempts: Vec::new(),
                buffer: ReplayBuffer::new(limit),
                last_failure: None,
                failed: None,
            }),
            wakers: Arc::default(),
            finish: Mutex::new(Some(finish)),
            watch: Mutex::new(None),
        }
    }

    /// Drives the call until an attempt is under way.
    ///
    /// # Errors
    /// The status that the call ended with before.
    pub(super) async fn opened(&self) -> Result<(), Status> {
        poll_fn(|cx| match self.drive(Half::Receive, cx) {
            Drive::Decided(_) => Poll::Ready(Ok(())),
            Drive::Undecided(undecided) => {
                match undecided.attempts.iter().find_map(Attempt::open) {
                    Some(_) => Poll::Ready(Ok(())),
                    None => Poll::Pending,
                }
            }
            Drive::Failed(status) => Poll::Ready(Err(status)),
        })
        .await
    }

    /// Ends the call when its bounds are exceeded, whether or not anyone polls its halves.
    pub(super) fn watch_bounds(self: &Arc<Self>) {
        let bounds = lock(&self.undecided).start.bounds.clone();
        if bounds.is_unbounded() {
            return;
        }
        let call = Arc::downgrade(self);
        let watch = async move { bounds.exceeded().await };
        let task = watched(watch, move |ended| {
            if let Some(call) = call.upgrade() {
                match ended {
                    Ok(exceeded) => call.exceed(exceeded),
                    Err(lost) => call.unwatched(lost),
                }
            }
        });
        *lock(&self.watch) = Some(tokio::spawn(task).abort_handle());
    }

    /// Nobody watches over the call's bounds any more. It ends, unless it has: else it could last for
    /// ever.
    fn unwatched(&self, lost: Lost) {
        if lock(&self.finish).is_some() {
            self.end(Status::unavailable(format!(
                "the call's deadline is not watched over any more: {lost}"
            )));
        }
    }

    /// Ends the call if its handle was used, so that a half that is polled after that reports it, and
    /// no message that has come before.
    fn check_cancelled(&self) {
        let is_cancelled = self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled);
        if is_cancelled && self.failure().is_none() && lock(&self.finish).is_some() {
            self.exceed(Exceeded::Cancelled);
        }
    }

    /// A bound of the call was exceeded.
    fn exceed(&self, exceeded: Exceeded) {
        let conn = {
            let mut undecided = lock(&self.undecided);
            let conn = undecided.start.conn.clone();
            if self.decided.get().is_none() {
                let status = exceeded.status(conn.target(), || undecided.give_up());
                undecided.fail(status);
                self.wakers.wake_all();
                return;
            }
            conn
        };
        if let Some(decided) = self.decided.get() {
            let waits_for = || Some(decided.call.waits_for());
            decided.call.end(exceeded.status(conn.target(), waits_for));
        }
    }

    /// What the call waits for, if it has begun. The attempts of one that is not decided are cancelled:
    /// it is over.
    pub(super) fn give_up(&self) -> Option<Wait> {
        let mut undecided = lock(&self.undecided);
        match self.decided.get() {
            Some(decided) => Some(decided.call.waits_for()),
            None => undecided.give_up(),
        }
    }

    /// The call has ended, and its halves know or are gone.
    pub(super) fn finish(&self, outcome: Result<(), &Status>) {
        // First, because the task that is aborted looks at it.
        let finish = lock(&self.finish).take();
        let watch = lock(&self.watch).take();
        if let Some(watch) = watch {
            watch.abort();
        }
        if let Some(finish) = finish {
            finish.call(outcome);
        }
    }

    /// Drives the call, unless it is decided.
    fn drive(&self, half: Half, cx: &Context<'_>) -> Drive<'_> {
        self.check_cancelled();
        if let Some(decided) = self.decided.get() {
            return Drive::Decided(decided);
        }
        let mut undecided = lock(&self.undecided);
        if self.decided.get().is_none() && undecided.failed.is_none() {
            // Before looking, so that no change is missed.
            self.wakers.register(half, cx.waker());
            let waker = Waker::from(Arc::clone(&self.wakers));
            let decided = undecided.drive(&mut Context::from_waker(&waker));
            self.settle(&undecided, decided, half);
        }
        if let Some(decided) = self.decided.get() {
            return Drive::Decided(decided);
        }
        match undecided.failed.clone() {
            Some(status) => Drive::Failed(status),
            None => Drive::Undecided(undecided),
        }
    }

    /// Takes in what a step has made of the call, and tells the other half.
    fn settle(&self, undecided: &Undecided, decided: Option<Decided>, half: Half) {
        let changed = decided.is_some() || undecided.failed.is_some();
        if let Some(decided) = decided {
            // Once: with the lock held, of a call that was not decided.
            let _ = self.decided.set(decided);
        }
        if changed {
            self.wakers.wake_other(half);
        }
    }

    fn send(&self, sent: Sent) -> Result<(), Status> {
        let decided = match self.decided.get() {
            Some(decided) => decided,
            None => {
                let mut undecided = lock(&self.undecided);
                if self.decided.get().is_none() {
                    if let Some(status) = &undecided.failed {
                        return Err(status.clone());
                    }
                    let decided = undecided.send(sent);
                    self.settle(&undecided, decided, Half::Send);
                    return Ok(());
                }
                match self.decided.get() {
                    Some(decided) => decided,
                    None => return Ok(()),
                }
            }
        };
        match sent {
            Sent::Message(message) => MessageSink::send(&*decided.call, message),
            Sent::Last(message) => decided.call.send_last(message),
            Sent::Close => {
                decided.call.close();
                Ok(())
            }
        }
    }

    /// Ends the call from this side, with the status that its halves report.
    fn end(&self, status: Status) {
        {
            let mut undecided = lock(&self.undecided);
            if self.decided.get().is_none() {
                undecided.fail(status);
                self.wakers.wake_all();
                return;
            }
        }
        if let Some(decided) = self.decided.get() {
            decided.call.end(status);
        }
    }

    /// Why the call has ended, if it has failed on this side.
    fn failure(&self) -> Option<Status> {
        match self.decided.get() {
            Some(decided) => decided.call.ended_here(),
            None => lock(&self.undecided).failed.clone(),
        }
    }
}

/// What driving a call has come to.
enum Drive<'a> {
    Decided(&'a Decided),
    Undecided(MutexGuard<'a, Undecided>),
    Failed(Status),
}

impl Undecided {
    /// Begins the attempts that are due and looks what has become of those under way, until nothing
    /// moves; the outcome, once one decides the call.
    fn drive(&mut self, cx: &mut Context<'_>) -> Option<Decided> {
        loop {
            while let Some(previous) = self.schedule.begin(Instant::now()) {
                self.attempts.push(Attempt::begin(&self.start, previous));
            }
            if self.attempts.is_empty() && self.schedule.next_at().is_none() {
                let last = self.last_failure.take();
                let last = last.unwrap_or_else(|| Status::internal("no attempt was made"));
                self.fail(self.schedule.exhausted(last));
                return None;
            }
            match self.poll_attempts(cx) {
                Poll::Ready((index, progress)) => {
                    let decided = self.progress(index, progress);
                    if decided.is_some() || self.failed.is_some() {
                        return decided;
                    }
                }
                Poll::Pending if self.poll_timer(cx).is_ready() => {
                    if self.failed.is_some() {
                        return None;
                    }
                }
                Poll::Pending => return None,
            }
        }
    }

    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Poll<(usize, Progress)> {
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            if let Poll::Ready(progress) = attempt.poll(cx) {
                return Poll::Ready((index, progress));
            }
        }
        Poll::Pending
    }

    /// Ready when an attempt is due.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.schedule.next_at() else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.take_if(|(set_to, _)| *set_to == at);
        if timer.is_none()
            && let Err(status) = current_runtime("a call was made, which was to be tried again,")
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

    fn progress(&mut self, index: usize, progress: Progress) -> Option<Decided> {
        match progress {
            Progress::Opened => {
                for sent in self.buffer.replay() {
                    self.attempts[index].send(sent);
                }
                // What was sent while there was no attempt to take it.
                if self.buffer.is_over() {
                    return self.decide(index, None, None);
                }
                None
            }
            Progress::Head(head) => self.decide(index, Some(Ok(head)), None),
            Progress::Ended(trailer) => self.decide(index, Some(Err(NoHead)), Some(trailer)),
            Progress::Failed(failure) => {
                let attempt = self.attempts.remove(index);
                let previous = attempt.previous();
                if let Some(call) = attempt.into_call() {
                    self.start.options.show(call.told());
                }
                let status = failure.status.clone();
                match self
                    .schedule
                    .failed(failure, Instant::now(), fastrand::f64())
                {
                    Step::Again => self.attempts.push(Attempt::begin(&self.start, previous)),
                    Step::Wait => self.last_failure = Some(status),
                    Step::End(status) => self.fail(status),
                }
                None
            }
        }
    }

    /// Sends to all attempts under way; the outcome, when that decides the call.
    fn send(&mut self, sent: Sent) -> Option<Decided> {
        self.buffer.push(sent.clone());
        for attempt in &self.attempts {
            attempt.send(sent.clone());
        }
        if !self.buffer.is_over() || self.attempts.is_empty() {
            return None;
        }
        self.schedule.stop();
        let open = self.attempts.iter().position(|one| one.open().is_some());
        open.and_then(|index| self.decide(index, None, None))
    }

    /// The call is this attempt; the others are cancelled.
    fn decide(
        &mut self,
        index: usize,
        head: Option<Result<IncomingHead, NoHead>>,
        end: Option<Metadata>,
    ) -> Option<Decided> {
        let call = self.attempts.remove(index).into_call()?;
        self.start.options.show(call.told());
        self.drop_all();
        Some(Decided {
            call,
            head: Mutex::new(head),
            end,
        })
    }

    /// The call has failed. The first status stays.
    fn fail(&mut self, status: Status) {
        self.failed.get_or_insert(status);
        self.drop_all();
    }

    /// Cancels the attempts under way. Returns what the call has waited for.
    fn give_up(&mut self) -> Option<Wait> {
        let attempt = self.schedule.begun() + 1;
        let open = self.attempts.iter().find_map(Attempt::open);
        let answer = open.map(|call| call.waits_for());
        // What those have waited for that have no stream is known when they are dropped.
        self.drop_all();
        answer.or_else(|| self.start.given_up.take()).or_else(|| {
            let last = self.last_failure.take()?;
            Some(Wait::Backoff { attempt, last })
        })
    }

    /// Cancels the attempts under way; there are no others.
    fn drop_all(&mut self) {
        self.schedule.stop();
        self.timer = None;
        self.buffer.clear();
        self.attempts.drain(..).for_each(Attempt::cancel);
    }
}

impl MessageSink for StreamCall {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match self.drive(Half::Send, cx) {
            Drive::Decided(decided) => decided.call.poll_ready(cx),
            Drive::Failed(status) => Poll::Ready(Err(status)),
            Drive::Undecided(undecided) => {
                let waker = Waker::from(Arc::clone(&self.wakers));
                let mut cx = Context::from_waker(&waker);
                // A slower one gets what it has no room for nevertheless: the buffer is bounded.
                let takes = |call: &Arc<ClientCall>| {
                    matches!(call.poll_ready(&mut cx), Poll::Ready(Ok(())))
                };
                if undecided
                    .attempts
                    .iter()
                    .filter_map(Attempt::open)
                    .any(takes)
                {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                }
            }
        }
    }

    fn compressor(&self) -> Option<Arc<dyn Compressor>> {
        self.compressor.clone()
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
        match self.decided.get() {
            Some(decided) => MessageSource::abandon(&*decided.call),
            None => self.end(dropped()),
        }
    }
}

impl MessageSource for StreamCall {
    fn peer(&self) -> Option<&Arc<Peer>> {
        self.decided.get().map(|decided| decided.call.peer())
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        match self.drive(Half::Receive, cx) {
            Drive::Decided(decided) => match lock(&decided.head).take() {
                Some(head) => Poll::Ready(head),
                None => decided.call.poll_head(cx),
            },
            Drive::Undecided(_) => Poll::Pending,
            Drive::Failed(_) => Poll::Ready(Err(NoHead)),
        }
    }

    fn poll_data(&self, cx: &mut Context<'_>, wanted: Wanted) -> Poll<Received> {
        let received = match self.drive(Half::Receive, cx) {
            Drive::Decided(decided) => match &decided.end {
                Some(trailer) => Poll::Ready(Received::End(Ok(trailer.clone()))),
                None => decided.call.poll_data(cx, wanted),
            },
            Drive::Undecided(_) => Poll::Pending,
            Drive::Failed(status) => Poll::Ready(Received::End(Err(status))),
        };
        if let Poll::Ready(Received::End(Err(status))) = &received {
            self.finish(Err(status));
        }
        received
    }

    fn accept(&self, trailer: &Metadata) {
        lock(&self.undecided).schedule.succeeded();
        if let Some(decided) = self.decided.get() {
            decided.call.accept(trailer);
        }
        self.finish(Ok(()));
    }

    fn decompressor(&self, encoding: &[u8]) -> Option<Arc<dyn Compressor>> {
        self.decided.get()?.call.decompressor(encoding)
    }

    fn fail(&self, status: Status) -> Status {
        match self.decided.get() {
            Some(decided) => drop(decided.call.fail(status.clone())),
            None => self.end(status.clone()),
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

fn dropped() -> Status {
    Status::cancelled("a half of the call's streams was dropped")
}

impl Drop for StreamCall {
    fn drop(&mut self) {
        if self.decided.get().is_none() {
            lock(&self.undecided).drop_all();
        }
        let status = self.failure().unwrap_or_else(dropped);
        self.finish(Err(&status));
    }
}
