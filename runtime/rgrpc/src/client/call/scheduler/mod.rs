//! Decides when the attempts at a call begin and what their failures mean for the call.
//!
//! One state machine without a clock for retries, hedging, throttling, pushback and transparent
//! retries: the time and the random numbers are arguments. Driven by the unary call and by the
//! streaming call, on the task that polls them.
//!
//! The decision on a failed attempt; the first row that applies decides:
//!
//! ```text
//! failure                            retries                        hedging
//! ---------------------------------  -----------------------------  -----------------------------
//! never sent                         RetryAfter(0), later pauses    RepeatNow
//! refused, below the bound           RetryAfter(0), later pauses    RepeatNow (bound: once)
//! final                              Fail                           Fail
//! pushback: stop                     Fail                           see the rows below
//! code that the policy does not name Fail, refused: with the bound  Fail
//! throttled                          Fail                           AwaitOthers, no further hedge
//! no attempt left                    Fail, with their number        AwaitOthers
//! pushback: stop                     -                              AwaitOthers, no further hedge
//! pushback: after a delay            RetryAfter(the delay)          AwaitOthers, next hedge then
//! otherwise                          RetryAfter(backoff)            AwaitOthers, next hedge now
//! ```
//!
//! The throttle counts a failure in all rows below "final" whose code the policy names, and each
//! pushback that stops.
//!
//! Source: gRFC A6; grpc-go's `csAttempt.shouldRetry`, which has no hedging.

mod backoff;
mod pushback;
mod transparent_retries;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::backoff::backoff;
use self::pushback::Pushback;
use self::transparent_retries::TransparentRetries;
use crate::client::config::RetryThrottle;
use crate::service_config::{AttemptPolicy, HedgingPolicy, RetryPolicy};
use crate::status::Status;
use crate::transport::Delivery;

/// The failure of an attempt.
#[derive(Debug)]
pub(super) struct AttemptFailure {
    pub(super) status: Status,
    pub(super) delivery: Delivery,
    /// Nothing may follow: the response has begun, or another attempt would fail alike.
    pub(super) is_final: bool,
}

impl AttemptFailure {
    /// A failure on this side that another attempt would share.
    pub(super) fn final_here(status: Status) -> Self {
        Self {
            status,
            delivery: Delivery::Possible,
            is_final: true,
        }
    }

    /// A failure on this side that another attempt need not share.
    pub(super) fn passing_here(status: Status) -> Self {
        Self {
            status,
            delivery: Delivery::Possible,
            is_final: false,
        }
    }
}

/// The place of an attempt among those of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttemptNumber {
    /// The number of attempts before it, transparent retries not counted.
    pub(super) previous: u32,
    /// It repeats one that no server has processed.
    pub(super) is_transparent_retry: bool,
    pub(super) is_hedged: bool,
}

impl AttemptNumber {
    /// Returns whether the attempt is the first of its call.
    pub(super) fn is_first(self) -> bool {
        self.previous == 0 && !self.is_transparent_retry
    }
}

/// The attempts at one call.
#[derive(Clone, Debug)]
pub(super) struct AttemptScheduler {
    policy: Policy,
    throttle: Option<Arc<RetryThrottle>>,
    transparent: TransparentRetries,
    /// The number of attempts that have begun, transparent retries not counted.
    begun: u32,
    /// The number of backoffs since the last pushback.
    backoffs: u32,
    /// The attempt that begins next repeats one that no server has processed.
    repeats: bool,
    next: NextAttempt,
}

#[derive(Clone, Debug)]
enum Policy {
    /// One attempt at a time; without a retry policy there are transparent retries alone.
    Retry(Option<Arc<RetryPolicy>>),
    /// Several attempts at once.
    Hedge(Arc<HedgingPolicy>),
}

/// The time of the next attempt.
///
/// ```text
///   AtOnce ──an attempt begins──► Never (retries), At (hedging)
///   Never  ──it fails──► At
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextAttempt {
    AtOnce,
    At(Instant),
    /// No attempt follows, as far as is known.
    Never,
}

/// The decision on a failed attempt.
#[derive(Debug)]
pub(super) enum AttemptDecision {
    /// Another attempt begins after this delay; no other is under way.
    RetryAfter(Duration),
    /// The same attempt begins again at once, and does not count.
    RepeatNow,
    /// The attempts that are under way and the next hedge decide.
    AwaitOthers,
    /// The call has failed with this status.
    Fail(Status),
}

impl AttemptScheduler {
    /// Schedules the first attempt at once. Refused attempts of a call without hedging are repeated
    /// at most `max_transparent_retries` times, those of a hedged call once.
    pub(super) fn new(
        policy: Option<AttemptPolicy>,
        throttle: Option<Arc<RetryThrottle>>,
        max_transparent_retries: u16,
    ) -> Self {
        let (policy, max_transparent) = match policy {
            None => (Policy::Retry(None), max_transparent_retries),
            Some(AttemptPolicy::Retry(policy)) => {
                (Policy::Retry(Some(policy)), max_transparent_retries)
            }
            Some(AttemptPolicy::Hedging(policy)) => (Policy::Hedge(policy), 1),
        };
        Self {
            policy,
            throttle,
            transparent: TransparentRetries::at_most(max_transparent),
            begun: 0,
            backoffs: 0,
            repeats: false,
            next: NextAttempt::AtOnce,
        }
    }

    /// Returns whether several attempts may be under way at once.
    pub(super) fn is_hedged(&self) -> bool {
        matches!(self.policy, Policy::Hedge(_))
    }

    /// The number of attempts that have begun, transparent retries not counted: before an attempt
    /// begins, its `grpc-previous-rpc-attempts`.
    pub(super) fn begun(&self) -> u32 {
        self.begun
    }

    /// The time at which the next attempt is due, if it is known; `now` if that is at once.
    pub(super) fn next_at(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        match self.next {
            NextAttempt::AtOnce => Some(now()),
            NextAttempt::At(at) => Some(at),
            NextAttempt::Never => None,
        }
    }

    /// Begins the attempt that is due at `now`, if one is.
    pub(super) fn begin_due(&mut self, now: Instant) -> Option<AttemptNumber> {
        match self.next {
            NextAttempt::AtOnce => {}
            NextAttempt::At(at) if at <= now => {}
            NextAttempt::At(_) | NextAttempt::Never => return None,
        }
        match &self.policy {
            Policy::Retry(_) => Some(self.begin_next()),
            Policy::Hedge(policy) => {
                let next_at = now.checked_add(policy.delay);
                let throttled = self.throttle.as_ref().is_some_and(|one| !one.allows());
                // The first is always sent.
                if self.begun > 0 && throttled {
                    self.stop();
                    return None;
                }
                let number = self.begin_next();
                self.schedule_hedge(next_at);
                Some(number)
            }
        }
    }

    /// Begins the next attempt, whose delay is over. Reads no clock.
    pub(super) fn begin_next(&mut self) -> AttemptNumber {
        self.next = NextAttempt::Never;
        self.begun += 1;
        AttemptNumber {
            previous: self.begun - 1,
            is_transparent_retry: std::mem::take(&mut self.repeats),
            is_hedged: self.is_hedged(),
        }
    }

    /// Decides what follows the failure of an attempt; see the table above. `random` is in [0, 1).
    pub(super) fn failed(
        &mut self,
        failure: AttemptFailure,
        now: impl FnOnce() -> Instant,
        random: f64,
    ) -> AttemptDecision {
        let AttemptFailure {
            status,
            delivery,
            is_final,
        } = failure;
        if let Some(pause) = self.transparent.after(delivery, random) {
            if self.is_hedged() {
                return AttemptDecision::RepeatNow;
            }
            // It did not count.
            self.begun = self.begun.saturating_sub(1);
            self.repeats = true;
            return self.retry_after(pause, now());
        }
        if is_final {
            return AttemptDecision::Fail(status);
        }
        let pushback = Pushback::read(status.metadata());
        let is_named = self.policy.names(&status);
        let counts = is_named || pushback == Pushback::Stop;
        let throttled = counts && self.throttle.as_ref().is_some_and(|one| !one.failed());
        match &self.policy {
            Policy::Retry(policy) => {
                let Some(policy) = policy.as_ref().filter(|_| is_named) else {
                    let refused = delivery == Delivery::Refused && pushback != Pushback::Stop;
                    return AttemptDecision::Fail(if refused {
                        self.transparent.refused(status)
                    } else {
                        status
                    });
                };
                if pushback == Pushback::Stop || throttled {
                    return AttemptDecision::Fail(status);
                }
                if self.begun >= policy.max_attempts {
                    return AttemptDecision::Fail(none_left(status, self.begun));
                }
                let delay = match pushback {
                    Pushback::After(delay) => {
                        self.backoffs = 0;
                        delay
                    }
                    Pushback::None | Pushback::Stop => {
                        let delay = backoff(policy, self.backoffs, random);
                        self.backoffs += 1;
                        delay
                    }
                };
                self.retry_after(delay, now())
            }
            Policy::Hedge(_) => {
                if !is_named {
                    return AttemptDecision::Fail(status);
                }
                let none_follows = self.next == NextAttempt::Never;
                if throttled || none_follows || pushback == Pushback::Stop {
                    self.stop();
                    return AttemptDecision::AwaitOthers;
                }
                self.schedule_hedge(match pushback {
                    Pushback::After(delay) => now().checked_add(delay),
                    Pushback::None | Pushback::Stop => Some(now()),
                });
                AttemptDecision::AwaitOthers
            }
        }
    }

    /// The status of a call whose attempts have all failed, given the last failure.
    pub(super) fn exhausted(&self, last: Status) -> Status {
        if self.is_hedged() && self.begun > 1 {
            none_left(last, self.begun)
        } else {
            last
        }
    }

    /// No further attempt begins.
    pub(super) fn stop(&mut self) {
        self.next = NextAttempt::Never;
    }

    /// The call has succeeded.
    pub(super) fn succeeded(&self) {
        if let Some(throttle) = &self.throttle {
            throttle.succeeded();
        }
    }

    fn retry_after(&mut self, delay: Duration, now: Instant) -> AttemptDecision {
        self.next = at(now.checked_add(delay));
        AttemptDecision::RetryAfter(delay)
    }

    /// Schedules the next hedge, if the policy allows another.
    fn schedule_hedge(&mut self, time: Option<Instant>) {
        if let Policy::Hedge(policy) = &self.policy {
            let is_allowed = self.begun < policy.max_attempts;
            self.next = at(time.filter(|_| is_allowed));
        }
    }
}

impl Policy {
    /// Returns whether the policy has another attempt follow a failure with this status.
    fn names(&self, status: &Status) -> bool {
        match self {
            Self::Retry(None) => false,
            Self::Retry(Some(policy)) => policy.retryable_codes.contains(status.code()),
            Self::Hedge(policy) => policy.non_fatal_codes.contains(status.code()),
        }
    }
}

/// The next attempt at this time; one too far away to be expressed does not come.
fn at(time: Option<Instant>) -> NextAttempt {
    time.map_or(NextAttempt::Never, NextAttempt::At)
}

/// The last failure of a call whose policy allows no further attempt.
fn none_left(status: Status, attempts: u32) -> Status {
    let text = format!("{} (the last of {attempts} attempts)", status.message());
    status.with_message(text)
}
