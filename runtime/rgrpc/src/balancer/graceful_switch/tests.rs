use std::time::Duration;

use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use super::*;
use crate::balancer::{
    BalancerBuilder, Health, PickInfo, PickResult, Picker, QueuingPicker, SubConn, SubConnOptions,
    TestChannel, TestPick,
};
use crate::io::Address;
use crate::resolver::Endpoint;

/// A policy with one connection, to "{its name}", whose states are its own. Asks for a new
/// resolution when the connection fails, and wants to be woken after a second.
struct Probe {
    name: &'static str,
    subconn: Option<SubConn>,
    wake_at: Option<Instant>,
}

struct ProbeBuilder(&'static str);

/// Fails calls with its name as the text.
struct NamedPicker(&'static str);

impl Picker for NamedPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Fail(Status::unavailable(self.0))
    }
}

impl BalancerBuilder for ProbeBuilder {
    fn name(&self) -> &str {
        self.0
    }

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(Probe {
            name: self.0,
            subconn: None,
            wake_at: None,
        })
    }
}

impl Balancer for Probe {
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
        let config = PolicyConfig::new(Arc::new(ProbeBuilder(name)), Arc::new(()));
        let update = BalancerUpdate::new(endpoints, Arc::new(config));
        self.switch.update(update, &mut self.channel)
    }

    /// The connection of the policy of this name is in another state.
    fn subconn(&mut self, name: &str, state: &SubConnState) {
        let address = Address::Name(name.to_owned());
        let subconn = self.channel.subconn(&address).expect("a connection");
        self.switch.subconn_state(subconn, state, &mut self.channel);
    }

    fn ready(&mut self, name: &str) {
        self.subconn(name, &SubConnState::Ready(Health::Serving));
    }

    /// Which policies there are, by their connections.
    fn policies(&self) -> Vec<String> {
        let subconns = self.channel.subconns().into_iter();
        subconns.map(|(_, address)| address.to_string()).collect()
    }

    /// The state that was published, and by which policy.
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
fn the_pending_policy_waits_while_it_connects_and_the_current_one_is_ready() {
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
fn the_first_policy_is_used_at_once() {
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
fn calls_go_by_the_old_policy_until_the_new_one_is_ready() {
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
fn the_old_policy_goes_when_it_is_no_longer_ready() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    test.subconn("a", &SubConnState::Idle);
    assert_eq!(test.policies(), ["b"]);
    assert_eq!(test.channel.state(), Some(Connecting));
}

#[test]
fn the_new_policy_takes_over_when_it_fails_too() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    test.subconn("b", &failure());
    assert_eq!(test.published(), (Some(TransientFailure), "b".to_owned()));
    assert_eq!(test.policies(), ["b"]);
}

#[test]
fn a_policy_that_is_not_ready_is_replaced_at_once() {
    let mut test = Test::new();
    test.update("a");
    test.subconn("a", &failure());
    test.update("b");
    assert_eq!(test.policies(), ["b"]);
    assert_eq!(test.channel.state(), Some(Connecting));
}

#[test]
fn a_third_policy_takes_the_place_of_the_pending_one() {
    let mut test = Test::new();
    test.update("a");
    test.ready("a");
    test.update("b");
    test.update("c");
    assert_eq!(test.policies(), ["a", "c"]);
    // Back to the first: it is a new one, as its endpoints are no longer those of the update.
    test.update("a");
    assert_eq!(test.policies(), ["a", "a"]);
    assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
}

#[test]
fn what_the_current_policy_publishes_counts_while_another_is_pending() {
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
fn only_the_newest_policy_has_the_resolver_look_again() {
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
fn requests_to_connect_and_resolver_errors_are_for_the_newest_policy() {
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
fn the_error_of_an_update_is_the_policys() {
    let mut test = Test::new();
    let error = test.update_with("a", Vec::new()).expect_err("no endpoints");
    assert_eq!(error.message(), "no endpoints");
}

#[test]
fn the_earliest_timer_of_both_counts() {
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
