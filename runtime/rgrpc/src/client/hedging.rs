//! When further copies of a call are sent, and what the answer to one means for the others.
//!
//! A state machine without a clock: the time is an argument.
//!
//! Source: gRFC A6, "Hedging Policy" and "Summary of Retry and Hedging Logic"; grpc-go has no
//! hedging.

use std::sync::Arc;

use tokio::time::Instant;

use super::retry::{Failure, Pushback};
use super::throttle::RetryThrottle;
use crate::service_config::HedgingPolicy;
use crate::transport::Delivery;

/// The copies of one call.
#[derive(Debug)]
pub(super) struct Hedges {
    policy: Arc<HedgingPolicy>,
    throttle: Option<Arc<RetryThrottle>>,
    /// How many have been sent.
    begun: u32,
    /// When the next one is to be sent; `None`: no other is.
    next_at: Option<Instant>,
    /// A server has refused a copy without looking at it.
    refused: bool,
}

/// What a copy that has failed means for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent again at once, and does not count: no server has looked at it.
    Again,
    /// The other copies decide, those that were sent and those to come.
    Others,
    /// The call has failed as the copy has.
    End,
}

impl Hedges {
    pub(super) fn new(policy: Arc<HedgingPolicy>, throttle: Option<Arc<RetryThrottle>>) -> Self {
        Self {
            policy,
            throttle,
            begun: 0,
            next_at: None,
            refused: false,
        }
    }

    /// The call begins: its first copy is to be sent.
    pub(super) fn start(&mut self, now: Instant) {
        self.next_at = Some(now);
    }

    /// When the next copy is to be sent; `None`: no other is.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// How many have been sent.
    pub(super) fn begun(&self) -> u32 {
        self.begun
    }

    /// Whether a copy is to be sent now: returns how many there were before it.
    pub(super) fn begin(&mut self, now: Instant) -> Option<u32> {
        self.next_at.filter(|at| *at <= now)?;
        // The first is always sent.
        if self.begun > 0
            && self
                .throttle
                .as_ref()
                .is_some_and(|tokens| !tokens.allows())
        {
            self.stop();
            return None;
        }
        let previous = self.begun;
        self.begun += 1;
        self.plan(now.checked_add(self.policy.delay));
        Some(previous)
    }

    /// A copy has failed.
    pub(super) fn failed(&mut self, failure: &Failure, now: Instant) -> Verdict {
        match failure.delivery {
            Delivery::NotSent => return Verdict::Again,
            Delivery::Refused if !self.refused => {
                self.refused = true;
                return Verdict::Again;
            }
            Delivery::Refused | Delivery::Possible => {}
        }
        if failure.is_final {
            return Verdict::End;
        }
        let pushback = Pushback::read(failure.status.metadata());
        let is_fatal = !self.policy.non_fatal_codes.contains(failure.status.code());
        let counts = !is_fatal || pushback == Pushback::Stop;
        let throttle = self.throttle.as_ref().filter(|_| counts);
        let throttled = throttle.is_some_and(|throttle| !throttle.failed());
        if is_fatal {
            return Verdict::End;
        }
        if throttled || self.next_at.is_none() {
            self.stop();
            return Verdict::Others;
        }
        match pushback {
            Pushback::None => self.plan(Some(now)),
            Pushback::After(delay) => self.plan(now.checked_add(delay)),
            Pushback::Stop => self.stop(),
        }
        Verdict::Others
    }

    /// The call has succeeded.
    pub(super) fn succeeded(&self) {
        if let Some(throttle) = &self.throttle {
            throttle.succeeded();
        }
    }

    /// Nothing more is sent.
    pub(super) fn stop(&mut self) {
        self.next_at = None;
    }

    /// The next copy is to be sent at this time, if another is allowed; a time too far away to be
    /// expressed does not come.
    fn plan(&mut self, at: Option<Instant>) {
        self.next_at = at.filter(|_| self.begun < self.policy.max_attempts);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metadata::Metadata;
    use crate::service_config::{AttemptPolicy, RetryThrottling, ServiceConfig};
    use crate::status::{Code, Status};

    /// Three copies, one each second; UNAVAILABLE is not fatal.
    const POLICY: &str = r#"{"maxAttempts": 3, "hedgingDelay": "1s",
                             "nonFatalStatusCodes": ["UNAVAILABLE"]}"#;

    fn policy(json: &str) -> Arc<HedgingPolicy> {
        let json = format!(r#"{{"methodConfig": [{{"name": [{{}}], "hedgingPolicy": {json}}}]}}"#);
        let mut config = ServiceConfig::parse(&json).expect("valid");
        let mut configs = config.methods.iter_mut();
        match configs.next().expect("one").attempts.clone() {
            Some(AttemptPolicy::Hedging(policy)) => policy,
            other => panic!("{other:?}"),
        }
    }

    fn throttle(tokens: u32) -> Arc<RetryThrottle> {
        Arc::new(RetryThrottle::new(RetryThrottling {
            max_tokens: tokens * 1000,
            token_ratio: 1000,
        }))
    }

    fn failure(code: Code, pushback: &'static str) -> Failure {
        let mut trailers = Metadata::new();
        if !pushback.is_empty() {
            trailers
                .append("grpc-retry-pushback-ms", pushback)
                .expect("valid");
        }
        Failure {
            status: Status::new(code, "").with_metadata(trailers),
            delivery: Delivery::Possible,
            is_final: false,
        }
    }

    /// What happens to a call, at a millisecond after it began.
    enum Step {
        /// The time has come on; so many copies are sent.
        Sent(u64, u32),
        /// A copy fails.
        Fails(u64, Failure, Verdict),
    }
    use Step::{Fails, Sent};

    #[track_caller]
    fn run(mut hedges: Hedges, steps: Vec<Step>) -> Hedges {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        hedges.start(began);
        for step in steps {
            match step {
                Sent(ms, expected) => {
                    let mut sent = 0;
                    while let Some(previous) = hedges.begin(at(ms)) {
                        assert_eq!(previous, hedges.begun() - 1);
                        sent += 1;
                    }
                    assert_eq!(sent, expected, "at {ms} ms");
                }
                Fails(ms, failure, verdict) => {
                    assert_eq!(hedges.failed(&failure, at(ms)), verdict, "at {ms} ms");
                }
            }
        }
        hedges
    }

    #[test]
    fn a_copy_is_sent_after_every_delay_up_to_the_most() {
        run(
            Hedges::new(policy(POLICY), None),
            vec![
                Sent(0, 1),
                Sent(999, 0),
                Sent(1000, 1),
                Sent(1999, 0),
                Sent(2000, 1),
                Sent(9000, 0),
            ],
        );
    }

    #[test]
    fn without_a_delay_all_are_sent_at_once() {
        let hedges = Hedges::new(policy(r#"{"maxAttempts": 4}"#), None);
        run(hedges, vec![Sent(0, 4), Sent(1, 0)]);
    }

    #[test]
    fn a_failure_that_is_not_fatal_sends_the_next_at_once_and_the_delay_goes_on_from_there() {
        let busy = || failure(Code::Unavailable, "");
        run(
            Hedges::new(policy(POLICY), None),
            vec![
                Sent(0, 1),
                Fails(300, busy(), Verdict::Others),
                Sent(300, 1),
                Sent(1000, 0),
                Sent(1300, 1),
                Fails(1400, busy(), Verdict::Others),
                Sent(1400, 0),
                Fails(1500, busy(), Verdict::Others),
            ],
        );
    }

    #[test]
    fn a_fatal_failure_ends_the_call_whatever_it_pushes_back() {
        for pushback in ["", "10", "-1"] {
            run(
                Hedges::new(policy(POLICY), None),
                vec![
                    Sent(0, 1),
                    Fails(1, failure(Code::Internal, pushback), Verdict::End),
                ],
            );
        }
        // All codes are fatal where none is named.
        let hedges = Hedges::new(policy(r#"{"maxAttempts": 4}"#), None);
        let busy = failure(Code::Unavailable, "");
        run(hedges, vec![Sent(0, 4), Fails(1, busy, Verdict::End)]);
    }

    #[test]
    fn a_pushback_delays_the_next_or_stops_those_to_come() {
        for (pushback, steps) in [
            (
                "50",
                vec![Sent(149, 0), Sent(150, 1), Sent(1149, 0), Sent(1150, 1)],
            ),
            ("0", vec![Sent(100, 1), Sent(1100, 1)]),
            ("3000", vec![Sent(3099, 0), Sent(3100, 1), Sent(4100, 1)]),
            ("-1", vec![Sent(9000, 0)]),
            ("soon", vec![Sent(9000, 0)]),
        ] {
            let mut all = vec![
                Sent(0, 1),
                Fails(100, failure(Code::Unavailable, pushback), Verdict::Others),
            ];
            all.extend(steps);
            run(Hedges::new(policy(POLICY), None), all);
        }
    }

    #[test]
    fn a_copy_that_no_server_has_looked_at_is_sent_again_and_does_not_count() {
        let with = |delivery| Failure {
            delivery,
            ..failure(Code::Unavailable, "")
        };
        let hedges = run(
            Hedges::new(policy(POLICY), Some(throttle(1))),
            vec![
                Sent(0, 1),
                Fails(1, with(Delivery::NotSent), Verdict::Again),
                Fails(1, with(Delivery::NotSent), Verdict::Again),
                Fails(1, with(Delivery::Refused), Verdict::Again),
                Sent(1000, 1),
                // Refused once more: a failure like others.
                Fails(1001, with(Delivery::Refused), Verdict::Others),
            ],
        );
        assert_eq!(hedges.begun(), 2);
    }

    #[test]
    fn a_final_failure_ends_the_call_and_does_not_count() {
        let throttle = throttle(2);
        run(
            Hedges::new(policy(POLICY), Some(Arc::clone(&throttle))),
            vec![
                Sent(0, 1),
                Fails(1, Failure::here(Status::unavailable("")), Verdict::End),
            ],
        );
        assert!(!throttle.failed(), "one of two is half");
    }

    #[test]
    fn while_many_calls_fail_the_first_copy_alone_is_sent() {
        let throttle = throttle(2);
        assert!(!throttle.failed());
        run(
            Hedges::new(policy(POLICY), Some(Arc::clone(&throttle))),
            vec![Sent(0, 1), Sent(1000, 0), Sent(9000, 0)],
        );
    }

    #[test]
    fn failures_are_counted_by_the_throttle_if_they_are_not_fatal_or_stop_hedging() {
        for (code, pushback, counts) in [
            (Code::Unavailable, "", true),
            (Code::Unavailable, "5", true),
            (Code::Unavailable, "-1", true),
            (Code::Internal, "", false),
            (Code::Internal, "5", false),
            (Code::Internal, "-1", true),
        ] {
            let throttle = throttle(4);
            let mut hedges = Hedges::new(policy(POLICY), Some(Arc::clone(&throttle)));
            let now = Instant::now();
            hedges.start(now);
            hedges.begin(now);
            hedges.failed(&failure(code, pushback), now);
            // Of four tokens one may be missing, and not two.
            assert_eq!(throttle.failed(), !counts, "{code} {pushback:?}");
        }
    }

    #[test]
    fn a_failure_that_uses_up_the_tokens_stops_the_copies_to_come() {
        let busy = failure(Code::Unavailable, "");
        run(
            Hedges::new(policy(POLICY), Some(throttle(2))),
            vec![Sent(0, 1), Fails(100, busy, Verdict::Others), Sent(9000, 0)],
        );
    }
}
