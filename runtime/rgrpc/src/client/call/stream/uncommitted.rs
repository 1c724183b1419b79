//! The attempts at a streaming call that none of them has committed.
//!
//! Owned by the call's state, or by the half that drives them; polled under no lock.
//!
//! Source: gRFC A6; grpc-go `clientStream.retryLocked`, `clientStream.commitAttemptLocked`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::attempt::{AttemptProgress, StreamAttempt, StreamContext, send_on};
use super::replay_buffer::{ReplayBuffer, Sent};
use crate::client::call::attempt::CallAttempt;
use crate::client::call::bounds::{BoundedCall, Exceeded};
use crate::client::call::scheduler::{AttemptDecision, AttemptScheduler};
use crate::client::call::wait_reason::WaitReason;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::current_runtime;
use crate::transport::{IncomingHead, NoHead};

/// A call that is not committed to an attempt yet.
pub(super) struct Uncommitted {
    context: Arc<StreamContext>,
    pub(super) scheduler: AttemptScheduler,
    /// The timer of the next attempt, and the time that it is set to.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    pub(super) attempts: Vec<StreamAttempt>,
    pub(super) buffer: ReplayBuffer,
    last_failure: Option<Status>,
    /// The end of this state, once there is one: no attempt is left then.
    pub(super) outcome: Option<Outcome>,
}

pub(super) enum Outcome {
    /// The attempt that commits the call, and what it has received.
    Committed {
        attempt: Arc<CallAttempt>,
        head: Option<Result<IncomingHead, NoHead>>,
        end: Option<Metadata>,
    },
    Failed(Status),
}

/// A reason to end a call from this side.
pub(super) enum EndReason {
    Exceeded(Exceeded),
    Status(Status),
}

impl Uncommitted {
    /// Creates the attempts of a call that begins now. The first one begins when they are driven.
    pub(super) fn new(context: Arc<StreamContext>, scheduler: AttemptScheduler) -> Self {
        let limit = context.call.max_retry_buffer_size();
        Self {
            context,
            scheduler,
            timer: None,
            attempts: Vec::new(),
            buffer: ReplayBuffer::new(limit),
            last_failure: None,
            outcome: None,
        }
    }

    /// Begins the attempts that are due and polls those under way, until nothing moves or there is
    /// an outcome.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        while self.outcome.is_none() {
            while let Some(number) = self.scheduler.begin_due(Instant::now()) {
                self.attempts
                    .push(StreamAttempt::begin(&self.context, number));
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
            && let Err(status) = current_runtime("a call was retried")
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
                let repeated = attempt.repeated();
                if let Some(attempt) = attempt.into_attempt() {
                    self.context.call.show(attempt.response_info());
                }
                let last = failure.status.clone();
                let random = fastrand::f64();
                match self.scheduler.failed(failure, Instant::now, random) {
                    AttemptDecision::RepeatNow => {
                        self.attempts
                            .push(StreamAttempt::begin(&self.context, repeated));
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
    pub(super) fn send(&mut self, sent: Sent) {
        match &self.outcome {
            None => {}
            Some(Outcome::Committed { attempt, .. }) => {
                // The receiving half says why it cannot be sent.
                let _ = send_on(attempt, sent);
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
        self.decide(Outcome::Committed { attempt, head, end });
    }

    /// The call has failed.
    fn fail(&mut self, status: Status) {
        self.decide(Outcome::Failed(status));
    }

    /// The call is decided: the other attempts are cancelled, and none begins any more.
    fn decide(&mut self, outcome: Outcome) {
        if !self.attempts.is_empty() {
            self.end_attempts(&Status::cancelled("another attempt has decided the call"));
        }
        self.scheduler.stop();
        self.timer = None;
        self.buffer.clear();
        self.context.call.commit();
        self.outcome = Some(outcome);
    }

    /// Ends the call from this side. The first status of a failure stays.
    pub(super) fn end(&mut self, end: EndReason) {
        match &self.outcome {
            Some(Outcome::Failed(_)) => {}
            Some(Outcome::Committed { attempt, .. }) => end_attempt(attempt, &self.context, end),
            None => {
                let status = match end {
                    EndReason::Status(status) => status,
                    EndReason::Exceeded(exceeded) => self.exceed(exceeded),
                };
                self.context.recorder.end(status.clone());
                self.end_attempts(&status);
                self.fail(status);
            }
        }
    }

    /// The status of the call that has exceeded this bound. Attempts without a stream are dropped:
    /// they record the reason of their wait then, and end with this status.
    fn exceed(&mut self, exceeded: Exceeded) -> Status {
        let context = Arc::clone(&self.context);
        let (target, recorder) = (context.conn.target(), &context.recorder);
        recorder.exceed(exceeded);
        if let Some(open) = self.attempts.iter().find_map(StreamAttempt::open) {
            recorder.record(open.wait_reason());
        } else {
            if let Some(last) = self.last_failure.take() {
                let attempt = self.scheduler.begun() + 1;
                recorder.record(WaitReason::Backoff { attempt, last });
            }
            self.attempts.retain(|attempt| !attempt.is_opening());
        }
        let status = recorder.status(target);
        status.unwrap_or_else(|| exceeded.status(target, None))
    }

    /// Ends the attempts under way.
    fn end_attempts(&mut self, status: &Status) {
        self.attempts
            .drain(..)
            .for_each(|attempt| attempt.end(status));
    }
}

/// Ends the attempt of a committed call.
pub(super) fn end_attempt(attempt: &CallAttempt, context: &StreamContext, end: EndReason) {
    attempt.end_now(&match end {
        EndReason::Status(status) => status,
        EndReason::Exceeded(exceeded) => {
            exceeded.status(context.conn.target(), Some(&attempt.wait_reason()))
        }
    });
}
