//! Tests of the config, the shares of calls, and the state.

use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use super::*;
use crate::balancer::chi_square::assert_distribution;
use crate::balancer::policies::policy_test::{PolicyTest, endpoint};
use crate::balancer::{HierarchyPath, SubConnState};
use crate::resolver::{Attributes, Endpoint};

fn test() -> PolicyTest {
    PolicyTest::new(WeightedTargetBuilder)
}

/// An endpoint of a child.
fn of(child: &str, name: &str) -> Endpoint {
    let path = HierarchyPath::new([child]);
    endpoint(name).with_attributes(Attributes::new().with(path))
}

/// A config of children with these weights.
fn targets(weights: &[(&str, u32)]) -> String {
    let targets = weights.iter().map(|(name, weight)| {
        format!(r#""{name}": {{"weight": {weight}, "childPolicy": [{{"each_address": {{}}}}]}}"#)
    });
    let targets: Vec<_> = targets.collect();
    format!(r#"{{"targets": {{{}}}}}"#, targets.join(", "))
}

/// A policy with the children x and y. Each has one address, which has the child's name.
fn two(weights: (u32, u32)) -> PolicyTest {
    let mut test = test();
    let config = targets(&[("x", weights.0), ("y", weights.1)]);
    test.update(&config, vec![of("x", "x"), of("y", "y")])
        .expect("endpoints");
    test
}

#[test]
fn a_config_is_parsed_with_its_defaults() {
    for (json, expected) in [
        ("{}", &[][..]),
        (r#"{"targets": null, "of the future": 1}"#, &[]),
        (
            r#"{"targets": {"a": {"weight": "7", "childPolicy": [{"each_address": {}}]},
                            "b": {"childPolicy": [{"of the future": 1}, {"each_address_too": {}}]}}}"#,
            &[("a", 7, "each_address"), ("b", 0, "each_address_too")],
        ),
    ] {
        let config = test().parse_as::<WeightedTargetConfig>(json).expect(json);
        let targets = config.targets.iter();
        let targets: Vec<_> = targets
            .map(|(name, target)| (name.as_str(), target.weight, target.policy.name()))
            .collect();
        assert_eq!(targets, expected, "{json}");
    }
}

#[test]
fn an_error_in_a_config_names_its_path() {
    for (json, expected) in [
        ("[]", "an object is expected, got a list"),
        (
            r#"{"targets": []}"#,
            "targets: an object is expected, got a list",
        ),
        (
            r#"{"targets": {"a": {"weight": 1}}}"#,
            "targets.a.childPolicy: this field is required",
        ),
        (
            r#"{"targets": {"a": {"weight": 4294967296}}}"#,
            "targets.a.weight: a whole number of at most 4294967295 is expected, got 4294967296",
        ),
        (
            r#"{"targets": {"a": {"childPolicy": [{"of the future": {}}]}}}"#,
            "targets.a.childPolicy: none of these policies is known: of the future",
        ),
        (
            r#"{"targets": {"a": {"childPolicy": [{"each_address": 1}]}}}"#,
            "targets.a.childPolicy[0].each_address: an object is expected, got 1",
        ),
    ] {
        let error = test().parse(json).err();
        assert_eq!(error.as_deref(), Some(expected), "{json}");
    }
}

#[test]
fn calls_use_the_ready_children_in_proportion_to_their_weights() {
    fastrand::seed(7);
    let mut test = test();
    let config = targets(&[("w", 9), ("x", 1), ("y", 2), ("z", 5)]);
    let endpoints = ["w", "x", "y", "z"].map(|name| of(name, name));
    test.update(&config, endpoints.to_vec()).expect("endpoints");
    test.fail("w");
    for name in ["x", "y", "z"] {
        test.ready(name);
    }
    let counts = test.counts(&["x", "y", "z"], 100_000);
    assert_distribution(&counts, &[1.0, 2.0, 5.0]);
}

#[test]
fn a_child_gets_the_endpoints_of_its_name() {
    let mut test = test();
    let endpoints = vec![
        of("x", "1"),
        of("y", "2"),
        of("x", "3"),
        of("nobody", "4"),
        endpoint("5"),
    ];
    test.update(&targets(&[("x", 1), ("y", 1)]), endpoints)
        .expect("endpoints");
    assert_eq!(test.addresses(), ["1", "3", "2"]);
}

#[test]
fn the_state_is_the_best_of_the_children_and_a_failed_child_that_connects_stays_failed() {
    let mut test = two((1, 1));
    assert_eq!((test.state(), test.pick()), (Connecting, "queue".into()));
    test.fail("x");
    assert_eq!((test.state(), test.pick()), (Connecting, "queue".into()));
    test.fail("y");
    assert_eq!(test.state(), TransientFailure);
    test.subconn("x", &SubConnState::Connecting);
    assert_eq!(test.state(), TransientFailure);
    test.ready("x");
    assert_eq!((test.state(), test.pick()), (Ready, "x".into()));
    test.subconn("x", &SubConnState::Idle);
    assert_eq!(test.state(), Idle);
}

#[test]
fn calls_fail_with_the_status_of_a_child_if_all_have_failed() {
    fastrand::seed(7);
    let mut test = two((1, 0));
    test.fail("x");
    test.fail("y");
    assert_eq!(test.pick(), "fail: x");
}

#[test]
fn a_call_connects_an_idle_child() {
    let mut test = two((1, 0));
    test.ready("x");
    test.fail("y");
    test.subconn("x", &SubConnState::Idle);
    test.connects();
    assert_eq!((test.state(), test.pick()), (Idle, "queue".into()));
    assert_eq!(test.connects(), ["x"]);
}

#[test]
fn exit_idle_is_for_all_children() {
    let mut test = two((1, 1));
    test.connects();
    test.exit_idle();
    assert_eq!(test.connects(), ["x", "y"]);
}

#[test]
fn a_change_of_weights_keeps_the_children() {
    fastrand::seed(7);
    let mut test = two((1, 0));
    test.ready("x");
    test.ready("y");
    let before = test.channel.subconns();
    assert_eq!(test.counts(&["x", "y"], 1000), [1000, 0]);
    test.update(
        &targets(&[("x", 0), ("y", 1)]),
        vec![of("x", "x"), of("y", "y")],
    )
    .expect("endpoints");
    assert_eq!(test.channel.subconns(), before);
    assert_eq!(test.counts(&["x", "y"], 1000), [0, 1000]);
}

#[test]
fn a_child_that_the_config_no_longer_contains_is_dropped() {
    let mut test = two((1, 1));
    test.ready("x");
    test.ready("y");
    test.update(&targets(&[("y", 1)]), vec![of("x", "x"), of("y", "y")])
        .expect("endpoints");
    assert_eq!(test.counts(&["y"], 100), [100]);
    assert_eq!(test.addresses(), ["y"]);
}

#[test]
fn a_child_is_replaced_when_its_new_policy_is_ready() {
    let mut test = test();
    let endpoints = || vec![of("x", "x")];
    test.update(&targets(&[("x", 1)]), endpoints())
        .expect("endpoints");
    test.ready("x");
    let config = r#"{"targets": {"x": {"childPolicy": [{"each_address_too": {}}]}}}"#;
    test.update(config, endpoints()).expect("endpoints");
    assert_eq!(test.addresses(), ["x", "x"]);
    assert_eq!(test.pick(), "x");
    test.ready("x");
    assert_eq!(test.addresses(), ["x"]);
}

#[test]
fn without_targets_calls_fail() {
    let mut test = test();
    test.update("{}", vec![of("x", "x")])
        .expect("as in grpc-go");
    assert_eq!(test.state(), TransientFailure);
    let expected = "fail: weighted_target: the policy's config has no targets";
    assert_eq!(test.pick(), expected);
}

#[test]
fn an_update_returns_the_first_error_of_a_child() {
    let mut test = test();
    let config = targets(&[("x", 1), ("y", 1)]);
    let error = test.update(&config, vec![of("y", "y")]).expect_err("no x");
    assert_eq!(error.message(), "no addresses");
    test.ready("y");
    assert_eq!(test.pick(), "y");
}

#[test]
fn a_resolver_error_before_any_endpoints_fails_calls() {
    let mut test = test();
    test.resolver_error("no such name");
    assert_eq!(test.state(), TransientFailure);
    assert_eq!(test.pick(), "fail: no such name");
}
