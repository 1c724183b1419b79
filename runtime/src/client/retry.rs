//! Retries of a call that has failed: whether and when.
//!
//! Source: gRFC A6; grpc-go's `csAttempt.shouldRetry`.

use std::sync::Arc;
use std::time::Duration;

use super::throttle::RetryThrottle;
use super::transparent::TransparentRetries;
use crate::metadata::Metadata;
use crate::service_config::RetryPolicy;
use crate::status::Status;
use crate::transport::Delivery;

/// The trailer by which a server says when to try again, in milliseconds, or not to.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What backoffs are spread by, in either direction.
const JITTER: f64 = 0.2;

/// How an attempt at a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) delivery: Delivery,
    /// Nothing may follow: the response has begun, or another attempt would fail alike.
    pub(super) is_final: bool,
}

impl Failure {
    /// A failure on this side that another attempt would share.
    pub(super) fn here(status: Status) -> Self {
        Self {
            status,
            delivery: Delivery::Possible,
            is_final: true,
        }
    }
}

/// The attempts at one call.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    policy: Option<Arc<RetryPolicy>>,
    throttle: Option<Arc<RetryThrottle>>,
    /// How many the policy has let follow.
    retries: u32,
    /// How many of them have waited for a backoff since the server last said itself when to begin.
    backoffs: u32,
    transparent: TransparentRetries,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another attempt.
    After(Duration),
    /// The call has failed.
    GiveUp,
    /// The call has failed, and would go on if the policy allowed more attempts.
    NoneLeft,
    /// The call has failed, because servers refuse it and will not be asked again.
    Refused,
}

impl Attempts {
    /// No attempts so far.
    pub(super) fn new(
        policy: Option<Arc<RetryPolicy>>,
        throttle: Option<Arc<RetryThrottle>>,
    ) -> Self {
        Self {
            policy,
            throttle,
            ..Self::default()
        }
    }

    /// How many attempts there were before the present one, transparent retries not counted: the
    /// value of `grpc-previous-rpc-attempts`.
    pub(super) fn previous(&self) -> u32 {
        self.retries
    }

    /// Sets the maximum number of retries of a refused call.
    pub(super) fn limit_transparent(&mut self, max: u16) {
        self.transparent = TransparentRetries::at_most(max);
    }

    /// The status of a call that ends with [`Next::Refused`].
    pub(super) fn refused(&self, status: Status) -> Status {
        self.transparent.refused(status)
    }

    /// The call has succeeded.
    pub(super) fn succeeded(&self) {
        if let Some(throttle) = &self.throttle {
            throttle.succeeded();
        }
    }

    /// The present attempt has failed. `random` is in [0, 1).
    pub(super) fn failed(&mut self, failure: &Failure, random: f64) -> Next {
        if let Some(pause) = self.transparent.after(failure.delivery, random) {
            return Next::After(pause);
        }
        if failure.is_final {
            return Next::GiveUp;
        }
        let pushback = Pushback::read(failure.status.metadata());
        if pushback == Pushback::Stop {
            self.throttled();
            return Next::GiveUp;
        }
        let code = failure.status.code();
        let Some(policy) = self
            .policy
            .as_deref()
            .filter(|policy| policy.retryable_codes.contains(code))
        else {
            return match failure.delivery {
                Delivery::Refused => Next::Refused,
                Delivery::Possible | Delivery::NotSent => Next::GiveUp,
            };
        };
        if self.throttled() {
            return Next::GiveUp;
        }
        if self.retries + 1 >= policy.max_attempts {
            return Next::NoneLeft;
        }
        self.retries += 1;
        Next::After(match pushback {
            Pushback::After(delay) => {
                self.backoffs = 0;
                delay
            }
            Pushback::None | Pushback::Stop => {
                let delay = backoff(policy, self.backoffs, random);
                self.backoffs += 1;
                delay
            }
        })
    }

    /// Counts a failure and says whether retries are held back.
    fn throttled(&self) -> bool {
        let throttle = self.throttle.as_deref();
        throttle.is_some_and(|throttle| !throttle.failed())
    }
}

/// How long to wait after this many waits.
fn backoff(policy: &RetryPolicy, backoffs: u32, random: f64) -> Duration {
    let factor = policy.backoff_multiplier.powf(f64::from(backoffs));
    let seconds =
        (policy.initial_backoff.as_secs_f64() * factor).min(policy.max_backoff.as_secs_f64());
    Duration::from_secs_f64(seconds * (1.0 + JITTER * (2.0 * random - 1.0)))
}

/// What a server says about another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    None,
    After(Duration),
    /// Told not to try again, or told in a way that cannot be understood.
    Stop,
}

impl Pushback {
    pub(super) fn read(trailers: &Metadata) -> Self {
        let mut values = trailers.get_all(PUSHBACK);
        let (first, more) = (values.next(), values.next());
        let Some(value) = first else {
            return Self::None;
        };
        let milliseconds = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .and_then(|milliseconds| u64::try_from(milliseconds).ok());
        match (milliseconds, more) {
            (Some(milliseconds), None) => Self::After(Duration::from_millis(milliseconds)),
            _ => Self::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_config::{AttemptPolicy, RetryThrottling, ServiceConfig};
    use crate::status::Code;

    const NONE: &[&str] = &[];

    /// At most 4 attempts; 1 s, 2 s, then 3 s.
    fn policy() -> Arc<RetryPolicy> {
        let mut config = ServiceConfig::parse(
            r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
                "maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "3s",
                "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
            }}]}"#,
        )
        .expect("valid");
        let mut configs = config.methods.iter_mut();
        match configs.next().expect("one").attempts.clone() {
            Some(AttemptPolicy::Retry(policy)) => policy,
            other => panic!("{other:?}"),
        }
    }

    fn throttle(tokens: u32) -> Arc<RetryThrottle> {
        Arc::new(RetryThrottle::new(RetryThrottling {
            max_tokens: tokens * 1000,
            token_ratio: 1000,
        }))
    }

    fn failure(code: Code, pushback: &[&'static str]) -> Failure {
        let mut trailers = Metadata::new();
        for value in pushback {
            trailers.append(PUSHBACK, *value).expect("valid");
        }
        Failure {
            status: Status::new(code, "").with_metadata(trailers),
            delivery: Delivery::Possible,
            is_final: false,
        }
    }

    const fn after(milliseconds: u64) -> Next {
        Next::After(Duration::from_millis(milliseconds))
    }

    #[test]
    fn what_the_policy_does_not_name_is_not_tried_again() {
        let policy = policy();
        for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
            let expected = match code {
                Code::Unavailable => after(1000),
                _ => Next::GiveUp,
            };
            let mut attempts = Attempts::new(Some(Arc::clone(&policy)), None);
            assert_eq!(
                attempts.failed(&failure(code, NONE), 0.5),
                expected,
                "{code}"
            );
            let mut attempts = Attempts::new(None, None);
            assert_eq!(attempts.failed(&failure(code, NONE), 0.5), Next::GiveUp);
        }
    }

    #[test]
    fn backoffs_grow_to_the_most_and_are_spread_by_a_fifth() {
        let policy = policy();
        for (random, delays) in [
            (0.0, [800, 1600, 2400]),
            (0.5, [1000, 2000, 3000]),
            (1.0, [1200, 2400, 3600]),
        ] {
            let mut attempts = Attempts::new(Some(Arc::clone(&policy)), None);
            for (retry, delay) in (1..).zip(delays) {
                let Next::After(backoff) =
                    attempts.failed(&failure(Code::Unavailable, NONE), random)
                else {
                    panic!("retry {retry}");
                };
                assert_eq!(backoff.as_micros().div_ceil(1000), u128::from(delay as u64));
                assert_eq!(attempts.previous(), retry);
            }
            let last = attempts.failed(&failure(Code::Unavailable, NONE), random);
            assert_eq!(last, Next::NoneLeft);
        }
    }

    #[test]
    fn a_backoff_without_measure_is_the_most() {
        let policy = RetryPolicy {
            backoff_multiplier: f64::MAX,
            ..(*policy()).clone()
        };
        assert_eq!(backoff(&policy, u32::MAX, 0.5), Duration::from_secs(3));
        let policy = RetryPolicy {
            backoff_multiplier: 0.5,
            ..policy
        };
        assert_eq!(backoff(&policy, u32::MAX, 0.5), Duration::ZERO);
    }

    #[test]
    fn a_pushback_decides_when_or_that_nothing_follows() {
        let policy = policy();
        for (pushback, expected) in [
            (&["0"][..], after(0)),
            (&["20"], after(20)),
            (&["86400000"], after(86_400_000)),
            (&["-1"], Next::GiveUp),
            (&[""], Next::GiveUp),
            (&["soon"], Next::GiveUp),
            (&["1.5"], Next::GiveUp),
            (&["9223372036854775808"], Next::GiveUp),
            (&["10", "10"], Next::GiveUp),
        ] {
            let mut attempts = Attempts::new(Some(Arc::clone(&policy)), None);
            let next = attempts.failed(&failure(Code::Unavailable, pushback), 0.5);
            assert_eq!(next, expected, "{pushback:?}");
            // It does not make a failure retryable.
            let mut attempts = Attempts::new(Some(Arc::clone(&policy)), None);
            let next = attempts.failed(&failure(Code::Internal, pushback), 0.5);
            assert_eq!(next, Next::GiveUp, "{pushback:?}");
        }
    }

    #[test]
    fn backoffs_begin_anew_after_a_pushback_and_attempts_do_not() {
        let policy = policy();
        let mut attempts = Attempts::new(Some(Arc::clone(&policy)), None);
        for (pushback, expected) in [
            (NONE, after(1000)),
            (&["7"], after(7)),
            (NONE, after(1000)),
            (&["7"], Next::NoneLeft),
        ] {
            let next = attempts.failed(&failure(Code::Unavailable, pushback), 0.5);
            assert_eq!(next, expected);
        }
    }

    #[test]
    fn nothing_follows_a_final_failure() {
        let policy = policy();
        let throttle = throttle(2);
        let mut attempts = Attempts::new(Some(Arc::clone(&policy)), Some(Arc::clone(&throttle)));
        let failure = Failure::here(Status::unavailable(""));
        for _ in 0..4 {
            assert_eq!(attempts.failed(&failure, 0.5), Next::GiveUp);
        }
        // Nor did it count.
        throttle.succeeded();
        assert!(!throttle.failed(), "one of two is half");
    }

    #[test]
    fn transparent_retries_are_no_attempts() {
        let policy = policy();
        let with = |delivery| Failure {
            delivery,
            ..failure(Code::Unavailable, NONE)
        };
        let mut attempts = Attempts::new(Some(Arc::clone(&policy)), None);
        attempts.limit_transparent(1);
        for (delivery, expected, previous) in [
            (Delivery::NotSent, after(0), 0),
            (Delivery::NotSent, after(0), 0),
            (Delivery::Refused, after(0), 0),
            // Refused once more: that is for the policy.
            (Delivery::Refused, after(1000), 1),
            (Delivery::NotSent, after(0), 1),
            (Delivery::Refused, after(2000), 2),
            (Delivery::Possible, after(3000), 3),
            (Delivery::Refused, Next::NoneLeft, 3),
        ] {
            assert_eq!(attempts.failed(&with(delivery), 0.5), expected);
            assert_eq!(attempts.previous(), previous);
        }
        let mut attempts = Attempts::new(None, None);
        attempts.limit_transparent(2);
        for (delivery, expected) in [
            (Delivery::Refused, after(0)),
            (Delivery::NotSent, after(0)),
            (Delivery::Refused, after(5)),
            (Delivery::Refused, Next::Refused),
            (Delivery::Possible, Next::GiveUp),
        ] {
            assert_eq!(attempts.failed(&with(delivery), 0.5), expected);
        }
    }

    #[test]
    fn a_refusal_after_an_attempt_that_counted_does_not_count() {
        let mut attempts = Attempts::new(Some(policy()), None);
        attempts.failed(&failure(Code::Unavailable, NONE), 0.5);
        let refused = Failure {
            delivery: Delivery::Refused,
            ..failure(Code::Unavailable, NONE)
        };
        assert_eq!(attempts.failed(&refused, 0.5), after(0));
        assert_eq!(attempts.previous(), 1);
    }

    #[test]
    fn a_call_that_is_refused_for_ever_says_how_often_and_by_which_option() {
        let mut attempts = Attempts::default();
        let refused = Failure {
            status: Status::unavailable("gone"),
            delivery: Delivery::Refused,
            is_final: false,
        };
        let mut retries = 0;
        while let Next::After(_) = attempts.failed(&refused, 0.5) {
            retries += 1;
        }
        assert_eq!(retries, 10);
        assert_eq!(
            attempts.refused(refused.status).message(),
            "gone (servers refused it 11 times without processing it; \
             the channel's max_transparent_retries is 10)"
        );
    }

    #[test]
    fn failures_are_counted_by_the_throttle_if_they_are_retryable_or_stop_retries() {
        let policy = policy();
        for (code, pushback, counts) in [
            (Code::Unavailable, NONE, true),
            (Code::Unavailable, &["5"], true),
            (Code::Unavailable, &["-1"], true),
            (Code::Internal, NONE, false),
            (Code::Internal, &["5"], false),
            (Code::Internal, &["-1"], true),
        ] {
            let throttle = throttle(4);
            let mut attempts =
                Attempts::new(Some(Arc::clone(&policy)), Some(Arc::clone(&throttle)));
            attempts.failed(&failure(code, pushback), 0.5);
            // Of four tokens one may be missing, and not two.
            assert_eq!(throttle.failed(), !counts, "{code} {pushback:?}");
        }
    }

    #[test]
    fn throttled_calls_give_up_until_others_succeed() {
        let policy = policy();
        let throttle = throttle(4);
        let fail = || {
            let mut attempts =
                Attempts::new(Some(Arc::clone(&policy)), Some(Arc::clone(&throttle)));
            attempts.failed(&failure(Code::Unavailable, NONE), 0.5)
        };
        assert_eq!(fail(), after(1000));
        assert_eq!(fail(), Next::GiveUp);
        assert_eq!(fail(), Next::GiveUp);
        let attempts = Attempts::new(None, Some(Arc::clone(&throttle)));
        attempts.succeeded();
        assert_eq!(fail(), Next::GiveUp);
        attempts.succeeded();
        attempts.succeeded();
        attempts.succeeded();
        assert_eq!(fail(), after(1000));
    }
}
