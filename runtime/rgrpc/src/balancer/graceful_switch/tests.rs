//! Tests of the switch with policies of one subchannel.

use std::time::Duration;

use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use super::*;
use crate::balancer::{
    BalancerBuilder, BalancerOptions, Health, PickInfo, PickResult, Picker, QueuingPicker, SubConn,
    SubConnId, SubConnOptions, SubConnState, TestChannel, TestPick,
};
use crate::io::Address;
use crate::resolver::Endpoint;

/// A policy with one subchannel, whose address is the policy's name and whose state is the
/// policy's. It asks the resolver to resolve again when the connection fails, and wants to be woken
/// after a second.
struct TestPolicy {
    name: &'static str,
    subconn: Option<SubConn>,
    wake_at: Option<Instant>,
}

struct TestPolicyBuilder(&'static str);

/// A picker that fails calls with the policy's name as the text.
struct NamedPicker(&'static str);

impl Picker for NamedPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Fail(Status::unavailable(self.0))
    }
}

impl BalancerBuilder for TestPolicyBuilder {
    fn name(&self) -> &str {
        self.0
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(TestPolicy {
            name: self.0,
            subconn: None,
            wake_at: None,
        })
    }
}

impl Balancer for TestPolicy {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        self.wake_at = Some(control.now() + Duration::from_secs(1));
        if self.subconn.is_none() {
            let address = Address::Name(self.name.to_owned());
            self.subconn = Some(control.create_subconn(address, SubConnOptions::default()));
            control.update_state(Connecting, Arc::new(QueuingPicker));
        }
        if update.endpoints.is_empty() {
            return Err(Status::unavailable("no endpoints"));
        }
        Ok(())
    }

    fn resolver_error(&mut self, _error: &Status, control: &mut dyn ChannelControl) {
        control.update_state(TransientFailure, Arc::new(NamedPicker(self.name)));
    }

    fn subconn_state(
        &mut self,
        _subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        let state = match state {
            SubConnState::Idle => Idle,
            SubConnState::Connecting => Connecting,
            SubConnState::Ready(_) => Ready,
            SubConnState::TransientFailure(_) => {
                control.resolve_now();
                TransientFailure
            }
        };
        control.update_state(state, Arc::new(NamedPicker(self.name)));
    }

    fn exit_idle(&mut self, _control: &mut dyn ChannelControl) {
        if let Some(subconn) = &self.subconn {
            subconn.connect();
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    fn wake(&mut self, _control: &mut dyn ChannelControl) {
        self.wake_at = None;
    }
}

struct Test {
    channel: TestChannel,
    switch: GracefulSwitch,
}

impl Test {
    fn new() -> Self {
        Self {
            channel: TestChannel::new(),
            switch: GracefulSwitch::new(),
        }
    }

    fn update(&mut self, name: &'static str) {
        let endpoints = vec![Endpoint::from(Address::Pipe)];
        self.update_with(name, endpoints).expect("endpoints");
    }

    fn update_with(&mut self, name: &'static str, endpoints: Vec<Endpoint>) -> Result<(), Status> {
        let config = PolicyConfig::new(Arc::new(TestPolicyBuilder(name)), Arc::new(()));
        let update = BalancerUpdate::new(endpoints, Arc::new(config));
        self.switch.update(update, &mut self.channel)
    }

    /// Changes the state of the subchannel of this policy.
    fn subconn(&mut self, name: &str, state: &SubConnState) {
        let address = Address::Name(name.to_owned());
        let subconn = self.channel.subconn(&address).expect("a connection");
        self.switch.subconn_state(subconn, state, &mut self.channel);
    }

    fn ready(&mut self, name: &str) {
        self.subconn(name, &SubConnState::Ready(Health::Serving));
    }

    /// The existing policies, by their subchannels.
    fn policies(&self) -> Vec<String> {
        let subconns = self.channel.subconns().into_iter();
        subconns.map(|(_, address)| address.to_string()).collect()
    }

    /// The state that was published last, and the policy that has published it.
    fn published(&self) -> (Option<ConnectivityState>, String) {
        let picked = match self.channel.pick() {
            TestPick::Fail(name) => name,
            other => format!("{other:?}"),
        };
        (self.channel.state(), picked)
    }
}

fn failure() -> SubConnState {
    SubConnState::TransientFailure(Status::unavailable("refused"))
}

#[test]
fn the_switch_waits_while_the_pending_policy_connects_and_the_current_one_is_ready() {
    for (current, pending, expected) in [
        (Ready, Connecting, false),
        (Ready, Ready, true),
        (Ready, TransientFailure, true),
        (Ready, Idle, true),
        (Connecting, Connecting, true),
        (TransientFailure, Connecting, true),
        (Idle, Connecting, true),
    ] {
        let switches = is_ready_to_switch(current, pending);
        assert_eq!(switches, expected, "{current}, {pending}");
    }
}

#[test]
fn the_first_policy_is_used_immediately() {
    let mut test = Test::new();
    test.update("a");
    assert_eq!(test.channel.state(), Some(Connecting));
    test.ready("a");
    assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
    assert_eq!(test.switch.name(), Some("a"));
}

#[test]
fn a_policy_of_the_same_name_is_kept() {
    let mut test = Test::new();
    test.update("a");
    let before = test.channel.subconns();
    test.update("a");
    assert_eq!(test.channel.subconns(), before);
}

#[test]
fn calls_use_the_old_policy_until_the_new_one_is_ready() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
    assert_eq!(test.policies(), ["a", "b"]);
    test.subconn("b", &SubConnState::Connecting);
    assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
    test.ready("b");
    assert_eq!(test.published(), (Some(Ready), "b".to_owned()));
    assert_eq!(test.policies(), ["b"]);
}

#[test]
fn the_old_policy_is_dropped_when_it_is_no_longer_ready() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    test.subconn("a", &SubConnState::Idle);
    assert_eq!(test.policies(), ["b"]);
    assert_eq!(test.channel.state(), Some(Connecting));
}

#[test]
fn the_new_policy_replaces_the_old_one_also_when_it_fails() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    test.subconn("b", &failure());
    assert_eq!(test.published(), (Some(TransientFailure), "b".to_owned()));
    assert_eq!(test.policies(), ["b"]);
}

#[test]
fn a_policy_that_is_not_ready_is_replaced_immediately() {
    let mut test = Test::new();
    test.update("a");
    test.subconn("a", &failure());
    test.update("b");
    assert_eq!(test.policies(), ["b"]);
    assert_eq!(test.channel.state(), Some(Connecting));
}

#[test]
fn a_third_policy_replaces_the_pending_one() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    test.update("c");
    assert_eq!(test.policies(), ["a", "c"]);
    // The first policy is built again, because the old instance has old endpoints.
    test.update("a");
    assert_eq!(test.policies(), ["a", "a"]);
    assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
}

#[test]
fn the_current_policy_publishes_while_another_is_pending() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    let before = test.channel.published();
    test.ready("a");
    assert_eq!(test.channel.published(), before + 1);
    assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
}

#[test]
fn only_the_latest_policy_can_ask_the_resolver_to_resolve_again() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    test.subconn("a", &failure());
    assert_eq!(test.channel.resolves(), 0);
    test.subconn("b", &failure());
    assert_eq!(test.channel.resolves(), 1);
}

#[test]
fn the_latest_policy_gets_requests_to_connect_and_resolver_errors() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    test.switch.exit_idle(&mut test.channel);
    let connects = test.channel.take_connects();
    assert_eq!(connects[0].1, Address::Name("b".to_owned()));
    assert_eq!(connects.len(), 1);
    let error = Status::unavailable("no such name");
    test.switch.resolver_error(&error, &mut test.channel);
    assert_eq!(test.published(), (Some(TransientFailure), "b".to_owned()));
}

#[test]
fn a_resolver_error_without_a_policy_fails_calls() {
    let mut test = Test::new();
    let error = Status::unavailable("no such name");
    test.switch.resolver_error(&error, &mut test.channel);
    let expected = (Some(TransientFailure), "no such name".to_owned());
    assert_eq!(test.published(), expected);
}

#[test]
fn an_update_returns_the_error_of_the_policy() {
    let mut test = Test::new();
    let error = test.update_with("a", Vec::new()).expect_err("no endpoints");
    assert_eq!(error.message(), "no endpoints");
}

#[test]
fn wake_at_is_the_earlier_timer_of_both_policies() {
    let mut test = Test::new();
    assert_eq!(test.switch.wake_at(), None);
    test.update("a");
    test.ready("a");
    let first = test.switch.wake_at();
    test.channel.advance(Duration::from_millis(300));
    test.update("b");
    assert_eq!(test.switch.wake_at(), first);
    test.switch.wake(&mut test.channel);
    assert_eq!(test.switch.wake_at(), None);
}
