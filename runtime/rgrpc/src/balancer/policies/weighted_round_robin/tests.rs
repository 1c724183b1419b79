use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::balancer::policies::chi_square::assert_distribution;
use crate::balancer::{
    CallOutcome, Health, LoadReport, PickInfo, PickResult, SubConnId, SubConnState, TestChannel,
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

/// What a backend reports that could serve so many calls a second.
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
    /// With three endpoints that are ready.
    fn new(config: WeightedRoundRobinConfig) -> Self {
        let mut fixture = Self {
            channel: TestChannel::new(),
            policy: WeightedRoundRobinBuilder.build(),
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

    /// A call, in whose trailers the backend reports what is given for it; returns where it went.
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
            on_done(&CallOutcome::new(None, report.as_ref()));
        }
        endpoint
    }

    /// Enough calls for each endpoint to report.
    fn report(&self, weights: [f64; 3]) {
        let weights = weights.map(|weight| (weight > 0.0).then_some(weight));
        for _ in 0..300 {
            self.call(weights);
        }
    }

    /// Lets time pass, a tenth of a second at a time, with the policy woken when it wants to be.
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
fn shares_follow_what_calls_report_once_the_blackout_is_over() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.assert_shares([1.0, 1.0, 1.0]);
    fixture.report([100.0, 200.0, 400.0]);
    fixture.advance(seconds(10));
    fixture.assert_shares([1.0, 1.0, 1.0]);
    fixture.advance(seconds(1));
    fixture.assert_shares([1.0, 2.0, 4.0]);
    // Taken into account a second later, in the same picker.
    let published = fixture.channel.published();
    fixture.report([400.0, 200.0, 100.0]);
    fixture.assert_shares([1.0, 2.0, 4.0]);
    fixture.advance(seconds(1));
    fixture.assert_shares([4.0, 2.0, 1.0]);
    assert_eq!(fixture.channel.published(), published);
}

#[test]
fn shares_follow_what_backends_report_out_of_band() {
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
    // What calls report is not asked for.
    fixture.report([3.0, 2.0, 1.0]);
    fixture.advance(seconds(1));
    fixture.assert_shares([1.0, 2.0, 3.0]);
}

#[test]
fn an_endpoint_that_does_not_report_has_the_mean_of_the_others() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.report([100.0, 0.0, 300.0]);
    fixture.advance(seconds(11));
    fixture.assert_shares([1.0, 2.0, 3.0]);
}

#[test]
fn one_report_alone_is_of_no_use() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.report([100.0, 0.0, 0.0]);
    fixture.advance(seconds(11));
    fixture.assert_shares([1.0, 1.0, 1.0]);
}

#[test]
fn a_weight_expires_when_reports_stay_away_and_comes_back_after_the_blackout() {
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
fn a_connection_that_is_new_has_a_blackout_of_its_own() {
    let mut fixture = Fixture::new(WeightedRoundRobinConfig::default());
    fixture.report([1.0, 2.0, 6.0]);
    fixture.advance(seconds(11));
    fixture.assert_shares([1.0, 2.0, 6.0]);
    fixture.subconn_state("c", &SubConnState::Idle);
    fixture.assert_shares([1.0, 2.0, 0.0]);
    fixture.connect("c");
    // The mean of the others.
    fixture.assert_shares([1.0, 2.0, 1.5]);
    fixture.report([1.0, 2.0, 6.0]);
    fixture.advance(seconds(10));
    fixture.assert_shares([1.0, 2.0, 1.5]);
    fixture.advance(seconds(1));
    fixture.assert_shares([1.0, 2.0, 6.0]);
}

#[test]
fn a_change_of_the_config_holds_at_once() {
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
fn another_kind_of_reports_has_new_connections_which_are_used_when_one_is_ready() {
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
fn while_none_is_ready_it_does_as_round_robin_does() {
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
