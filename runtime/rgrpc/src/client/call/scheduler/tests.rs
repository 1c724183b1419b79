//! Tests of the scheduler: the decision table, then the rules one by one.

use super::*;
use crate::client::config::DEFAULT_MAX_TRANSPARENT_RETRIES;
use crate::metadata::Metadata;
use crate::service_config::{RetryThrottling, ServiceConfig};
use crate::status::Code;

/// The bound of transparent retries in the tables.
const BOUND: u16 = 10;

/// At most 4 attempts; 1 s, 2 s, then 3 s.
const RETRY: &str = r#""retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "3s",
    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
}"#;

/// Three attempts, one each second; UNAVAILABLE is not fatal.
const HEDGE: &str = r#""hedgingPolicy": {
    "maxAttempts": 3, "hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]
}"#;

const NONE: &[&str] = &[];

/// The policy in this field of a method's config; none for an empty one.
fn policy(field: &str) -> Option<AttemptPolicy> {
    if field.is_empty() {
        return None;
    }
    let json = format!(r#"{{"methodConfig": [{{"name": [{{}}], {field}}}]}}"#);
    let mut config = ServiceConfig::parse(&json).expect("valid");
    config
        .methods
        .iter_mut()
        .next()
        .expect("one")
        .attempts
        .clone()
}

fn throttle(tokens: u32) -> Arc<RetryThrottle> {
    Arc::new(RetryThrottle::new(RetryThrottling {
        max_tokens: tokens * 1000,
        token_ratio: 1000,
    }))
}

fn scheduler(field: &str) -> AttemptScheduler {
    AttemptScheduler::new(policy(field), None, BOUND)
}

fn throttled(field: &str, throttle: &Arc<RetryThrottle>) -> AttemptScheduler {
    AttemptScheduler::new(policy(field), Some(Arc::clone(throttle)), BOUND)
}

fn failure(code: Code, pushback: &[&'static str]) -> AttemptFailure {
    let mut trailers = Metadata::new();
    for value in pushback {
        trailers
            .append("grpc-retry-pushback-ms", *value)
            .expect("valid");
    }
    AttemptFailure::passing_here(Status::new(code, "busy").with_metadata(trailers))
}

fn busy(delivery: Delivery) -> AttemptFailure {
    AttemptFailure {
        delivery,
        ..failure(Code::Unavailable, NONE)
    }
}

/// A decision as the tables have it.
fn seen(decision: &AttemptDecision) -> String {
    match decision {
        AttemptDecision::RetryAfter(delay) => format!("retry after {} ms", delay.as_millis()),
        AttemptDecision::RepeatNow => "repeat now".to_owned(),
        AttemptDecision::AwaitOthers => "await others".to_owned(),
        AttemptDecision::Fail(status) => format!("fail: {}", status.message()),
    }
}

/// Begins the attempt that is due, if one is; returns the number of attempts before it.
fn begin(scheduler: &mut AttemptScheduler, now: Instant) -> Option<u32> {
    let number = scheduler.begin_due(now)?;
    assert_eq!(number.is_hedged, scheduler.is_hedged());
    Some(number.previous)
}

/// The next attempt begins, and fails.
fn fail(scheduler: &mut AttemptScheduler, failure: AttemptFailure, random: f64) -> String {
    scheduler.begin_next();
    let decision = scheduler.failed(failure, Instant::now, random);
    seen(&decision)
}

/// The decision on the first failure, and the delay from then to the next attempt, if one follows.
fn first_failure(
    mut scheduler: AttemptScheduler,
    failure: AttemptFailure,
) -> (String, Option<u128>) {
    let now = Instant::now();
    assert_eq!(begin(&mut scheduler, now), Some(0));
    let decision = scheduler.failed(failure, || now, 0.5);
    let next = scheduler.next_at(|| now).map(|at| (at - now).as_millis());
    (seen(&decision), next)
}

/// The name of a row, the failure, and for each policy the decision and the delay to the next
/// attempt.
type Row<'a> = (
    &'a str,
    &'a dyn Fn() -> AttemptFailure,
    [(&'a str, Option<u128>); 3],
);

/// The table in the documentation of the module, row by row: for a call without a policy, with
/// retries, and with hedging; the decision and when the next attempt is due.
#[test]
fn each_failure_has_its_decision() {
    use Delivery::{NotSent, Possible, Refused};
    let with = |delivery, is_final, code, pushback| {
        move || AttemptFailure {
            delivery,
            is_final,
            ..failure(code, pushback)
        }
    };
    let unavailable = Code::Unavailable;
    let fails = ("fail: busy", None);
    let at_once = ("retry after 0 ms", Some(0));
    let repeat = ("repeat now", Some(1000));
    let table: [Row<'_>; 11] = [
        (
            "never sent",
            &with(NotSent, false, unavailable, NONE),
            [at_once, at_once, repeat],
        ),
        (
            "never sent, code",
            &with(NotSent, false, Code::Internal, NONE),
            [at_once, at_once, repeat],
        ),
        (
            "refused",
            &with(Refused, false, unavailable, NONE),
            [at_once, at_once, repeat],
        ),
        (
            "final",
            &with(Possible, true, unavailable, NONE),
            [fails, fails, ("fail: busy", Some(1000))],
        ),
        (
            "code",
            &with(Possible, false, Code::Internal, NONE),
            [fails, fails, ("fail: busy", Some(1000))],
        ),
        (
            "stop",
            &with(Possible, false, unavailable, &["-1"]),
            [fails, fails, ("await others", None)],
        ),
        (
            "stop, code",
            &with(Possible, false, Code::Internal, &["-1"]),
            [fails, fails, ("fail: busy", Some(1000))],
        ),
        (
            "pushback",
            &with(Possible, false, unavailable, &["50"]),
            [
                fails,
                ("retry after 50 ms", Some(50)),
                ("await others", Some(50)),
            ],
        ),
        (
            "pushback, code",
            &with(Possible, false, Code::Internal, &["50"]),
            [fails, fails, ("fail: busy", Some(1000))],
        ),
        (
            "pushback, no number",
            &with(Possible, false, unavailable, &["soon"]),
            [fails, fails, ("await others", None)],
        ),
        (
            "otherwise",
            &with(Possible, false, unavailable, NONE),
            [
                fails,
                ("retry after 1000 ms", Some(1000)),
                ("await others", Some(0)),
            ],
        ),
    ];
    for (row, failure, expected) in table {
        for (field, (decision, next)) in ["", RETRY, HEDGE].into_iter().zip(expected) {
            let seen = first_failure(scheduler(field), failure());
            assert_eq!(seen, (decision.to_owned(), next), "{row}: {field}");
        }
    }
}

/// The rows of the table that depend on what happened before.
#[test]
fn a_failure_with_no_attempt_or_token_left_has_its_decision() {
    for (field, spent, expected) in [
        (RETRY, 3, "fail: busy (the last of 4 attempts)"),
        (HEDGE, 2, "await others"),
    ] {
        let mut scheduler = scheduler(field);
        for _ in 0..spent {
            fail(&mut scheduler, failure(Code::Unavailable, &["0"]), 0.5);
        }
        let decision = fail(&mut scheduler, failure(Code::Unavailable, NONE), 0.5);
        assert_eq!(decision, expected);
        assert_eq!(scheduler.next_at(Instant::now), None);
    }
    for (field, expected) in [(RETRY, "fail: busy"), (HEDGE, "await others")] {
        let scheduler = throttled(field, &throttle(2));
        let seen = first_failure(scheduler, failure(Code::Unavailable, NONE));
        assert_eq!(seen, (expected.to_owned(), None), "one of two is half");
    }
}

#[test]
fn codes_that_the_policy_does_not_name_are_not_retried() {
    for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
        let expected = match code {
            Code::Unavailable => "retry after 1000 ms",
            _ => "fail: busy",
        };
        let decision = fail(&mut scheduler(RETRY), failure(code, NONE), 0.5);
        assert_eq!(decision, expected, "{code}");
        let decision = fail(&mut scheduler(""), failure(code, NONE), 0.5);
        assert_eq!(decision, "fail: busy");
    }
}

#[test]
fn backoffs_grow_to_the_maximum_and_are_spread_by_a_fifth() {
    for (random, delays) in [
        (0.0, [800, 1600, 2400]),
        (0.5, [1000, 2000, 3000]),
        (1.0, [1200, 2400, 3600]),
    ] {
        let mut scheduler = scheduler(RETRY);
        for (retry, delay) in (1..).zip(delays) {
            scheduler.begin_next();
            let failure = failure(Code::Unavailable, NONE);
            let AttemptDecision::RetryAfter(backoff) =
                scheduler.failed(failure, Instant::now, random)
            else {
                panic!("retry {retry}");
            };
            assert_eq!(backoff.as_micros().div_ceil(1000), delay);
            assert_eq!(scheduler.begun(), retry);
        }
        let last = fail(&mut scheduler, failure(Code::Unavailable, NONE), random);
        assert_eq!(last, "fail: busy (the last of 4 attempts)");
    }
}

#[test]
fn a_backoff_without_bounds_is_the_maximum() {
    let Some(AttemptPolicy::Retry(policy)) = policy(RETRY) else {
        panic!("a retry policy");
    };
    let policy = RetryPolicy {
        backoff_multiplier: f64::MAX,
        ..(*policy).clone()
    };
    assert_eq!(backoff(&policy, u32::MAX, 0.5), Duration::from_secs(3));
    let policy = RetryPolicy {
        backoff_multiplier: 0.5,
        ..policy
    };
    assert_eq!(backoff(&policy, u32::MAX, 0.5), Duration::ZERO);
}

#[test]
fn a_pushback_decides_when_the_retry_begins_or_that_none_follows() {
    for (pushback, expected) in [
        (&["0"][..], "retry after 0 ms"),
        (&["20"], "retry after 20 ms"),
        (&["86400000"], "retry after 86400000 ms"),
        (&["-1"], "fail: busy"),
        (&[""], "fail: busy"),
        (&["soon"], "fail: busy"),
        (&["1.5"], "fail: busy"),
        (&["9223372036854775808"], "fail: busy"),
        (&["10", "10"], "fail: busy"),
    ] {
        let decision = fail(
            &mut scheduler(RETRY),
            failure(Code::Unavailable, pushback),
            0.5,
        );
        assert_eq!(decision, expected, "{pushback:?}");
        // It does not make a failure retryable.
        let decision = fail(
            &mut scheduler(RETRY),
            failure(Code::Internal, pushback),
            0.5,
        );
        assert_eq!(decision, "fail: busy", "{pushback:?}");
    }
}

#[test]
fn a_pushback_resets_the_backoff_and_not_the_count_of_attempts() {
    let mut scheduler = scheduler(RETRY);
    for (pushback, expected) in [
        (NONE, "retry after 1000 ms"),
        (&["7"], "retry after 7 ms"),
        (NONE, "retry after 1000 ms"),
        (&["7"], "fail: busy (the last of 4 attempts)"),
    ] {
        let decision = fail(&mut scheduler, failure(Code::Unavailable, pushback), 0.5);
        assert_eq!(decision, expected);
    }
}

#[test]
fn nothing_follows_a_final_failure_and_it_does_not_count() {
    for field in [RETRY, HEDGE] {
        let throttle = throttle(2);
        for _ in 0..4 {
            let mut scheduler = throttled(field, &throttle);
            let failure = AttemptFailure::final_here(Status::unavailable("busy"));
            assert_eq!(fail(&mut scheduler, failure, 0.5), "fail: busy");
        }
        throttle.succeeded();
        assert!(!throttle.failed(), "one of two is half");
    }
}

#[test]
fn transparent_retries_are_no_attempts() {
    let mut one = AttemptScheduler::new(policy(RETRY), None, 1);
    for (delivery, expected, previous) in [
        (Delivery::NotSent, "retry after 0 ms", 0),
        (Delivery::NotSent, "retry after 0 ms", 0),
        (Delivery::Refused, "retry after 0 ms", 0),
        // Refused once more: that is for the policy.
        (Delivery::Refused, "retry after 1000 ms", 1),
        (Delivery::NotSent, "retry after 0 ms", 1),
        (Delivery::Refused, "retry after 2000 ms", 2),
        (Delivery::Possible, "retry after 3000 ms", 3),
    ] {
        assert_eq!(fail(&mut one, busy(delivery), 0.5), expected);
        assert_eq!(one.begun(), previous);
    }
    let last = fail(&mut one, busy(Delivery::Refused), 0.5);
    assert_eq!(last, "fail: busy (the last of 4 attempts)");
    let mut two = AttemptScheduler::new(None, None, 2);
    for (delivery, expected) in [
        (Delivery::Refused, "retry after 0 ms"),
        (Delivery::NotSent, "retry after 0 ms"),
        (Delivery::Refused, "retry after 5 ms"),
        (
            Delivery::Refused,
            "fail: busy (servers refused it 3 times without processing it; \
             the channel's max_transparent_retries is 2)",
        ),
        (Delivery::Possible, "fail: busy"),
    ] {
        assert_eq!(fail(&mut two, busy(delivery), 0.5), expected);
    }
}

#[test]
fn a_refusal_after_an_attempt_that_counted_does_not_count() {
    let mut scheduler = scheduler(RETRY);
    fail(&mut scheduler, busy(Delivery::Possible), 0.5);
    let decision = fail(&mut scheduler, busy(Delivery::Refused), 0.5);
    assert_eq!(decision, "retry after 0 ms");
    assert_eq!(scheduler.begun(), 1);
}

#[test]
fn a_call_that_is_refused_for_ever_tells_how_often_and_names_the_option() {
    let mut scheduler = AttemptScheduler::new(None, None, DEFAULT_MAX_TRANSPARENT_RETRIES);
    let mut retries = 0;
    let text = loop {
        scheduler.begin_next();
        match scheduler.failed(busy(Delivery::Refused), Instant::now, 0.5) {
            AttemptDecision::RetryAfter(_) => retries += 1,
            other => break seen(&other),
        }
    };
    assert_eq!(retries, 10);
    assert_eq!(
        text,
        "fail: busy (servers refused it 11 times without processing it; \
         the channel's max_transparent_retries is 10)"
    );
}

#[test]
fn the_throttle_counts_failures_that_the_policy_names_and_pushbacks_that_stop() {
    for field in [RETRY, HEDGE] {
        for (code, pushback, counts) in [
            (Code::Unavailable, NONE, true),
            (Code::Unavailable, &["5"], true),
            (Code::Unavailable, &["-1"], true),
            (Code::Internal, NONE, false),
            (Code::Internal, &["5"], false),
            (Code::Internal, &["-1"], true),
        ] {
            let throttle = throttle(4);
            let mut scheduler = throttled(field, &throttle);
            fail(&mut scheduler, failure(code, pushback), 0.5);
            // Of four tokens one may be missing, and not two.
            assert_eq!(throttle.failed(), !counts, "{code} {pushback:?}");
        }
    }
}

#[test]
fn throttled_calls_fail_until_others_succeed() {
    let throttle = throttle(4);
    let fail = || {
        let mut scheduler = throttled(RETRY, &throttle);
        fail(&mut scheduler, failure(Code::Unavailable, NONE), 0.5)
    };
    assert_eq!(fail(), "retry after 1000 ms");
    assert_eq!(fail(), "fail: busy");
    assert_eq!(fail(), "fail: busy");
    let other = throttled("", &throttle);
    other.succeeded();
    assert_eq!(fail(), "fail: busy");
    other.succeeded();
    other.succeeded();
    other.succeeded();
    assert_eq!(fail(), "retry after 1000 ms");
}

#[test]
fn a_retry_begins_when_the_backoff_is_over_and_only_after_a_failure() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut scheduler = scheduler(RETRY);
    assert_eq!(begin(&mut scheduler, now), Some(0));
    assert_eq!(begin(&mut scheduler, now + 9 * second), None);
    assert_eq!(scheduler.next_at(|| now), None);
    let decision = scheduler.failed(busy(Delivery::Possible), || now, 0.5);
    assert_eq!(seen(&decision), "retry after 1000 ms");
    assert_eq!(scheduler.next_at(|| now), Some(now + second));
    assert_eq!(begin(&mut scheduler, now), None);
    assert_eq!(begin(&mut scheduler, now + second), Some(1));
}

#[test]
fn a_transparent_retry_begins_at_once_with_the_same_number() {
    let now = Instant::now();
    let mut scheduler = scheduler(RETRY);
    assert_eq!(begin(&mut scheduler, now), Some(0));
    let decision = scheduler.failed(busy(Delivery::Refused), || now, 0.5);
    assert_eq!(seen(&decision), "retry after 0 ms");
    let repeated = AttemptNumber {
        previous: 0,
        is_transparent_retry: true,
        is_hedged: false,
    };
    assert_eq!(scheduler.begin_due(now), Some(repeated));
}

#[test]
fn hedges_that_have_all_failed_tell_their_number() {
    let now = Instant::now();
    for (hedges, expected) in [(1, "busy"), (2, "busy (the last of 2 attempts)")] {
        let mut scheduler = scheduler(HEDGE);
        let mut at = now;
        for previous in 0..hedges {
            assert_eq!(begin(&mut scheduler, at), Some(previous));
            at += Duration::from_secs(1);
        }
        let last = scheduler.exhausted(Status::unavailable("busy"));
        assert_eq!(last.message(), expected);
    }
}

#[test]
fn nothing_begins_once_it_was_stopped() {
    let now = Instant::now();
    for field in [RETRY, HEDGE] {
        let mut scheduler = scheduler(field);
        assert_eq!(begin(&mut scheduler, now), Some(0));
        scheduler.failed(busy(Delivery::Possible), || now, 0.5);
        scheduler.stop();
        assert_eq!(scheduler.next_at(|| now), None, "{field}");
        assert_eq!(begin(&mut scheduler, now + Duration::from_secs(9)), None);
    }
}

/// An occurrence in a hedged call, at a millisecond after it began.
enum Step {
    /// The time has come; so many attempts begin.
    Begins(u64, u32),
    /// An attempt fails, with this decision.
    Fails(u64, AttemptFailure, &'static str),
}
use Step::{Begins, Fails};

#[track_caller]
fn run(mut scheduler: AttemptScheduler, steps: Vec<Step>) -> AttemptScheduler {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    for step in steps {
        match step {
            Begins(ms, expected) => {
                let mut begun = 0;
                while let Some(previous) = begin(&mut scheduler, at(ms)) {
                    assert_eq!(previous, scheduler.begun() - 1);
                    begun += 1;
                }
                assert_eq!(begun, expected, "at {ms} ms");
            }
            Fails(ms, failure, expected) => {
                let decision = scheduler.failed(failure, || at(ms), 0.5);
                assert_eq!(seen(&decision), expected, "at {ms} ms");
            }
        }
    }
    scheduler
}

fn at_once(attempts: u32) -> AttemptScheduler {
    scheduler(&format!(
        r#""hedgingPolicy": {{"maxAttempts": {attempts}}}"#
    ))
}

#[test]
fn a_hedge_begins_after_every_delay_up_to_the_maximum() {
    run(
        scheduler(HEDGE),
        vec![
            Begins(0, 1),
            Begins(999, 0),
            Begins(1000, 1),
            Begins(1999, 0),
            Begins(2000, 1),
            Begins(9000, 0),
        ],
    );
}

#[test]
fn without_a_delay_all_hedges_begin_at_once() {
    run(at_once(4), vec![Begins(0, 4), Begins(1, 0)]);
}

#[test]
fn a_failure_that_is_not_fatal_begins_the_next_hedge_at_once_and_the_delay_from_there() {
    let busy = || failure(Code::Unavailable, NONE);
    run(
        scheduler(HEDGE),
        vec![
            Begins(0, 1),
            Fails(300, busy(), "await others"),
            Begins(300, 1),
            Begins(1000, 0),
            Begins(1300, 1),
            Fails(1400, busy(), "await others"),
            Begins(1400, 0),
            Fails(1500, busy(), "await others"),
        ],
    );
}

#[test]
fn a_fatal_failure_ends_the_hedged_call_with_any_pushback() {
    for pushback in [NONE, &["10"], &["-1"]] {
        let fatal = failure(Code::Internal, pushback);
        run(
            scheduler(HEDGE),
            vec![Begins(0, 1), Fails(1, fatal, "fail: busy")],
        );
    }
    // All codes are fatal where none is named.
    let busy = failure(Code::Unavailable, NONE);
    run(at_once(4), vec![Begins(0, 4), Fails(1, busy, "fail: busy")]);
}

#[test]
fn a_pushback_delays_the_next_hedge_or_stops_those_to_come() {
    for (pushback, steps) in [
        (
            &["50"],
            vec![
                Begins(149, 0),
                Begins(150, 1),
                Begins(1149, 0),
                Begins(1150, 1),
            ],
        ),
        (&["0"], vec![Begins(100, 1), Begins(1100, 1)]),
        (
            &["3000"],
            vec![Begins(3099, 0), Begins(3100, 1), Begins(4100, 1)],
        ),
        (&["-1"], vec![Begins(9000, 0)]),
        (&["soon"], vec![Begins(9000, 0)]),
    ] {
        let busy = failure(Code::Unavailable, pushback);
        let mut all = vec![Begins(0, 1), Fails(100, busy, "await others")];
        all.extend(steps);
        run(scheduler(HEDGE), all);
    }
}

#[test]
fn a_hedge_that_no_server_has_processed_is_repeated_and_does_not_count() {
    let scheduler = run(
        throttled(HEDGE, &throttle(1)),
        vec![
            Begins(0, 1),
            Fails(1, busy(Delivery::NotSent), "repeat now"),
            Fails(1, busy(Delivery::NotSent), "repeat now"),
            Fails(1, busy(Delivery::Refused), "repeat now"),
            Begins(1000, 1),
            // Refused once more: a failure like others.
            Fails(1001, busy(Delivery::Refused), "await others"),
        ],
    );
    assert_eq!(scheduler.begun(), 2);
}

#[test]
fn while_many_calls_fail_the_first_attempt_alone_begins() {
    let throttle = throttle(2);
    assert!(!throttle.failed());
    run(
        throttled(HEDGE, &throttle),
        vec![Begins(0, 1), Begins(1000, 0), Begins(9000, 0)],
    );
}

#[test]
fn a_failure_that_uses_up_the_tokens_stops_the_hedges_to_come() {
    let busy = failure(Code::Unavailable, NONE);
    run(
        throttled(HEDGE, &throttle(2)),
        vec![
            Begins(0, 1),
            Fails(100, busy, "await others"),
            Begins(9000, 0),
        ],
    );
}
