//! Tests of picks by the number of outstanding calls.

use std::sync::Arc;

use super::*;
use crate::balancer::chi_square::assert_distribution;
use crate::balancer::{DoneInfo, Health, OnDone, PickInfo, PickResult, SubConnState, TestChannel};
use crate::connectivity_state::ConnectivityState::{Connecting, TransientFailure};
use crate::io::Address;
use crate::metadata::Metadata;
use crate::resolver::Endpoint;

const NAMES: [&str; 3] = ["a", "b", "c"];

struct Fixture {
    channel: TestChannel,
    policy: Box<dyn Balancer>,
}

/// An outstanding call.
struct TestCall {
    endpoint: usize,
    on_done: OnDone,
}

fn address(name: &str) -> Address {
    Address::Name(name.to_owned())
}

impl Fixture {
    /// A policy with three READY endpoints.
    fn new(choice_count: u32) -> Self {
        let mut fixture = Self {
            channel: TestChannel::new(),
            policy: LeastRequestBuilder.build(TestChannel::new().build_options()),
        };
        fixture.update(choice_count);
        NAMES.iter().for_each(|name| fixture.connect(name));
        fixture
    }

    fn update(&mut self, choice_count: u32) {
        let endpoints = NAMES.iter().map(|name| Endpoint::from(address(name)));
        let config = LeastRequestConfig::default().with_choice_count(choice_count);
        let update = BalancerUpdate::new(endpoints.collect(), Arc::new(config));
        let result = self.policy.update(update, &mut self.channel);
        result.expect("there are endpoints");
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

    fn call(&self) -> TestCall {
        let metadata = Metadata::new();
        let call = PickInfo::new("/test.Service/Method", &metadata);
        let PickResult::Pick(mut pick) = self.channel.picker().pick(&call) else {
            panic!("no endpoint is ready");
        };
        let picked = |name: &&str| address(name) == *pick.subconn.address();
        TestCall {
            endpoint: NAMES.iter().position(picked).expect("an endpoint"),
            on_done: pick.on_done.take().expect("the end of the call matters"),
        }
    }

    /// Starts calls until each endpoint has at least `minimum` ones, and ends the surplus.
    fn calls(&self, minimum: [usize; 3]) -> [Vec<TestCall>; 3] {
        let mut calls: [Vec<_>; 3] = Default::default();
        while (0..3).any(|endpoint| calls[endpoint].len() < minimum[endpoint]) {
            let call = self.call();
            calls[call.endpoint].push(call);
        }
        for (calls, minimum) in calls.iter_mut().zip(minimum) {
            calls.truncate(minimum);
        }
        calls
    }

    /// The number of calls to each endpoint, of `count` calls that each end before the next.
    fn counts(&self, count: usize) -> [usize; 3] {
        let mut counts = [0; 3];
        for _ in 0..count {
            let call = self.call();
            counts[call.endpoint] += 1;
            call.end();
        }
        counts
    }
}

impl TestCall {
    fn end(self) {
        (self.on_done)(&DoneInfo::new(None, None));
    }
}

#[test]
fn a_call_uses_the_drawn_endpoint_with_the_fewest_calls() {
    fastrand::seed(7);
    for (choices, expected) in [
        // Of n draws of three, all are among the busiest k with the probability (k ÷ 3)^n.
        (2, [5.0, 3.0, 1.0]),
        (3, [19.0, 7.0, 1.0]),
    ] {
        let fixture = Fixture::new(choices);
        let _calls = fixture.calls([0, 1, 2]);
        assert_distribution(&fixture.counts(100_000), &expected);
    }
}

#[test]
fn the_shares_are_equal_without_outstanding_calls() {
    fastrand::seed(7);
    let fixture = Fixture::new(2);
    assert_distribution(&fixture.counts(100_000), &[1.0; 3]);
}

#[test]
fn a_call_counts_until_it_has_ended() {
    fastrand::seed(7);
    let fixture = Fixture::new(10);
    let calls = fixture.calls([20, 20, 0]);
    let counts = fixture.counts(1000);
    assert!(counts[2] > 950, "{counts:?}");
    calls.into_iter().flatten().for_each(TestCall::end);
    assert_distribution(&fixture.counts(10_000), &[1.0; 3]);
}

#[test]
fn a_pick_without_a_call_does_not_count() {
    fastrand::seed(7);
    let fixture = Fixture::new(10);
    for _ in 0..1000 {
        drop(fixture.call());
    }
    assert_distribution(&fixture.counts(10_000), &[1.0; 3]);
}

#[test]
fn calls_count_for_later_pickers() {
    fastrand::seed(7);
    let mut fixture = Fixture::new(10);
    let _calls = fixture.calls([20, 20, 0]);
    fixture.update(9);
    let counts = fixture.counts(1000);
    assert!(counts[2] > 950, "{counts:?}");
}

#[test]
fn a_new_connection_has_no_calls() {
    fastrand::seed(7);
    let mut fixture = Fixture::new(10);
    let _calls = fixture.calls([20, 20, 20]);
    fixture.subconn_state("b", &SubConnState::Idle);
    fixture.connect("b");
    let counts = fixture.counts(1000);
    assert!(counts[1] > 950, "{counts:?}");
}

#[test]
fn without_a_ready_endpoint_the_state_is_that_of_round_robin() {
    let mut fixture = Fixture::new(2);
    for name in NAMES {
        fixture.subconn_state(name, &SubConnState::Idle);
    }
    assert_eq!(fixture.channel.state(), Some(Connecting));
    for name in NAMES {
        let status = Status::unavailable("refused");
        fixture.subconn_state(name, &SubConnState::TransientFailure(status));
    }
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
}

#[test]
fn a_config_of_another_type_fails_calls() {
    let mut channel = TestChannel::new();
    let mut policy = LeastRequestBuilder.build(TestChannel::new().build_options());
    let update = BalancerUpdate::new(vec![Endpoint::from(Address::Pipe)], Arc::new(()));
    let error = policy.update(update, &mut channel).expect_err("a mistake");
    assert!(error.message().contains("LeastRequestConfig"), "{error}");
    assert_eq!(channel.state(), Some(TransientFailure));
}
