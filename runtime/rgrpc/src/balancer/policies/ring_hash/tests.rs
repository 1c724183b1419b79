//! Tests of the config, the hashes, the picks and the connections that they begin.

use std::time::Duration;

use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use super::picker::no_hash;
use super::*;
use crate::balancer::policies::policy_test::{PolicyTest, address, endpoint};
use crate::balancer::{Health, PickInfo, PickResult, SubConnState, TestChannel, TestPick};
use crate::extensions::Extensions;
use crate::metadata::Metadata;
use crate::resolver::Attributes;

const CONFIG: &str = r#"{"requestHashHeader": "session"}"#;

fn new() -> PolicyTest {
    PolicyTest::new(RingHashBuilder::new())
}

fn endpoints(names: &[&str]) -> Vec<Endpoint> {
    names.iter().map(|name| endpoint(name)).collect()
}

fn with(names: &[&str]) -> PolicyTest {
    let mut test = new();
    test.update(CONFIG, endpoints(names)).expect("endpoints");
    test
}

/// The metadata of a call of a session.
fn session(session: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata
        .append("session", session.to_owned())
        .expect("valid");
    metadata
}

/// Picks for a call of a session, and wakes the policy if the call requires it.
fn call(test: &mut PolicyTest, of: &str) -> String {
    let picked = test.pick_with(&session(of));
    test.wake();
    picked
}

/// One session for each of these endpoints, whose calls use this endpoint first.
fn sessions(names: &[&str]) -> Vec<String> {
    let mut test = with(names);
    for name in names {
        connect(&mut test, name);
    }
    let of = |name: &&str| {
        let mut sessions = (0..).map(|number: u32| number.to_string());
        sessions.find(|it| test.pick_with(&session(it)) == **name)
    };
    names.iter().filter_map(of).collect()
}

/// Makes calls until the subchannel with this name exists, and connects it.
fn connect(test: &mut PolicyTest, name: &str) {
    let mut sessions = 0..;
    while test.channel.subconn(&address(name)).is_none() {
        let number: u32 = sessions.next().expect("without end");
        call(test, &number.to_string());
    }
    test.subconn(name, &SubConnState::Connecting);
    test.ready(name);
}

#[test]
fn a_config_is_parsed_with_its_defaults_and_the_cap() {
    for (json, ring_size, header) in [
        ("{}", 1024..=4096, None),
        (
            r#"{"minRingSize": 0, "maxRingSize": "0"}"#,
            1024..=4096,
            None,
        ),
        (r#"{"requestHashHeader": ""}"#, 1024..=4096, None),
        (
            r#"{"minRingSize": 1, "maxRingSize": 2, "requestHashHeader": "X-Session"}"#,
            1..=2,
            Some("x-session"),
        ),
        (r#"{"minRingSize": 4096}"#, 4096..=4096, None),
        (
            r#"{"minRingSize": 5000, "maxRingSize": 8388608}"#,
            4096..=4096,
            None,
        ),
    ] {
        let config = new().parse_as::<RingHashConfig>(json).expect(json);
        let expected = RingHashConfig {
            ring_size,
            request_hash_header: header.map(Arc::from),
        };
        assert_eq!(*config, expected, "{json}");
    }
}

#[test]
fn the_cap_is_an_option_of_the_builder() {
    for (cap, expected) in [(0, 1..=1), (2000, 1024..=2000), (1 << 20, 1024..=100_000)] {
        let test = PolicyTest::new(RingHashBuilder::new().with_ring_size_cap(cap));
        let config = test.parse_as::<RingHashConfig>(r#"{"maxRingSize": 100000}"#);
        assert_eq!(config.expect("valid").ring_size, expected, "{cap}");
    }
}

#[test]
fn an_error_in_a_config_names_its_path() {
    let key = "a metadata key of 0-9 a-z _ - . that does not end in -bin is expected";
    for (json, expected) in [
        (
            r#"{"minRingSize": 8388609}"#,
            "minRingSize: a whole number of at most 8388608 is expected, got 8388609".to_owned(),
        ),
        (
            r#"{"maxRingSize": -1}"#,
            "maxRingSize: a whole number of at least 0 is expected, got -1".to_owned(),
        ),
        (
            r#"{"minRingSize": 5000}"#,
            "minRingSize: the minimum ring size, 5000, is more than the maximum, 4096".to_owned(),
        ),
        (
            r#"{"maxRingSize": 100}"#,
            "maxRingSize: the minimum ring size, 1024, is more than the maximum, 100".to_owned(),
        ),
        (
            r#"{"requestHashHeader": "trace-BIN"}"#,
            format!(r#"requestHashHeader: {key}, got "trace-BIN""#),
        ),
        (
            r#"{"requestHashHeader": "a b"}"#,
            format!(r#"requestHashHeader: {key}, got "a b""#),
        ),
        (
            r#"{"requestHashHeader": 1}"#,
            "requestHashHeader: a string is expected, got 1".to_owned(),
        ),
    ] {
        assert_eq!(new().parse(json).err(), Some(expected), "{json}");
    }
}

#[test]
fn the_first_call_of_an_endpoint_connects_it() {
    let mut test = with(&["a", "b", "c"]);
    assert_eq!(test.state(), Idle);
    test.exit_idle();
    assert_eq!(test.addresses(), [""; 0]);

    assert_eq!(call(&mut test, "1"), "queue");
    let connects = test.connects();
    assert_eq!(connects.len(), 1);
    assert_eq!(test.state(), Connecting);
    test.subconn(&connects[0], &SubConnState::Connecting);
    test.ready(&connects[0]);
    assert_eq!(test.state(), Ready);
    assert_eq!(call(&mut test, "1"), connects[0]);
    assert_eq!(test.connects(), [""; 0]);
}

#[test]
fn calls_with_the_same_value_use_the_same_endpoint() {
    let names = ["a", "b", "c"];
    let sessions = sessions(&names);
    let mut test = with(&names);
    for name in names {
        connect(&mut test, name);
    }
    for _ in 0..10 {
        for (name, session) in names.iter().zip(&sessions) {
            assert_eq!(call(&mut test, session), *name);
        }
    }
}

#[test]
fn many_values_are_distributed_by_the_weights() {
    let weighing = |name, weight| {
        endpoint(name).with_attributes(Attributes::new().with(EndpointWeight(weight)))
    };
    let mut test = new();
    let all = vec![weighing("a", 1), weighing("b", 2), weighing("c", 5)];
    test.update(CONFIG, all).expect("endpoints");
    let weights = [("a", 1), ("b", 2), ("c", 5)];
    for (name, _) in weights {
        connect(&mut test, name);
    }
    let sessions = (0..10_000_u32).map(|number| session(&number.to_string()));
    let picks: Vec<_> = sessions.map(|session| test.pick_with(&session)).collect();
    for (name, weight) in weights {
        let count = picks.iter().filter(|picked| *picked == name).count();
        let expected = 10_000 / 8 * weight;
        assert!(count.abs_diff(expected) < expected / 5, "{name}: {count}");
    }
}

#[test]
fn only_the_calls_of_a_failed_endpoint_move_to_the_next_one() {
    let names = ["a", "b", "c"];
    let sessions = sessions(&names);
    let mut test = with(&names);
    for name in names {
        connect(&mut test, name);
    }
    test.subconn("a", &SubConnState::Idle);
    assert_eq!(call(&mut test, &sessions[0]), "queue");
    test.subconn("a", &SubConnState::Connecting);
    test.fail("a");
    let next = call(&mut test, &sessions[0]);
    assert!(["b", "c"].contains(&next.as_str()), "{next}");
    assert_eq!(call(&mut test, &sessions[1]), "b");
    assert_eq!(call(&mut test, &sessions[2]), "c");
    // The endpoint recovers.
    test.subconn("a", &SubConnState::Idle);
    test.subconn("a", &SubConnState::Connecting);
    test.ready("a");
    assert_eq!(call(&mut test, &sessions[0]), "a");
}

#[test]
fn a_call_reconnects_a_lost_connection() {
    let names = ["a", "b"];
    let sessions = sessions(&names);
    let mut test = with(&names);
    for name in names {
        connect(&mut test, name);
    }
    test.connects();
    test.subconn("a", &SubConnState::Idle);
    assert_eq!(call(&mut test, &sessions[1]), "b");
    assert_eq!(test.connects(), [""; 0]);
    assert_eq!(call(&mut test, &sessions[0]), "queue");
    assert_eq!(test.connects(), ["a"]);
}

#[test]
fn after_a_failure_endpoints_connect_one_after_the_other_without_calls() {
    let names = ["a", "b", "c", "d"];
    let mut test = with(&names);
    call(&mut test, "1");
    let mut seen = Vec::new();
    for expected in [
        Connecting,
        TransientFailure,
        TransientFailure,
        TransientFailure,
    ] {
        let connects = test.connects();
        assert_eq!(connects.len(), 1, "{seen:?}");
        let name = &connects[0];
        test.subconn(name, &SubConnState::Connecting);
        test.fail(name);
        seen.push(name.clone());
        assert_eq!(test.state(), expected, "{seen:?}");
    }
    seen.sort();
    assert_eq!(seen, names);
    assert_eq!(test.connects(), [""; 0]);
    assert!(call(&mut test, "1").starts_with("fail: "));
}

#[test]
fn one_endpoint_connects_at_a_time_while_the_policy_is_not_usable() {
    let mut test = with(&["a", "b", "c"]);
    call(&mut test, "1");
    let first = test.connects().remove(0);
    test.subconn(&first, &SubConnState::Connecting);
    test.fail(&first);
    let second = test.connects();
    assert_eq!(second.len(), 1);
    test.subconn(&second[0], &SubConnState::Connecting);
    // The first endpoint is retried.
    test.subconn(&first, &SubConnState::Idle);
    assert_eq!(test.connects(), [first]);
}

#[test]
fn a_call_without_a_value_uses_any_ready_endpoint() {
    fastrand::seed(7);
    let mut test = with(&["a", "b", "c"]);
    connect(&mut test, "a");
    connect(&mut test, "b");
    test.connects();
    let mut names: Vec<_> = (0..100).map(|_| test.pick()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn calls_without_a_value_connect_one_endpoint_at_a_time() {
    fastrand::seed(7);
    let mut test = with(&["a", "b", "c", "d"]);
    assert_eq!(test.pick(), "queue");
    test.wake();
    let first = test.connects();
    assert_eq!(first.len(), 1);
    test.subconn(&first[0], &SubConnState::Connecting);
    for _ in 0..20 {
        assert_eq!(test.pick(), "queue");
        test.wake();
    }
    assert_eq!(test.connects(), [""; 0]);
    test.ready(&first[0]);
    // From now on no call waits, and yet the other endpoints are connected.
    for _ in 0..20 {
        assert_eq!(test.pick(), first[0]);
        test.wake();
    }
    assert_eq!(test.connects().len(), 1);
}

#[test]
fn calls_without_a_value_fail_if_all_endpoints_have_failed() {
    let mut test = with(&["a"]);
    call(&mut test, "1");
    test.subconn("a", &SubConnState::Connecting);
    test.fail("a");
    assert_eq!(test.state(), TransientFailure);
    assert!(test.pick().starts_with("fail: "), "{}", test.pick());
}

#[test]
fn without_a_header_in_the_config_calls_fail_with_the_reason() {
    let mut test = new();
    test.update("{}", endpoints(&["a"])).expect("endpoints");
    assert_eq!(test.state(), Idle);
    let expected = "fail: ring_hash: the policy's config has no requestHashHeader, and the call has \
                    no RequestHash";
    assert_eq!(call(&mut test, "1"), expected);
}

#[test]
fn without_a_header_in_the_config_the_hash_of_a_call_is_its_request_hash() {
    let mut channel = TestChannel::new();
    let mut policy = RingHashBuilder::new().build(channel.build_options());
    let config = RingHashConfig::new().with_ring_size(8, 8).expect("valid");
    let update = BalancerUpdate::new(endpoints(&["a", "b"]), Arc::new(config));
    policy.update(update, &mut channel).expect("endpoints");
    let ready = SubConnState::Ready(Health::Serving);
    policy.exit_idle(&mut channel);
    let pick = |channel: &TestChannel, hash: u64| {
        let metadata = Metadata::new();
        let mut extensions = Extensions::new();
        extensions.insert(RequestHash(hash));
        let call = PickInfo::new("/a.B/C", &metadata).with_extensions(&extensions);
        match channel.picker().pick(&call) {
            PickResult::Pick(pick) => Some(pick.subconn.address().to_string()),
            _ => None,
        }
    };
    let hashes = || (0..64).map(|number| u64::MAX / 64 * number);
    for _ in 0..2 {
        // The first call of an endpoint connects it.
        for hash in hashes() {
            pick(&channel, hash);
        }
        channel.take_wake();
        policy.wake(&mut channel);
        for (subconn, _) in channel.take_connects() {
            policy.subconn_state(subconn, &SubConnState::Connecting, &mut channel);
            policy.subconn_state(subconn, &ready, &mut channel);
        }
        policy.wake(&mut channel);
    }
    let picks: Vec<_> = hashes().map(|hash| pick(&channel, hash)).collect();
    assert_eq!(
        picks,
        hashes()
            .map(|hash| pick(&channel, hash))
            .collect::<Vec<_>>()
    );
    for name in ["a", "b"] {
        assert!(picks.contains(&Some(name.to_owned())), "{picks:?}");
    }
    assert_eq!(
        channel.pick(),
        TestPick::Fail(no_hash().message().to_owned())
    );
}

#[test]
fn a_config_that_is_made_without_json_is_checked_alike() {
    let size = |min, max| {
        let config = RingHashConfig::new().with_ring_size(min, max);
        config.map_err(|error| error.to_string())
    };
    let made = size(1, 2).expect("valid");
    let made = made.with_request_hash_header("X-Session").expect("valid");
    let json = r#"{"minRingSize": 1, "maxRingSize": 2, "requestHashHeader": "x-session"}"#;
    assert_eq!(
        made,
        *new().parse_as::<RingHashConfig>(json).expect("valid")
    );
    for (min, max, expected) in [
        (0, 1, "minRingSize: 1 to 8388608 is expected, got 0"),
        (
            1,
            8_388_609,
            "maxRingSize: 1 to 8388608 is expected, got 8388609",
        ),
        (
            3,
            2,
            "minRingSize: the minimum ring size, 3, is more than the maximum, 2",
        ),
    ] {
        assert_eq!(size(min, max).expect_err(expected), expected);
    }
    let error = RingHashConfig::new().with_request_hash_header("trace-bin");
    let expected = "requestHashHeader: a metadata key of 0-9 a-z _ - . that does not end in -bin is \
                    expected, got \"trace-bin\"";
    assert_eq!(error.expect_err("binary").to_string(), expected);
}

#[test]
fn a_backend_with_a_hash_key_keeps_its_place_when_its_address_changes() {
    let keyed = |name, key: &str| {
        let key = EndpointHashKey(key.to_owned());
        endpoint(name).with_attributes(Attributes::new().with(key))
    };
    let picks = |all: Vec<Endpoint>| -> Vec<String> {
        let names: Vec<_> = all.iter().map(|it| it.addresses[0].to_string()).collect();
        let mut test = new();
        test.update(CONFIG, all).expect("endpoints");
        for name in &names {
            connect(&mut test, name);
        }
        let mut pick = |number: u32| call(&mut test, &number.to_string());
        (0..100).map(&mut pick).collect()
    };
    let before = picks(vec![keyed("a", "one"), keyed("b", "two")]);
    let after = picks(vec![keyed("x", "one"), keyed("y", "two")]);
    let renamed = before.iter().map(|it| if it == "a" { "x" } else { "y" });
    assert!(renamed.eq(after.iter().map(String::as_str)));
    assert!(before.contains(&"a".to_owned()) && before.contains(&"b".to_owned()));
    // An empty key means none.
    let plain = picks(endpoints(&["a", "b"]));
    assert_eq!(picks(vec![keyed("a", ""), keyed("b", "")]), plain);
    assert_ne!(before, plain);
}

#[test]
fn an_update_keeps_connections_and_changes_the_ring() {
    let mut test = with(&["a", "b"]);
    connect(&mut test, "a");
    connect(&mut test, "b");
    test.update(CONFIG, endpoints(&["b", "a"]))
        .expect("endpoints");
    assert_eq!(test.state(), Ready);
    test.update(CONFIG, endpoints(&["b"])).expect("endpoints");
    assert_eq!(test.addresses(), ["b"]);
    for number in 0..20_u32 {
        assert_eq!(call(&mut test, &number.to_string()), "b");
    }
}

#[test]
fn another_header_is_used_after_the_update() {
    let names = ["a", "b"];
    let sessions = sessions(&names);
    let mut test = with(&names);
    connect(&mut test, "a");
    connect(&mut test, "b");
    test.update(r#"{"requestHashHeader": "user"}"#, endpoints(&names))
        .expect("endpoints");
    for (name, session) in names.iter().zip(sessions) {
        let mut metadata = Metadata::new();
        metadata.append("user", session).expect("valid");
        assert_eq!(test.pick_with(&metadata), *name);
    }
}

#[test]
fn an_unhealthy_endpoint_counts_as_failed() {
    let mut test = with(&["a"]);
    connect(&mut test, "a");
    let status = Status::unavailable("not serving");
    test.subconn("a", &SubConnState::Ready(Health::NotServing(status)));
    assert_eq!(test.state(), TransientFailure);
    assert!(call(&mut test, "1").contains("not serving"));
}

#[test]
fn without_endpoints_calls_fail_with_the_reason() {
    let mut test = new();
    test.resolver_error("no such name");
    assert_eq!(test.state(), TransientFailure);
    assert_eq!(test.pick(), "fail: no such name");
    let none = "ring_hash: the resolver has found no endpoints";
    let error = test.update(CONFIG, Vec::new()).expect_err("none");
    assert!(error.message().contains("found no endpoints"), "{error}");
    assert_eq!(test.pick(), format!("fail: {none}"));
    test.update(CONFIG, endpoints(&["a"])).expect("endpoints");
    connect(&mut test, "a");
    // A later error of the resolver changes nothing.
    test.resolver_error("no such name");
    assert_eq!(call(&mut test, "1"), "a");
    test.advance(Duration::from_secs(60));
    assert_eq!(test.state(), Ready);
}
