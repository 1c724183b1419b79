//! Tests of the policy in virtual time: those of grpc-go, and the rules of gRFC A61.

mod connecting;
mod health;
mod idle;
mod updates;

use std::sync::Arc;
use std::time::Duration;

use super::{PickFirst, PickFirstConfig};
use crate::balancer::{
    Balancer, BalancerUpdate, ChannelControl, Health, SubConnId, SubConnState, TestChannel,
    TestPick,
};
use crate::connectivity_state::ConnectivityState::{Connecting, Ready, TransientFailure};
use crate::io::Address;
use crate::resolver::Endpoint;
use crate::status::{Code, Status};

const A: &str = "a:1";
const B: &str = "b:2";
const C: &str = "c:3";

/// The policy on a test channel.
struct Fixture {
    channel: TestChannel,
    policy: PickFirst,
}

fn address(text: &str) -> Address {
    Address::Name(text.to_owned())
}

fn texts(addresses: impl IntoIterator<Item = (SubConnId, Address)>) -> Vec<String> {
    let addresses = addresses.into_iter();
    addresses.map(|(_, address)| address.to_string()).collect()
}

impl Fixture {
    fn of(policy: PickFirst) -> Self {
        let channel = TestChannel::new();
        Self { channel, policy }
    }

    /// A policy that connects to the first of these addresses.
    fn new(addresses: &[&str]) -> Self {
        let mut fixture = Self::of(PickFirst::new());
        fixture.update(addresses).expect("there are addresses");
        assert_eq!(fixture.channel.state(), Some(Connecting));
        assert_eq!(fixture.channel.pick(), TestPick::Queue);
        assert_eq!(fixture.connects(), [addresses[0]]);
        fixture
    }

    /// A policy that is connected to the first of these addresses.
    fn ready(addresses: &[&str]) -> Self {
        let mut fixture = Self::new(addresses);
        fixture.connect(addresses[0]);
        fixture.assert_ready(addresses[0]);
        fixture
    }

    /// A policy whose addresses have failed and are in their backoff.
    fn failed(addresses: &[&str]) -> Self {
        let mut fixture = Self::new(addresses);
        for address in addresses {
            fixture.fail(address, "refused");
        }
        assert_eq!(fixture.channel.state(), Some(TransientFailure));
        fixture.connects();
        fixture
    }

    fn update(&mut self, addresses: &[&str]) -> Result<(), Status> {
        self.update_with(addresses, PickFirstConfig::default())
    }

    fn update_with(&mut self, addresses: &[&str], config: PickFirstConfig) -> Result<(), Status> {
        let endpoints = addresses.iter().map(|text| Endpoint::from(address(text)));
        let update = BalancerUpdate::new(endpoints.collect(), Arc::new(config));
        self.policy.update(update, &mut self.channel)
    }

    /// Changes the state of the subchannel of an address.
    fn subconn_state(&mut self, text: &str, state: &SubConnState) {
        let subconn = self.channel.subconn(&address(text)).expect(text);
        self.policy.subconn_state(subconn, state, &mut self.channel);
    }

    fn connecting(&mut self, address: &str) {
        self.subconn_state(address, &SubConnState::Connecting);
    }

    /// Lets an attempt succeed.
    fn connect(&mut self, address: &str) {
        self.connecting(address);
        self.subconn_state(address, &SubConnState::Ready(Health::Serving));
    }

    /// Lets an attempt fail.
    fn fail(&mut self, address: &str, text: &str) {
        self.connecting(address);
        let status = Status::unavailable(format!("{address}: {text}"));
        self.subconn_state(address, &SubConnState::TransientFailure(status));
    }

    /// Reports a lost connection or the end of a backoff.
    fn idle(&mut self, address: &str) {
        self.subconn_state(address, &SubConnState::Idle);
    }

    fn resolver_error(&mut self, text: &str) {
        let error = Status::new(Code::NotFound, text.to_owned());
        self.policy.resolver_error(&error, &mut self.channel);
    }

    fn advance(&mut self, time: Duration) {
        self.channel.advance(time);
        if self
            .policy
            .wake_at()
            .is_some_and(|at| at <= self.channel.now())
        {
            self.policy.wake(&mut self.channel);
        }
    }

    /// Makes a call while the policy is idle.
    fn call(&mut self) {
        assert_eq!(self.channel.pick(), TestPick::Queue);
        assert!(self.channel.take_wake());
        self.policy.wake(&mut self.channel);
    }

    /// The addresses whose subchannels were told to connect since the last call of this method.
    fn connects(&mut self) -> Vec<String> {
        texts(self.channel.take_connects())
    }

    /// The addresses of the existing subchannels.
    fn open(&self) -> Vec<String> {
        texts(self.channel.subconns())
    }

    #[track_caller]
    fn assert_ready(&self, text: &str) {
        assert_eq!(self.channel.state(), Some(Ready));
        assert_eq!(self.channel.pick(), TestPick::Address(address(text)));
        assert_eq!(self.open(), [text], "the others are dropped");
        assert_eq!(self.policy.wake_at(), None);
    }

    #[track_caller]
    fn assert_failing(&self, text: &str) {
        assert_eq!(self.channel.state(), Some(TransientFailure));
        assert_eq!(self.channel.pick(), TestPick::Fail(text.to_owned()));
    }
}
