//! Tests of the weights in picks, with reports of calls and out of band.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::balancer::chi_square::assert_distribution;
use crate::balancer::{
    ChannelControl, DoneInfo, Health, LoadReport, PickInfo, PickResult, SubConnId, SubConnState,
    TestChannel,
};
use crate::connectivity_state::ConnectivityState::{Connecting, Ready, TransientFailure};
use crate::io::Address;
use crate::metadata::Metadata;
use crate::resolver::Endpoint;

const NAMES: [&str; 3] = ["a", "b", "c"];

struct Fixture {
    channel: TestChannel,
    policy: Box<dyn Balancer>,
}

fn address(name: &str) -> Address {
    Address::Name(name.to_owned())
}

/// The report of a backend that could serve this number of calls per second.
fn report(weight: f64) -> LoadReport {
    LoadReport {
        cpu_utilization: 0.5,
        rps_fractional: weight / 2.0,
        ..LoadReport::default()
    }
}

fn out_of_band(seconds: u64) -> WeightedRoundRobinConfig {
    WeightedRoundRobinConfig {
        enable_oob_load_report: true,
        oob_reporting_period: Duration::from_secs(seconds),
        ..WeightedRoundRobinConfig::default()
    }
}

impl Fixture {
    /// A policy with three READY endpoints.
    fn new(config: WeightedRoundRobinConfig) -> Self {
        let mut fixture = Self {
            channel: TestChannel::new(),
            policy: WeightedRoundRobinBuilder.build(TestChannel::new().build_options()),
        };
        fixture.update(config);
        NAMES.iter().for_each(|name| fixture.connect(name));
        assert_eq!(fixture.channel.state(), Some(Ready));
        fixture
    }

    fn update(&mut self, config: WeightedRoundRobinConfig) {
        let endpoints = NAMES.iter().map(|name| Endpoint::from(address(name)));
        let update = BalancerUpdate::new(endpoints.collect(), Arc::new(config));
        let result = self.policy.update(update, &mut self.channel);
        result.expect("there are endpoints");
    }

    fn subconn(&self, name: &str) -> SubConnId {
        self.channel.subconn(&address(name)).expect(name)
    }

    fn subconn_state(&mut self, name: &str, state: &SubConnState) {
        let subconn = self.subconn(name);
        self.policy.subconn_state(subconn, state, &mut self.channel);
        while self.channel.take_wake() {
            self.policy.wake(&mut self.channel);
        }
    }

    fn connect(&mut self, name: &str) {
        self.subconn_state(name, &SubConnState::Connecting);
        self.subconn_state(name, &SubConnState::Ready(Health::Serving));
    }

    fn report_out_of_band(&mut self, name: &str, weight: f64) {
        let subconn = self.subconn(name);
        self.policy
            .load_report(subconn, &report(weight), &mut self.channel);
    }

    /// Makes a call. Its trailers report the weight that is given for its endpoint. Returns the
    /// endpoint.
    fn call(&self, weights: [Option<f64>; 3]) -> usize {
        let metadata = Metadata::new();
        let call = PickInfo::new("/test.Service/Method", &metadata);
        let PickResult::Pick(mut pick) = self.channel.picker().pick(&call) else {
            panic!("no endpoint is ready");
        };
        let picked = |name: &&str| address(name) == *pick.subconn.address();
        let endpoint = NAMES.iter().position(picked).expect("an endpoint");
        let report = weights[endpoint].map(report);
        if let Some(on_done) = pick.on_done.take() {
            on_done(&DoneInfo::new(None, report.as_ref()));
        }
        endpoint
    }

    /// Makes enough calls for each endpoint to report.
    fn report(&self, weights: [f64; 3]) {
        let weights = weights.map(|weight| (weight > 0.0).then_some(weight));
        for _ in 0..300 {
            self.call(weights);
        }
    }

    /// Advances the time in steps of 100 ms, and wakes the policy at its timers.
    fn advance(&mut self, time: Duration) {
        let end = self.channel.now() + time;
        while self.channel.now() < end {
            self.channel.advance(Duration::from_millis(100));
            let now = self.channel.now();
            if self.policy.wake_at().is_some_and(|at| at <= now) {
                self.policy.wake(&mut self.channel);
            }
        }
    }

    #[track_caller]
    fn assert_shares(&self, shares: [f64; 3]) {
        let mut counts = [0; 3];
        for _ in 0..20_000 {
            counts[self.call([None; 3])] += 1;
        }
        assert_distribution(&counts, &shares);
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn shares_follow_the_reports_of_calls_after_the_blackout() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.assert_shares([1.0, 1.0, 1.0]);
    fixture.report([100.0, 200.0, 400.0]);
    fixture.advance(seconds(10));
    fixture.assert_shares([1.0, 1.0, 1.0]);
    fixture.advance(seconds(1));
    fixture.assert_shares([1.0, 2.0, 4.0]);
    // The same picker uses the new reports a second later.
    let published = fixture.channel.published();
    fixture.report([400.0, 200.0, 100.0]);
    fixture.assert_shares([1.0, 2.0, 4.0]);
    fixture.advance(seconds(1));
    fixture.assert_shares([4.0, 2.0, 1.0]);
    assert_eq!(fixture.channel.published(), published);
}

#[test]
fn shares_follow_the_reports_out_of_band() {
    let mut fixture = Fixture::new(out_of_band(3));
    for name in NAMES {
        let options = fixture.channel.options(fixture.subconn(name));
        assert_eq!(options.expect(name).load_reports, Some(seconds(3)));
    }
    for (name, weight) in NAMES.iter().zip([1.0, 2.0, 3.0]) {
        fixture.report_out_of_band(name, weight);
    }
    fixture.advance(seconds(11));
    fixture.assert_shares([1.0, 2.0, 3.0]);
    // The reports of calls are ignored.
    fixture.report([3.0, 2.0, 1.0]);
    fixture.advance(seconds(1));
    fixture.assert_shares([1.0, 2.0, 3.0]);
}

#[test]
fn an_endpoint_without_reports_has_the_mean_of_the_others() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.report([100.0, 0.0, 300.0]);
    fixture.advance(seconds(11));
    fixture.assert_shares([1.0, 2.0, 3.0]);
}

#[test]
fn a_single_report_is_ignored() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.report([100.0, 0.0, 0.0]);
    fixture.advance(seconds(11));
    fixture.assert_shares([1.0, 1.0, 1.0]);
}

#[test]
fn a_weight_expires_without_reports_and_is_used_again_after_the_blackout() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.report([1.0, 2.0, 3.0]);
    fixture.advance(seconds(180));
    fixture.assert_shares([1.0, 2.0, 3.0]);
    fixture.advance(seconds(1));
    fixture.assert_shares([1.0, 1.0, 1.0]);
    fixture.report([1.0, 2.0, 3.0]);
    fixture.advance(seconds(10));
    fixture.assert_shares([1.0, 1.0, 1.0]);
    fixture.advance(seconds(1));
    fixture.assert_shares([1.0, 2.0, 3.0]);
}

#[test]
fn a_new_connection_has_its_own_blackout() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.report([1.0, 2.0, 6.0]);
    fixture.advance(seconds(11));
    fixture.assert_shares([1.0, 2.0, 6.0]);
    fixture.subconn_state("c", &SubConnState::Idle);
    fixture.assert_shares([1.0, 2.0, 0.0]);
    fixture.connect("c");
    // It has the mean of the others.
    fixture.assert_shares([1.0, 2.0, 1.5]);
    fixture.report([1.0, 2.0, 6.0]);
    fixture.advance(seconds(10));
    fixture.assert_shares([1.0, 2.0, 1.5]);
    fixture.advance(seconds(1));
    fixture.assert_shares([1.0, 2.0, 6.0]);
}

#[test]
fn a_change_of_the_config_applies_at_once() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.report([1.0, 2.0, 3.0]);
    let subconns = fixture.channel.subconns();
    fixture.update(WeightedRoundRobinConfig {
        blackout_period: Duration::ZERO,
        weight_update_period: Duration::from_millis(1),
        ..WeightedRoundRobinConfig::default()
    });
    fixture.assert_shares([1.0, 2.0, 3.0]);
    assert_eq!(fixture.channel.subconns(), subconns);
    let next = fixture.channel.now() + Duration::from_millis(100);
    assert_eq!(fixture.policy.wake_at(), Some(next));
}

#[test]
fn another_kind_of_reports_makes_new_connections_which_are_used_when_one_is_ready() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    let old = fixture.subconn("a");
    fixture.update(out_of_band(10));
    assert_eq!(fixture.channel.state(), Some(Ready));
    assert_eq!(fixture.channel.subconns().len(), 6);
    assert_ne!(fixture.subconn("a"), old);
    fixture.connect("b");
    assert_eq!(fixture.channel.subconns().len(), 3, "the old ones are gone");
    fixture.assert_shares([0.0, 1.0, 0.0]);
    let subconns = fixture.channel.subconns();
    fixture.update(out_of_band(10));
    assert_eq!(fixture.channel.subconns(), subconns, "it is the same kind");
}

#[test]
fn without_a_ready_endpoint_the_state_is_that_of_round_robin() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    for name in NAMES {
        fixture.subconn_state(name, &SubConnState::Idle);
    }
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.policy.wake_at(), None);
    for name in NAMES {
        let status = Status::unavailable("refused");
        fixture.subconn_state(name, &SubConnState::TransientFailure(status));
    }
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
}
