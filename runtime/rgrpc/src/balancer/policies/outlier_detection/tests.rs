//! Tests of counting, ejection and restoration, over children of the test policies.

use super::config::{EjectionScope, FailurePercentageEjection, SuccessRateEjection};
use super::*;
use crate::balancer::RingHashBuilder;
use crate::balancer::policies::policy_test::{PolicyTest, address, endpoint};
use crate::connectivity_state::ConnectivityState::{Connecting, Ready, TransientFailure};
use crate::resolver::Endpoint;

const SECOND: Duration = Duration::from_secs(1);
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Ejects endpoints that fail more than half of their calls, up to half of the endpoints.
const FAILURES: &str = r#"
    "maxEjectionPercent": 50,
    "failurePercentageEjection":
        {"threshold": 50, "enforcementPercentage": 100, "minimumHosts": 2, "requestVolume": 10}"#;

fn new() -> PolicyTest {
    PolicyTest::new(OutlierDetectionBuilder)
}

/// A config with these fields.
fn config(fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    format!(r#"{{"childPolicy": [{{"each_address": {{}}}}] {comma} {fields}}}"#)
}

fn endpoints(names: &[&str]) -> Vec<Endpoint> {
    names.iter().map(|name| endpoint(name)).collect()
}

/// A policy with these config fields, and a READY subchannel for each name.
fn ready(fields: &str, names: &[&str]) -> PolicyTest {
    let mut test = new();
    test.update(&config(fields), endpoints(names))
        .expect("endpoints");
    names.iter().for_each(|name| test.ready(name));
    test
}

/// The names that calls use now.
fn used(test: &PolicyTest) -> Vec<String> {
    let mut used: Vec<_> = (0..10).map(|_| test.pick()).collect();
    used.sort();
    used.dedup();
    used
}

#[test]
fn a_config_is_parsed_with_its_defaults() {
    let scope = |enforcement_percentage, minimum_hosts, request_volume| EjectionScope {
        enforcement_percentage,
        minimum_hosts,
        request_volume,
    };
    let parsed = new().parse_as::<OutlierDetectionConfig>(&config(""));
    let parsed = parsed.expect("all defaults");
    assert_eq!(parsed.interval, 10 * SECOND);
    assert_eq!(parsed.base_ejection_time, 30 * SECOND);
    assert_eq!(parsed.max_ejection_time, 300 * SECOND);
    assert_eq!(parsed.max_ejection_percent, 10);
    assert_eq!(parsed.child_policy.name(), "each_address");
    assert_eq!(parsed.success_rate, None);
    assert_eq!(parsed.failure_percentage, None);

    let parsed = new().parse_as::<OutlierDetectionConfig>(&config(
        r#""successRateEjection": {}, "failurePercentageEjection": {}, "of the future": 1"#,
    ));
    let parsed = parsed.expect("defaults of the algorithms");
    let expected = SuccessRateEjection {
        stdev_factor: 1900,
        scope: scope(100, 5, 100),
    };
    assert_eq!(parsed.success_rate, Some(expected));
    let expected = FailurePercentageEjection {
        threshold: 85,
        scope: scope(0, 5, 50),
    };
    assert_eq!(parsed.failure_percentage, Some(expected));

    let parsed = new().parse_as::<OutlierDetectionConfig>(&config(
        r#""interval": "1.5s", "baseEjectionTime": "0s", "maxEjectionTime": "7s",
           "maxEjectionPercent": "100",
           "successRateEjection": {"stdevFactor": 0, "enforcementPercentage": 1,
                "minimumHosts": 2, "requestVolume": 3},
           "failurePercentageEjection": {"threshold": 4, "enforcementPercentage": 5,
                "minimumHosts": 6, "requestVolume": 7}"#,
    ));
    let parsed = parsed.expect("all fields");
    assert_eq!(parsed.interval, Duration::from_millis(1500));
    assert_eq!(parsed.base_ejection_time, Duration::ZERO);
    assert_eq!(parsed.max_ejection_time, 7 * SECOND);
    assert_eq!(parsed.max_ejection_percent, 100);
    let expected = SuccessRateEjection {
        stdev_factor: 0,
        scope: scope(1, 2, 3),
    };
    assert_eq!(parsed.success_rate, Some(expected));
    let expected = FailurePercentageEjection {
        threshold: 4,
        scope: scope(5, 6, 7),
    };
    assert_eq!(parsed.failure_percentage, Some(expected));
}

#[test]
fn a_config_without_json_is_the_one_that_json_gives() {
    let parsed = |fields: &str| {
        let parsed = new().parse_as::<OutlierDetectionConfig>(&config(fields));
        parsed.expect("a valid config")
    };
    let child = || parsed("").child_policy.clone();
    let defaults = OutlierDetectionConfig::new(child())
        .with_success_rate(SuccessRateEjection::new())
        .with_failure_percentage(FailurePercentageEjection::new());
    let json = r#""successRateEjection": {}, "failurePercentageEjection": {}"#;
    assert_eq!(format!("{defaults:?}"), format!("{:?}", parsed(json)));

    let success_rate = SuccessRateEjection::new()
        .with_stdev_factor(0)
        .with_minimum_hosts(2)
        .with_request_volume(3)
        .with_enforcement_percentage(1);
    let failure_percentage = FailurePercentageEjection::new()
        .with_minimum_hosts(6)
        .with_request_volume(7)
        .with_threshold(4)
        .and_then(|ejection| ejection.with_enforcement_percentage(5));
    let all = OutlierDetectionConfig::new(child())
        .with_interval(SECOND)
        .with_base_ejection_time(2 * SECOND)
        .with_max_ejection_time(3 * SECOND)
        .with_success_rate(success_rate.expect("valid"))
        .with_failure_percentage(failure_percentage.expect("valid"))
        .with_max_ejection_percent(100)
        .expect("valid");
    let json = r#""interval": "1s", "baseEjectionTime": "2s", "maxEjectionTime": "3s",
           "maxEjectionPercent": 100,
           "successRateEjection": {"stdevFactor": 0, "enforcementPercentage": 1,
                "minimumHosts": 2, "requestVolume": 3},
           "failurePercentageEjection": {"threshold": 4, "enforcementPercentage": 5,
                "minimumHosts": 6, "requestVolume": 7}"#;
    assert_eq!(format!("{all:?}"), format!("{:?}", parsed(json)));
}

#[test]
fn a_value_out_of_range_without_json_is_an_error_that_names_the_field() {
    let child = new().parse_as::<OutlierDetectionConfig>(&config(""));
    let child = child.expect("a valid config").child_policy.clone();
    let (success, failure) = (SuccessRateEjection::new(), FailurePercentageEjection::new());
    for (error, field) in [
        (
            OutlierDetectionConfig::new(child)
                .with_max_ejection_percent(101)
                .err(),
            "maxEjectionPercent",
        ),
        (
            success.with_enforcement_percentage(101).err(),
            "successRateEjection.enforcementPercentage",
        ),
        (
            failure.with_enforcement_percentage(101).err(),
            "failurePercentageEjection.enforcementPercentage",
        ),
        (
            failure.with_threshold(101).err(),
            "failurePercentageEjection.threshold",
        ),
    ] {
        let expected = format!("{field}: a whole number of at most 100 is expected, got 101");
        assert_eq!(error.expect(field).to_string(), expected);
    }
}

#[test]
fn the_greatest_interval_ends_at_a_point_in_time() {
    let child = new().parse_as::<OutlierDetectionConfig>(&config(""));
    let child = child.expect("a valid config").child_policy.clone();
    let config = OutlierDetectionConfig::new(child).with_interval(Duration::MAX);
    assert!(Instant::now().checked_add(config.interval).is_some());
}

#[test]
fn an_error_in_a_config_names_its_path() {
    let percent = "a whole number of at most 100 is expected, got 101";
    let duration = r#"a duration of at least 0 such as "1.5s" is expected, got "-1s""#;
    for (fields, path, problem) in [
        (r#""interval": "-1s""#, "interval", duration),
        (r#""baseEjectionTime": "-1s""#, "baseEjectionTime", duration),
        (r#""maxEjectionTime": "-1s""#, "maxEjectionTime", duration),
        (
            r#""maxEjectionPercent": 101"#,
            "maxEjectionPercent",
            percent,
        ),
        (
            r#""successRateEjection": {"enforcementPercentage": 101}"#,
            "successRateEjection.enforcementPercentage",
            percent,
        ),
        (
            r#""successRateEjection": {"stdevFactor": -1}"#,
            "successRateEjection.stdevFactor",
            "a whole number of at least 0 is expected, got -1",
        ),
        (
            r#""failurePercentageEjection": {"threshold": 101}"#,
            "failurePercentageEjection.threshold",
            percent,
        ),
        (
            r#""failurePercentageEjection": {"enforcementPercentage": 101}"#,
            "failurePercentageEjection.enforcementPercentage",
            percent,
        ),
        (
            r#""failurePercentageEjection": 1"#,
            "failurePercentageEjection",
            "an object is expected, got 1",
        ),
        (
            r#""childPolicy": [{"of the future": {}}]"#,
            "childPolicy",
            "none of these policies is known: of the future",
        ),
        (
            r#""childPolicy": null"#,
            "childPolicy",
            "this field is required",
        ),
    ] {
        let error = new().parse(&config(fields)).err();
        assert_eq!(error, Some(format!("{path}: {problem}")), "{fields}");
    }
}

#[test]
fn an_outlier_by_failure_percentage_is_ejected_at_the_end_of_the_interval() {
    let mut test = ready(FAILURES, &["a", "b", "c"]);
    test.calls(60, &["b"]);
    test.advance(10 * SECOND - Duration::from_nanos(1));
    assert_eq!(used(&test), ["a", "b", "c"]);
    test.advance(Duration::from_nanos(1));
    assert_eq!(used(&test), ["a", "c"]);
    assert_eq!(test.addresses(), ["a", "b", "c"]);
}

#[test]
fn an_outlier_by_success_rate_is_ejected() {
    let mut test = ready(r#""successRateEjection": {"requestVolume": 10}"#, &NAMES);
    test.calls(100, &["c"]);
    test.advance(10 * SECOND);
    assert_eq!(used(&test), ["a", "b", "d", "e"]);
}

#[test]
fn an_ejected_endpoint_is_restored_when_its_time_is_over() {
    let mut test = ready(FAILURES, &["a", "b"]);
    test.calls(40, &["b"]);
    test.advance(10 * SECOND);
    assert_eq!(used(&test), ["a"]);
    test.advance(29 * SECOND);
    assert_eq!(used(&test), ["a"]);
    test.advance(SECOND);
    assert_eq!(used(&test), ["a", "b"]);
    // The second ejection takes twice as long.
    test.calls(40, &["b"]);
    test.advance(10 * SECOND);
    test.advance(59 * SECOND);
    assert_eq!(used(&test), ["a"]);
    test.advance(SECOND);
    assert_eq!(used(&test), ["a", "b"]);
}

#[test]
fn calls_of_an_earlier_interval_do_not_count() {
    let mut test = ready(FAILURES, &["a", "b"]);
    test.calls(18, &["b"]);
    test.advance(10 * SECOND);
    test.calls(18, &["b"]);
    test.advance(10 * SECOND);
    assert_eq!(used(&test), ["a", "b"]);
}

#[test]
fn ejections_stop_at_the_maximum_percentage() {
    for (percent, expected) in [
        (0, &["a", "b", "c", "d", "e"][..]),
        (1, &["b", "c", "d", "e"]),
        (20, &["b", "c", "d", "e"]),
        (21, &["c", "d", "e"]),
        (100, &["e"]),
    ] {
        let fields = FAILURES.replace("50,\n", &format!("{percent},\n"));
        let mut test = ready(&fields, &NAMES);
        test.calls(100, &["a", "b", "c", "d"]);
        test.advance(10 * SECOND);
        assert_eq!(used(&test), expected, "{percent}");
    }
}

#[test]
fn an_outlier_is_ejected_with_the_configured_probability() {
    let parsed = new().parse_as::<OutlierDetectionConfig>(&config(FAILURES));
    let mut config = (*parsed.expect("valid")).clone();
    let mut random = fastrand::Rng::with_seed(7);
    for (percent, expected) in [(0, 0..=0), (30, 250..=350), (100, 1000..=1000)] {
        if let Some(ejection) = &mut config.failure_percentage {
            ejection.scope.enforcement_percentage = percent;
        }
        let mut ejections = 0;
        for _ in 0..1000 {
            let mut endpoints = Endpoints::default();
            endpoints.update(&[endpoint("a"), endpoint("b")]);
            let counters = endpoints.counters();
            for _ in 0..10 {
                counters[&address("a")].count(true);
                counters[&address("b")].count(false);
            }
            endpoints.end_interval(&config, Instant::now(), &mut || random.f64());
            ejections += usize::from(endpoints.is_ejected(&address("b")));
        }
        assert!(expected.contains(&ejections), "{percent}: {ejections}");
    }
}

#[test]
fn calls_fail_with_the_reason_if_all_ready_endpoints_are_ejected() {
    let fields = FAILURES.replace("50,\n", "100,\n");
    let mut test = ready(&fields, &["a", "b"]);
    test.calls(40, &["a", "b"]);
    test.advance(10 * SECOND);
    assert_eq!(test.state(), TransientFailure);
    let expected = "fail: b: outlier detection has ejected this endpoint";
    assert_eq!(test.pick(), expected);
}

#[test]
fn the_addresses_of_an_endpoint_are_counted_and_ejected_together() {
    let fields = FAILURES.replace(r#""threshold": 50"#, r#""threshold": 40"#);
    let mut test = new();
    let pair = |one, other| Endpoint::new(vec![address(one), address(other)]);
    let both = vec![pair("a", "b"), pair("c", "d")];
    test.update(&config(&fields), both).expect("endpoints");
    for name in ["a", "b", "c", "d"] {
        test.ready(name);
    }
    // Five calls to each address are too few on their own.
    test.calls(20, &["c"]);
    test.advance(10 * SECOND);
    assert_eq!(used(&test), ["a", "b"]);
}

#[test]
fn a_restored_connection_has_its_latest_state() {
    let mut test = ready(FAILURES, &["a", "b"]);
    test.calls(40, &["b"]);
    test.advance(10 * SECOND);
    // The connection is lost and made again. It stays ejected.
    test.subconn("b", &SubConnState::Idle);
    test.subconn("b", &SubConnState::Connecting);
    test.ready("b");
    assert_eq!(used(&test), ["a"]);
    // The health is unknown.
    test.subconn("b", &SubConnState::Ready(Health::Unknown));
    test.advance(30 * SECOND);
    assert_eq!(used(&test), ["a"]);
    test.ready("b");
    assert_eq!(used(&test), ["a", "b"]);
}

#[test]
fn a_connection_made_during_an_ejection_is_ejected_too() {
    let mut test = ready(FAILURES, &["a", "b"]);
    test.calls(40, &["b"]);
    test.subconn("b", &SubConnState::Connecting);
    test.advance(10 * SECOND);
    test.ready("b");
    assert_eq!(used(&test), ["a"]);
}

#[test]
fn a_kept_endpoint_stays_ejected_and_a_removed_one_does_not() {
    let mut test = ready(FAILURES, &["a", "b"]);
    test.calls(40, &["b"]);
    test.advance(10 * SECOND);
    test.update(&config(FAILURES), endpoints(&["b", "a"]))
        .expect("endpoints");
    assert_eq!(used(&test), ["a"]);
    test.update(&config(FAILURES), endpoints(&["a"]))
        .expect("endpoints");
    test.update(&config(FAILURES), endpoints(&["a", "b"]))
        .expect("endpoints");
    test.ready("b");
    assert_eq!(used(&test), ["a", "b"]);
}

#[test]
fn an_address_that_moves_to_another_endpoint_has_its_ejection() {
    let mut test = ready(FAILURES, &["a", "b"]);
    test.calls(40, &["b"]);
    test.advance(10 * SECOND);
    let moved = Endpoint::new(vec![address("b"), address("c")]);
    test.update(&config(FAILURES), vec![endpoint("a"), moved])
        .expect("endpoints");
    assert_eq!(used(&test), ["a", "b"]);
}

#[test]
fn a_config_without_algorithms_restores_all_and_counts_nothing() {
    let mut test = ready(FAILURES, &["a", "b"]);
    test.calls(40, &["b"]);
    test.advance(10 * SECOND);
    assert_eq!(used(&test), ["a"]);
    test.update(&config(""), endpoints(&["a", "b"]))
        .expect("endpoints");
    assert_eq!(used(&test), ["a", "b"]);
    test.calls(40, &["b"]);
    test.advance(60 * SECOND);
    test.update(&config(FAILURES), endpoints(&["a", "b"]))
        .expect("endpoints");
    test.advance(10 * SECOND);
    assert_eq!(used(&test), ["a", "b"]);
}

#[test]
fn a_new_interval_length_applies_from_the_start_of_the_present_one() {
    let mut test = ready(FAILURES, &["a", "b"]);
    test.calls(40, &["b"]);
    test.advance(8 * SECOND);
    let shorter = format!(r#""interval": "9s", {FAILURES}"#);
    test.update(&config(&shorter), endpoints(&["a", "b"]))
        .expect("endpoints");
    test.advance(SECOND - Duration::from_nanos(1));
    assert_eq!(used(&test), ["a", "b"]);
    test.advance(Duration::from_nanos(1));
    assert_eq!(used(&test), ["a"]);
}

#[test]
fn an_interval_of_zero_is_a_millisecond() {
    let mut test = ready(&format!(r#""interval": "0s", {FAILURES}"#), &["a", "b"]);
    test.calls(40, &["b"]);
    assert_eq!(used(&test), ["a", "b"]);
    test.advance(Duration::from_millis(1));
    assert_eq!(used(&test), ["a"]);
}

#[test]
fn another_child_policy_is_used_when_it_is_ready() {
    let mut test = ready(FAILURES, &["a"]);
    let other = config(FAILURES).replace("each_address", "each_address_too");
    test.update(&other, endpoints(&["a"])).expect("endpoints");
    assert_eq!((test.state(), test.pick()), (Ready, "a".into()));
    test.ready("a");
    assert_eq!(test.addresses(), ["a"]);
    test.subconn("a", &SubConnState::Connecting);
    assert_eq!(test.state(), Connecting);
}

#[test]
fn errors_of_the_child_are_passed_on() {
    let mut test = new();
    test.resolver_error("no such name");
    assert_eq!(test.pick(), "fail: no such name");
    let error = test.update(&config(FAILURES), Vec::new());
    assert_eq!(error.expect_err("none").message(), "no addresses");
    assert_eq!(test.pick(), "fail: no addresses");
}

#[test]
fn the_leaves_of_a_child_apply_an_ejection() {
    fastrand::seed(7);
    let mut test = new().with_child(RingHashBuilder::new());
    let ring = r#""ring_hash_experimental": {"requestHashHeader": "x"}"#;
    let json = config(FAILURES).replace(r#""each_address": {}"#, ring);
    test.update(&json, endpoints(&["a", "b", "c"]))
        .expect("endpoints");
    while test.addresses().len() < 3 {
        test.pick();
        test.wake();
        for name in test.connects() {
            test.subconn(&name, &SubConnState::Connecting);
            test.ready(&name);
        }
    }
    test.calls(300, &["b"]);
    test.advance(10 * SECOND);
    let mut used: Vec<_> = (0..300).map(|_| test.pick()).collect();
    used.sort();
    used.dedup();
    assert_eq!(used, ["a", "c"]);
    assert_eq!(test.connects(), [""; 0]);
}
