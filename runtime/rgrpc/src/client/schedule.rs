use tokio::time::Instant;

use super::hedging::{Hedges, Verdict};
use super::plan::Plan;
use super::retry::{Attempts, Failure, Next};
use crate::status::Status;

/// When the attempts at a call with streams begin: a [`Plan`] with the time of the next.
#[derive(Debug)]
pub(super) struct Schedule(Kind);

#[derive(Debug)]
enum Kind {
    Retries {
        attempts: Attempts,
        next_at: Option<Instant>,
    },
    Hedges(Hedges),
}

/// What follows a failed attempt.
#[derive(Debug)]
pub(super) enum Step {
    /// The same attempt once more, at once.
    Again,
    /// What the schedule says, and the attempts that are under way.
    Wait,
    /// The call has failed with this status.
    End(Status),
}

impl Schedule {
    /// The schedule of a call that begins now.
    pub(super) fn new(plan: Plan, now: Instant) -> Self {
        Self(match plan {
            Plan::Retry(attempts) => Kind::Retries {
                attempts,
                next_at: Some(now),
            },
            Plan::Hedge(mut hedges) => {
                hedges.start(now);
                Kind::Hedges(hedges)
            }
        })
    }

    /// When the next attempt begins; `None`: there is no other, as far as is known.
    pub(super) fn next_at(&self) -> Option<Instant> {
        match &self.0 {
            Kind::Retries { next_at, .. } => *next_at,
            Kind::Hedges(hedges) => hedges.next_at(),
        }
    }

    /// Whether an attempt begins now: returns how many there were before it.
    pub(super) fn begin(&mut self, now: Instant) -> Option<u32> {
        match &mut self.0 {
            Kind::Retries { attempts, next_at } => {
                next_at.take_if(|at| *at <= now)?;
                Some(attempts.previous())
            }
            Kind::Hedges(hedges) => hedges.begin(now),
        }
    }

    /// An attempt has failed. `random` is in [0, 1).
    pub(super) fn failed(&mut self, failure: Failure, now: Instant, random: f64) -> Step {
        match &mut self.0 {
            Kind::Retries { attempts, next_at } => match attempts.failed(&failure, random) {
                Next::After(delay) => {
                    // A time too far away to be expressed does not come.
                    *next_at = now.checked_add(delay);
                    Step::Wait
                }
                Next::GiveUp => Step::End(failure.status),
                Next::Refused => Step::End(attempts.refused(failure.status)),
                Next::NoneLeft => Step::End(none_left(failure.status, attempts.previous() + 1)),
            },
            Kind::Hedges(hedges) => match hedges.failed(&failure, now) {
                Verdict::Again => Step::Again,
                Verdict::Others => Step::Wait,
                Verdict::End => Step::End(failure.status),
            },
        }
    }

    /// The status of a call whose attempts have all failed, of which this is the last failure.
    pub(super) fn exhausted(&self, last: Status) -> Status {
        match &self.0 {
            Kind::Hedges(hedges) if hedges.begun() > 1 => none_left(last, hedges.begun()),
            _ => last,
        }
    }

    /// How many attempts have begun, transparent ones not counted.
    pub(super) fn begun(&self) -> u32 {
        match &self.0 {
            // The number that is known when one has failed is that of the next.
            Kind::Retries { attempts, next_at } => {
                attempts.previous() + u32::from(next_at.is_none())
            }
            Kind::Hedges(hedges) => hedges.begun(),
        }
    }

    /// No further attempt begins.
    pub(super) fn stop(&mut self) {
        match &mut self.0 {
            Kind::Retries { next_at, .. } => *next_at = None,
            Kind::Hedges(hedges) => hedges.stop(),
        }
    }

    /// The call has succeeded.
    pub(super) fn succeeded(&self) {
        match &self.0 {
            Kind::Retries { attempts, .. } => attempts.succeeded(),
            Kind::Hedges(hedges) => hedges.succeeded(),
        }
    }
}

/// The last failure of a call that its policy allows no further attempt.
pub(super) fn none_left(status: Status, attempts: u32) -> Status {
    let text = format!("{} (the last of {attempts} attempts)", status.message());
    status.with_message(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::service_config::ServiceConfig;
    use crate::transport::Delivery;

    /// A schedule by this field of a method's config.
    fn schedule(policy: &str, now: Instant) -> Schedule {
        let json = format!(r#"{{"methodConfig": [{{"name": [{{}}], {policy}}}]}}"#);
        let mut config = ServiceConfig::parse(&json).expect("valid");
        let mut methods = config.methods.iter_mut();
        let policy = methods.next().expect("one").attempts.clone();
        Schedule::new(Plan::new(policy, None), now)
    }

    fn busy(delivery: Delivery) -> Failure {
        Failure {
            status: Status::unavailable("busy"),
            delivery,
            is_final: false,
        }
    }

    const RETRY: &str = r#""retryPolicy": {
        "maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s",
        "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
    }"#;
    const HEDGE: &str = r#""hedgingPolicy": {
        "maxAttempts": 2, "hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]
    }"#;

    #[test]
    fn a_retry_begins_when_the_backoff_is_over_and_only_after_a_failure() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut schedule = schedule(RETRY, now);
        assert_eq!(schedule.begin(now), Some(0));
        assert_eq!(schedule.begin(now + 9 * second), None);
        assert_eq!(schedule.next_at(), None);
        let step = schedule.failed(busy(Delivery::Possible), now, 0.5);
        assert!(matches!(step, Step::Wait), "{step:?}");
        assert_eq!(schedule.next_at(), Some(now + second));
        assert_eq!(schedule.begin(now), None);
        assert_eq!(schedule.begin(now + second), Some(1));
        match schedule.failed(busy(Delivery::Possible), now, 0.5) {
            Step::End(status) => assert_eq!(status.message(), "busy (the last of 2 attempts)"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_transparent_retry_begins_at_once_with_the_same_number() {
        let now = Instant::now();
        let mut schedule = schedule(RETRY, now);
        assert_eq!(schedule.begin(now), Some(0));
        let step = schedule.failed(busy(Delivery::Refused), now, 0.5);
        assert!(matches!(step, Step::Wait), "{step:?}");
        assert_eq!(schedule.begin(now), Some(0));
    }

    #[test]
    fn hedges_that_have_all_failed_tell_how_many_they_were() {
        let now = Instant::now();
        for (copies, expected) in [(1, "busy"), (2, "busy (the last of 2 attempts)")] {
            let mut schedule = schedule(HEDGE, now);
            let mut at = now;
            for previous in 0..copies {
                assert_eq!(schedule.begin(at), Some(previous));
                at += Duration::from_secs(1);
            }
            let last = schedule.exhausted(Status::unavailable("busy"));
            assert_eq!(last.message(), expected);
        }
    }

    #[test]
    fn nothing_begins_once_it_was_stopped() {
        let now = Instant::now();
        for policy in [RETRY, HEDGE] {
            let mut schedule = schedule(policy, now);
            assert_eq!(schedule.begin(now), Some(0));
            schedule.failed(busy(Delivery::Possible), now, 0.5);
            schedule.stop();
            assert_eq!(schedule.next_at(), None, "{policy}");
            assert_eq!(schedule.begin(now + Duration::from_secs(9)), None);
        }
    }
}
