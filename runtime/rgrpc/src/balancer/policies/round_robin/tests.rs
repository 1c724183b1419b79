//! Tests of the policy on a channel without connections.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::balancer::chi_square::assert_distribution;
use crate::balancer::{
    BalancerRegistry, BalancerUpdate, ChannelControl, Health, SubConnState, TestChannel, TestPick,
};
use crate::connectivity_state::ConnectivityState::{Connecting, Ready, TransientFailure};
use crate::io::Address;
use crate::resolver::Endpoint;
use crate::status::Status;

struct Fixture {
    channel: TestChannel,
    policy: Box<dyn Balancer>,
}

fn address(name: &str) -> Address {
    Address::Name(name.to_owned())
}

impl Fixture {
    fn new(names: &[&str]) -> Self {
        let mut fixture = Self {
            channel: TestChannel::new(),
            policy: RoundRobinBuilder.build(TestChannel::new().build_options()),
        };
        fixture.update(names).expect("there are endpoints");
        fixture
    }

    fn ready(names: &[&str]) -> Self {
        let mut fixture = Self::new(names);
        names.iter().for_each(|name| fixture.connect(name));
        fixture
    }

    fn update(&mut self, names: &[&str]) -> Result<(), Status> {
        let endpoints = names.iter().map(|name| Endpoint::from(address(name)));
        let update = BalancerUpdate::new(endpoints.collect(), Arc::new(()));
        self.policy.update(update, &mut self.channel)
    }

    fn subconn_state(&mut self, name: &str, state: &SubConnState) {
        let subconn = self.channel.subconn(&address(name)).expect(name);
        self.policy.subconn_state(subconn, state, &mut self.channel);
        while self.channel.take_wake() {
            self.policy.wake(&mut self.channel);
        }
    }

    fn connect(&mut self, name: &str) {
        self.subconn_state(name, &SubConnState::Connecting);
        self.subconn_state(name, &SubConnState::Ready(Health::Serving));
    }

    fn fail(&mut self, name: &str) {
        let status = Status::unavailable(format!("{name} refused"));
        self.subconn_state(name, &SubConnState::TransientFailure(status));
    }

    /// The picks of `count` calls.
    fn picks(&self, count: usize) -> Vec<String> {
        let picks = (0..count).map(|_| match self.channel.pick() {
            TestPick::Address(address) => address.to_string(),
            other => format!("{other:?}"),
        });
        picks.collect()
    }
}

#[test]
fn the_config_has_no_fields() {
    let mut registry = BalancerRegistry::empty();
    registry.register(Arc::new(RoundRobinBuilder));
    let config = r#"[{"round_robin": {"of the future": 1}}]"#;
    assert!(registry.parse_json(config).is_ok());
    let error = registry.parse_json(r#"[{"round_robin": []}]"#);
    let error = error.expect_err("a list").to_string();
    assert_eq!(error, "[0].round_robin: an object is expected, got a list");
}

#[test]
fn all_endpoints_connect_and_calls_wait_for_the_first_one() {
    let mut fixture = Fixture::new(&["a", "b", "c"]);
    assert_eq!(fixture.channel.take_connects().len(), 3);
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.channel.pick(), TestPick::Queue);
    fixture.connect("b");
    assert_eq!(fixture.channel.state(), Some(Ready));
    assert_eq!(fixture.picks(2), ["b", "b"]);
}

#[test]
fn calls_use_the_ready_endpoints_in_turn() {
    let fixture = Fixture::ready(&["a", "b", "c"]);
    let picks = fixture.picks(9);
    assert_eq!(picks[..3], picks[3..6]);
    assert_eq!(picks[..3], picks[6..]);
    let mut round = picks[..3].to_vec();
    round.sort();
    assert_eq!(round, ["a", "b", "c"]);
}

#[test]
fn the_shares_are_equal() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let fixture = Fixture::ready(&names);
    let mut counts = HashMap::new();
    for name in fixture.picks(100_000) {
        *counts.entry(name).or_insert(0) += 1;
    }
    let counts: Vec<_> = names.iter().map(|name| counts[*name]).collect();
    assert_distribution(&counts, &[1.0; 7]);
}

#[test]
fn many_clients_do_not_begin_at_the_same_endpoint() {
    let mut counts = [0; 2];
    let mut fixture = Fixture::ready(&["a", "b"]);
    for _ in 0..10_000 {
        // The update publishes a new picker, which begins at a random endpoint.
        fixture.update(&["a", "b"]).expect("endpoints");
        counts[usize::from(fixture.picks(1) == ["a"])] += 1;
    }
    assert_distribution(&counts, &[1.0; 2]);
}

#[test]
fn added_and_removed_endpoints_do_not_affect_the_others() {
    let mut fixture = Fixture::ready(&["a", "b"]);
    let b = fixture.channel.subconn(&address("b"));
    fixture.update(&["b", "c"]).expect("endpoints");
    assert_eq!(fixture.picks(2), ["b", "b"]);
    assert_eq!(fixture.channel.subconn(&address("b")), b);
    assert_eq!(fixture.channel.subconn(&address("a")), None);
    fixture.connect("c");
    let mut picks = fixture.picks(2);
    picks.sort();
    assert_eq!(picks, ["b", "c"]);
}

#[test]
fn a_lost_endpoint_gets_no_calls_and_reconnects() {
    let mut fixture = Fixture::ready(&["a", "b"]);
    fixture.channel.take_connects();
    fixture.subconn_state("a", &SubConnState::Idle);
    assert_eq!(fixture.picks(2), ["b", "b"]);
    assert_eq!(fixture.channel.take_connects()[0].1, address("a"));
    assert_eq!(fixture.channel.resolves(), 1);
    fixture.connect("a");
    let mut picks = fixture.picks(2);
    picks.sort();
    assert_eq!(picks, ["a", "b"]);
}

#[test]
fn an_unhealthy_endpoint_gets_no_calls_and_keeps_its_connection() {
    let mut fixture = Fixture::ready(&["a", "b"]);
    let status = Status::unavailable("not serving");
    let state = SubConnState::Ready(Health::NotServing(status));
    fixture.subconn_state("a", &state);
    assert_eq!(fixture.picks(2), ["b", "b"]);
    assert_eq!(fixture.channel.subconns().len(), 2);
    fixture.subconn_state("b", &state);
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
    fixture.subconn_state("a", &SubConnState::Ready(Health::Serving));
    assert_eq!(fixture.picks(2), ["a", "a"]);
}

#[test]
fn if_all_endpoints_have_failed_calls_fail_until_one_is_ready() {
    let mut fixture = Fixture::new(&["a", "b"]);
    fixture.fail("a");
    assert_eq!(fixture.channel.state(), Some(Connecting));
    fixture.fail("b");
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
    let TestPick::Fail(text) = fixture.channel.pick() else {
        panic!("{:?}", fixture.channel.pick());
    };
    assert!(text.ends_with("refused"), "{text}");
    // They are retried and not READY yet (gRFC A62).
    for name in ["a", "b"] {
        fixture.subconn_state(name, &SubConnState::Idle);
        fixture.subconn_state(name, &SubConnState::Connecting);
    }
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
    fixture.subconn_state("a", &SubConnState::Ready(Health::Serving));
    assert_eq!(fixture.channel.state(), Some(Ready));
}

#[test]
fn without_endpoints_calls_fail_and_the_update_is_an_error() {
    let mut fixture = Fixture::ready(&["a"]);
    let error = fixture.update(&[]).expect_err("no endpoints");
    let text = "name resolution of test:///backends has found no endpoints";
    assert_eq!(error.message(), text);
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
    assert_eq!(fixture.channel.pick(), TestPick::Fail(text.to_owned()));
}

#[test]
fn a_resolver_error_does_not_change_the_endpoints() {
    let mut fixture = Fixture::ready(&["a"]);
    let error = Status::unavailable("no such name");
    fixture.policy.resolver_error(&error, &mut fixture.channel);
    assert_eq!(fixture.picks(1), ["a"]);
}
