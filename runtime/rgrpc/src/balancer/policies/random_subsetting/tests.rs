//! Tests of the config, and of the endpoints that the child gets.

use super::*;
use crate::balancer::policies::policy_test::{PolicyTest, endpoint};
use crate::connectivity_state::ConnectivityState::{Ready, TransientFailure};
use crate::resolver::Endpoint;

fn new() -> PolicyTest {
    PolicyTest::new(RandomSubsettingBuilder)
}

fn config(size: u32) -> String {
    format!(r#"{{"subsetSize": {size}, "childPolicy": [{{"each_address": {{}}}}]}}"#)
}

fn endpoints(names: std::ops::Range<usize>) -> Vec<Endpoint> {
    names.map(|name| endpoint(&name.to_string())).collect()
}

#[test]
fn a_config_is_parsed() {
    let json = r#"{"subsetSize": "4294967295", "childPolicy": [{"each_address": {}}], "x": 1}"#;
    let parsed = new().parse_as::<RandomSubsettingConfig>(json).expect(json);
    assert_eq!(parsed.subset_size, u32::MAX);
    assert_eq!(parsed.child_policy.name(), "each_address");
}

#[test]
fn an_error_in_a_config_names_its_path() {
    for (json, expected) in [
        ("{}", "subsetSize: this field is required"),
        (
            r#"{"subsetSize": 0}"#,
            "subsetSize: at least 1 is expected, got 0",
        ),
        (
            r#"{"subsetSize": 4294967296}"#,
            "subsetSize: a whole number of at most 4294967295 is expected, got 4294967296",
        ),
        (
            r#"{"subsetSize": 1}"#,
            "childPolicy: this field is required",
        ),
        (
            r#"{"subsetSize": 1, "childPolicy": {}}"#,
            "childPolicy: a list is expected, got an object",
        ),
    ] {
        let error = new().parse(json).err();
        assert_eq!(error.as_deref(), Some(expected), "{json}");
    }
}

#[test]
fn the_subset_stays_while_the_endpoints_stay() {
    let mut test = new();
    test.update(&config(3), endpoints(0..100))
        .expect("endpoints");
    let before = test.channel.subconns();
    assert_eq!(before.len(), 3);
    test.update(&config(3), endpoints(0..100))
        .expect("endpoints");
    assert_eq!(test.channel.subconns(), before);
    let chosen = test.addresses().remove(0);
    test.ready(&chosen);
    assert_eq!((test.state(), test.pick()), (Ready, chosen));
}

#[test]
fn a_larger_size_keeps_the_chosen_endpoints() {
    let mut test = new();
    test.update(&config(3), endpoints(0..100))
        .expect("endpoints");
    let before = test.channel.subconns();
    test.update(&config(5), endpoints(0..100))
        .expect("endpoints");
    let after = test.channel.subconns();
    assert_eq!(after.len(), 5);
    assert!(before.iter().all(|subconn| after.contains(subconn)));
}

#[test]
fn channels_choose_different_subsets() {
    let mut test = new();
    let mut other = new();
    // Another channel draws another number.
    other.channel.random();
    test.update(&config(5), endpoints(0..1000))
        .expect("endpoints");
    other
        .update(&config(5), endpoints(0..1000))
        .expect("endpoints");
    assert_ne!(test.addresses(), other.addresses());
}

#[test]
fn errors_of_the_child_are_passed_on() {
    let mut test = new();
    test.resolver_error("no such name");
    assert_eq!(test.state(), TransientFailure);
    assert_eq!(test.pick(), "fail: no such name");
    let error = test.update(&config(1), Vec::new()).expect_err("none");
    assert_eq!(error.message(), "no addresses");
}
