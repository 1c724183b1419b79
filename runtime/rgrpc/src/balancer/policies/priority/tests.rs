//! Tests of the config, the choice, failover, deactivation and re-resolution.

use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use super::*;
use crate::balancer::policies::policy_test::{PolicyTest, endpoint};
use crate::balancer::{HierarchyPath, RingHashBuilder, SubConnState, WeightedTargetBuilder};
use crate::resolver::Attributes;

fn test() -> PolicyTest {
    PolicyTest::new(PriorityBuilder)
}

/// A config of these children, all with one policy.
fn config_of(policy: &str, names: &[&str]) -> String {
    let children = names
        .iter()
        .map(|name| format!(r#""{name}": {{"config": [{{"{policy}": {{}}}}]}}"#));
    let children = children.collect::<Vec<_>>().join(", ");
    format!(r#"{{"priorities": {names:?}, "children": {{{children}}}}}"#)
}

fn config(names: &[&str]) -> String {
    config_of("each_address", names)
}

/// One endpoint for each of these children, with the child's name as the address.
fn endpoints(names: &[&str]) -> Vec<Endpoint> {
    let of = |name: &&str| {
        let attributes = Attributes::new().with(HierarchyPath::new([*name]));
        endpoint(name).with_attributes(attributes)
    };
    names.iter().map(of).collect()
}

fn update(test: &mut PolicyTest, names: &[&str]) {
    test.update(&config(names), endpoints(names))
        .expect("endpoints");
}

/// A policy with children of these names, none of them READY.
fn with(names: &[&str]) -> PolicyTest {
    let mut test = test();
    update(&mut test, names);
    test
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_config_is_parsed_in_the_order_of_its_priorities() {
    for (json, expected) in [
        ("{}", &[][..]),
        (r#"{"priorities": [], "children": {}}"#, &[]),
        (
            r#"{"priorities": ["b", "a"], "children": {
                "a": {"config": [{"each_address": {}}]},
                "b": {"config": [{"x": 1}, {"each_address_too": {}}],
                      "ignoreReresolutionRequests": true}
            }}"#,
            &[
                ("b", "each_address_too", true),
                ("a", "each_address", false),
            ],
        ),
    ] {
        let config = test().parse_as::<PriorityConfig>(json).expect(json);
        let children = config.priorities.iter().map(|child| {
            let ignores = child.ignore_reresolution_requests;
            (child.name.as_str(), child.policy.name(), ignores)
        });
        assert_eq!(children.collect::<Vec<_>>(), expected, "{json}");
    }
}

#[test]
fn an_error_in_a_config_names_its_path() {
    for (json, expected) in [
        ("1", "an object is expected, got 1"),
        (
            r#"{"priorities": {}}"#,
            "priorities: a list is expected, got an object",
        ),
        (
            r#"{"priorities": [1]}"#,
            "priorities[0]: a string is expected, got 1",
        ),
        (
            r#"{"priorities": ["a"]}"#,
            r#"priorities[0]: "a" is not among the children"#,
        ),
        (
            r#"{"priorities": ["a"], "children": {"a": {}}}"#,
            "children.a.config: this field is required",
        ),
        (
            r#"{"priorities": ["a"], "children": {"a": {"config": []}}}"#,
            "children.a.config: a policy is expected, got an empty list",
        ),
        (
            r#"{"priorities": ["a"], "children": {"a":
                {"config": [{"each_address": {}}], "ignoreReresolutionRequests": 1}}}"#,
            "children.a.ignoreReresolutionRequests: true or false is expected, got 1",
        ),
        (
            r#"{"priorities": ["a", "a"], "children": {"a": {"config": [{"each_address": {}}]}}}"#,
            r#"priorities[1]: "a" is listed a second time"#,
        ),
        (
            r#"{"children": {"a": {"config": [{"each_address": {}}]}}}"#,
            r#"children.a: "a" is not among the priorities"#,
        ),
    ] {
        let error = test().parse(json).err();
        assert_eq!(error.as_deref(), Some(expected), "{json}");
    }
}

#[test]
fn only_the_first_child_is_built_and_used() {
    let mut test = with(&["a", "b"]);
    assert_eq!((test.state(), test.pick()), (Connecting, "queue".into()));
    test.ready("a");
    assert_eq!((test.state(), test.pick()), (Ready, "a".into()));
    assert_eq!(test.addresses(), ["a"]);
}

#[test]
fn the_next_child_is_built_when_the_one_before_fails() {
    let mut test = with(&["a", "b", "c"]);
    test.fail("a");
    assert_eq!((test.state(), test.pick()), (Connecting, "queue".into()));
    assert_eq!(test.addresses(), ["a", "b"]);
    test.ready("b");
    assert_eq!((test.state(), test.pick()), (Ready, "b".into()));
    test.fail("b");
    assert_eq!(test.addresses(), ["a", "b", "c"]);
}

#[test]
fn the_next_child_is_built_if_the_one_before_is_not_ready_after_10_s() {
    let mut test = with(&["a", "b"]);
    test.advance(10 * SECOND - Duration::from_nanos(1));
    assert_eq!(test.addresses(), ["a"]);
    test.advance(Duration::from_nanos(1));
    assert_eq!(test.addresses(), ["a", "b"]);
    test.ready("b");
    assert_eq!(test.pick(), "b");
}

#[test]
fn a_child_of_higher_priority_is_used_when_it_is_ready_again() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    test.subconn("a", &SubConnState::Connecting);
    assert_eq!((test.state(), test.pick()), (Ready, "b".into()));
    test.ready("a");
    assert_eq!((test.state(), test.pick()), (Ready, "a".into()));
}

#[test]
fn a_deactivated_child_is_dropped_after_15_minutes() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    test.ready("a");
    test.advance(DEACTIVATION_TIME - SECOND);
    assert_eq!(test.addresses(), ["a", "b"]);
    test.advance(SECOND);
    assert_eq!(test.addresses(), ["a"]);
}

#[test]
fn a_deactivated_child_can_be_used_again_and_is_not_dropped_then() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    test.ready("a");
    test.advance(60 * SECOND);
    test.fail("a");
    assert_eq!((test.state(), test.pick()), (Ready, "b".into()));
    test.advance(2 * DEACTIVATION_TIME);
    assert_eq!(test.addresses(), ["a", "b"]);
}

#[test]
fn the_time_of_a_deactivated_child_restarts() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    test.ready("a");
    test.advance(DEACTIVATION_TIME - SECOND);
    test.fail("a");
    test.ready("a");
    test.advance(2 * SECOND);
    assert_eq!(test.addresses(), ["a", "b"]);
}

#[test]
fn an_idle_child_is_used_and_its_timer_starts_when_it_connects() {
    let mut test = with(&["a", "b"]);
    test.subconn("a", &SubConnState::Idle);
    test.connects();
    assert_eq!((test.state(), test.pick()), (Idle, "queue".into()));
    assert_eq!(test.connects(), ["a"]);
    test.advance(60 * SECOND);
    assert_eq!(test.addresses(), ["a"]);
    test.subconn("a", &SubConnState::Connecting);
    test.advance(9 * SECOND);
    assert_eq!(test.addresses(), ["a"]);
    test.advance(SECOND);
    assert_eq!(test.addresses(), ["a", "b"]);
}

#[test]
fn if_all_have_failed_the_last_child_is_used_unless_one_connects() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.fail("b");
    assert_eq!(
        (test.state(), test.pick()),
        (TransientFailure, "fail: b".into())
    );
    test.subconn("a", &SubConnState::Connecting);
    assert_eq!((test.state(), test.pick()), (Connecting, "queue".into()));
}

#[test]
fn the_state_of_a_child_that_is_not_in_use_is_not_published() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    let before = test.channel.published();
    test.subconn("a", &SubConnState::Connecting);
    test.fail("a");
    assert_eq!(test.channel.published(), before);
    test.ready("b");
    assert_eq!(test.channel.published(), before + 1);
}

#[test]
fn a_child_that_the_config_no_longer_contains_is_dropped_at_once() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    update(&mut test, &["a"]);
    assert_eq!(test.addresses(), ["a"]);
    assert_eq!(
        (test.state(), test.pick()),
        (TransientFailure, "fail: a".into())
    );
}

#[test]
fn a_new_first_child_gets_its_time_before_the_others_are_used() {
    let mut test = with(&["b"]);
    test.ready("b");
    update(&mut test, &["a", "b"]);
    assert_eq!((test.state(), test.pick()), (Connecting, "queue".into()));
    assert_eq!(test.addresses(), ["b", "a"]);
    test.fail("a");
    assert_eq!((test.state(), test.pick()), (Ready, "b".into()));
}

#[test]
fn a_child_keeps_its_connections_when_its_priority_changes() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    let before = test.channel.subconns();
    update(&mut test, &["b", "a"]);
    assert_eq!(test.channel.subconns(), before);
    assert_eq!((test.state(), test.pick()), (Ready, "b".into()));
}

#[test]
fn the_choice_is_made_after_all_children_are_updated() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    // The endpoint of b moves to a, which connects to it. b has no endpoint left and fails.
    let attributes = Attributes::new().with(HierarchyPath::new(["a"]));
    let moved = endpoint("b").with_attributes(attributes);
    let before = test.channel.published();
    test.update(&config(&["a", "b"]), vec![moved])
        .expect_err("none for b");
    assert_eq!(test.channel.published(), before + 1);
    assert_eq!((test.state(), test.pick()), (Connecting, "queue".into()));
}

#[test]
fn a_child_is_replaced_when_its_new_policy_is_ready() {
    let mut test = with(&["a"]);
    test.ready("a");
    test.update(&config_of("each_address_too", &["a"]), endpoints(&["a"]))
        .expect("endpoints");
    assert_eq!(test.addresses(), ["a", "a"]);
    assert_eq!((test.state(), test.pick()), (Ready, "a".into()));
    test.ready("a");
    assert_eq!(test.addresses(), ["a"]);
}

#[test]
fn a_child_without_endpoints_fails_and_the_next_is_used() {
    let mut test = test();
    let error = test.update(&config(&["a", "b"]), endpoints(&["b"]));
    assert_eq!(error.expect_err("none for a").message(), "no addresses");
    test.ready("b");
    assert_eq!((test.state(), test.pick()), (Ready, "b".into()));
}

#[test]
fn without_priorities_calls_fail() {
    let mut test = with(&["a"]);
    test.ready("a");
    test.update("{}", endpoints(&["a"])).expect("as in grpc-go");
    assert_eq!(test.state(), TransientFailure);
    let expected = "fail: priority: the policy's config has no priorities";
    assert_eq!(test.pick(), expected);
    assert_eq!(test.addresses(), [""; 0]);
    update(&mut test, &["a"]);
    assert_eq!(test.state(), Connecting);
}

#[test]
fn a_child_can_make_the_resolver_resolve_again_unless_the_config_ignores_it() {
    for (ignores, expected) in [(false, 1), (true, 0)] {
        let json = format!(
            r#"{{"priorities": ["a"], "children": {{"a": {{"config": [{{"each_address": {{}}}}],
                "ignoreReresolutionRequests": {ignores}}}}}}}"#
        );
        let mut test = test();
        test.update(&json, endpoints(&["a"])).expect("endpoints");
        test.fail("a");
        assert_eq!(test.channel.resolves(), expected, "{ignores}");
        let result = test.update(&json, Vec::new());
        assert_eq!(result.is_ok(), ignores);
    }
}

#[test]
fn exit_idle_is_for_the_active_children() {
    let mut test = with(&["a", "b"]);
    test.fail("a");
    test.ready("b");
    test.connects();
    test.exit_idle();
    assert_eq!(test.connects(), ["a", "b"]);
    test.ready("a");
    test.exit_idle();
    assert_eq!(test.connects(), ["a"]);
}

#[test]
fn a_resolver_error_before_any_endpoints_fails_calls() {
    let mut test = test();
    test.resolver_error("no such name");
    assert_eq!(test.state(), TransientFailure);
    assert_eq!(test.pick(), "fail: no such name");
}

#[test]
fn after_two_failures_of_ring_hash_the_next_child_is_used_until_the_ring_is_ready() {
    let mut test = test().with_child(RingHashBuilder::new());
    let json = r#"{"priorities": ["ring", "b"], "children": {
        "ring": {"config": [{"ring_hash_experimental": {"requestHashHeader": "x"}}]},
        "b": {"config": [{"each_address": {}}]}
    }}"#;
    let of = |child: &'static str, name| {
        let attributes = Attributes::new().with(HierarchyPath::new([child]));
        endpoint(name).with_attributes(attributes)
    };
    let ring = ["1", "2", "3"].map(|name| of("ring", name));
    let all = ring.into_iter().chain([of("b", "b")]).collect();
    test.update(json, all).expect("endpoints");
    assert_eq!((test.state(), test.pick()), (Idle, "queue".into()));
    test.wake();
    for expected in [Connecting, Connecting] {
        assert_eq!(test.state(), expected);
        let name = test.connects().remove(0);
        test.subconn(&name, &SubConnState::Connecting);
        test.fail(&name);
    }
    // The ring connects to the third one without a call.
    let mut connects = test.connects();
    assert_eq!((connects.len(), connects.pop()), (2, Some("b".to_owned())));
    test.ready("b");
    assert_eq!((test.state(), test.pick()), (Ready, "b".into()));
    let third = connects.remove(0);
    test.subconn(&third, &SubConnState::Connecting);
    test.ready(&third);
    assert_eq!((test.state(), test.pick()), (Ready, third));
}

#[test]
fn a_child_groups_its_endpoints_by_the_remaining_names() {
    let mut test = test().with_child(WeightedTargetBuilder);
    let json = r#"{"priorities": ["a"], "children": {"a": {"config": [
        {"weighted_target_experimental": {"targets": {
            "x": {"weight": 1, "childPolicy": [{"each_address": {}}]},
            "y": {"weight": 0, "childPolicy": [{"each_address": {}}]}
        }}}
    ]}}}"#;
    let of = |path: [&str; 2], name| {
        let attributes = Attributes::new().with(HierarchyPath::new(path));
        endpoint(name).with_attributes(attributes)
    };
    let all = vec![
        of(["a", "y"], "1"),
        of(["a", "x"], "2"),
        of(["b", "x"], "3"),
    ];
    test.update(json, all).expect("endpoints");
    assert_eq!(test.addresses(), ["2", "1"]);
    test.ready("1");
    test.ready("2");
    assert_eq!(test.counts(&["2"], 100), [100]);
}
