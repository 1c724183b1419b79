//! The policy in virtual time: grpc-go's tests of it, and what gRFC A61 says beyond them.

use std::sync::Arc;
use std::time::Duration;

use super::attempts::ATTEMPT_DELAY;
use super::{PickFirst, PickFirstConfig};
use crate::balancer::{
    Balancer, BalancerUpdate, ChannelControl, Health, SubConnId, SubConnState, TestChannel,
    TestPick,
};
use crate::connectivity_state::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use crate::io::Address;
use crate::resolver::Endpoint;
use crate::status::{Code, Status};

const A: &str = "a:1";
const B: &str = "b:2";
const C: &str = "c:3";

/// The policy on a channel whose connections do what the test says.
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

    /// With these addresses, and an attempt at the first.
    fn new(addresses: &[&str]) -> Self {
        let mut fixture = Self::of(PickFirst::new());
        fixture.update(addresses).expect("there are addresses");
        assert_eq!(fixture.channel.state(), Some(Connecting));
        assert_eq!(fixture.channel.pick(), TestPick::Queue);
        assert_eq!(fixture.connects(), [addresses[0]]);
        fixture
    }

    /// With these addresses, connected to the first.
    fn ready(addresses: &[&str]) -> Self {
        let mut fixture = Self::new(addresses);
        fixture.connect(addresses[0]);
        fixture.assert_ready(addresses[0]);
        fixture
    }

    /// With these addresses, which have failed, and wait for the end of their backoff.
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

    /// The connection to an address is in another state.
    fn subconn_state(&mut self, text: &str, state: &SubConnState) {
        let subconn = self.channel.subconn(&address(text)).expect(text);
        self.policy.subconn_state(subconn, state, &mut self.channel);
    }

    fn connecting(&mut self, address: &str) {
        self.subconn_state(address, &SubConnState::Connecting);
    }

    /// An attempt at an address succeeds.
    fn connect(&mut self, address: &str) {
        self.connecting(address);
        self.subconn_state(address, &SubConnState::Ready(Health::Serving));
    }

    /// An attempt at an address fails.
    fn fail(&mut self, address: &str, text: &str) {
        self.connecting(address);
        let status = Status::unavailable(format!("{address}: {text}"));
        self.subconn_state(address, &SubConnState::TransientFailure(status));
    }

    /// The connection to an address is lost, or its backoff is over.
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

    /// A call comes while the policy is idle.
    fn call(&mut self) {
        assert_eq!(self.channel.pick(), TestPick::Queue);
        assert!(self.channel.take_wake());
        self.policy.wake(&mut self.channel);
    }

    /// Which addresses were to be connected to since this was last asked.
    fn connects(&mut self) -> Vec<String> {
        texts(self.channel.take_connects())
    }

    /// Which addresses have a connection, or are getting one.
    fn open(&self) -> Vec<String> {
        texts(self.channel.subconns())
    }

    #[track_caller]
    fn assert_ready(&self, text: &str) {
        assert_eq!(self.channel.state(), Some(Ready));
        assert_eq!(self.channel.pick(), TestPick::Address(address(text)));
        assert_eq!(self.open(), [text], "the others are given up");
        assert_eq!(self.policy.wake_at(), None);
    }

    #[track_caller]
    fn assert_failing(&self, text: &str) {
        assert_eq!(self.channel.state(), Some(TransientFailure));
        assert_eq!(self.channel.pick(), TestPick::Fail(text.to_owned()));
    }
}

#[test]
fn all_calls_go_to_the_first_address() {
    for addresses in [&[A] as &[_], &[A, B, C]] {
        let mut fixture = Fixture::ready(addresses);
        assert_eq!(fixture.connects(), [""; 0]);
        assert_eq!(fixture.channel.published(), 2, "CONNECTING and READY");
        assert_eq!(fixture.channel.resolves(), 0);
    }
}

#[test]
fn when_the_first_address_fails_calls_go_to_the_second() {
    let mut fixture = Fixture::new(&[A, B, C]);
    fixture.fail(A, "refused");
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.connects(), [B]);
    fixture.connect(B);
    fixture.assert_ready(B);
}

#[test]
fn when_all_addresses_fail_calls_fail_with_the_last_failure_and_the_resolver_is_asked() {
    let mut fixture = Fixture::new(&[A, B]);
    fixture.fail(A, "refused");
    assert_eq!(fixture.channel.resolves(), 0);
    fixture.fail(B, "unreachable (attempt 1, next in 1.0 s)");
    fixture.assert_failing(
        "cannot connect to test:///backends: \
         b:2: unreachable (attempt 1, next in 1.0 s); last of 2 addresses",
    );
    assert_eq!(fixture.channel.resolves(), 1);

    let mut fixture = Fixture::new(&[A]);
    fixture.fail(A, "refused");
    fixture.assert_failing("cannot connect to test:///backends: a:1: refused");
}

#[test]
fn an_address_twice_is_tried_once() {
    let mut fixture = Fixture::new(&[A, A, B, A]);
    fixture.fail(A, "refused");
    assert_eq!(fixture.connects(), [B]);
    fixture.fail(B, "refused");
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
    assert_eq!(fixture.open(), [A, B]);
}

#[test]
fn after_a_pass_all_are_tried_at_once_and_their_failures_told_when_there_are_as_many_as_they() {
    let mut fixture = Fixture::new(&[A, B]);
    fixture.fail(A, "refused");
    assert_eq!(fixture.connects(), [B]);
    fixture.idle(A);
    assert_eq!(fixture.connects(), [""; 0], "the pass is not over");
    fixture.fail(B, "refused");
    assert_eq!(fixture.connects(), [A], "its backoff is over already");
    fixture.idle(B);
    assert_eq!(fixture.connects(), [B]);

    let published = fixture.channel.published();
    fixture.fail(B, "unreachable");
    assert_eq!(fixture.channel.published(), published);
    assert_eq!(fixture.channel.resolves(), 1);
    fixture.idle(B);
    fixture.fail(B, "unreachable");
    assert_eq!(fixture.channel.resolves(), 2);
    fixture.assert_failing(
        "cannot connect to test:///backends: b:2: unreachable; last of 2 addresses",
    );
}

#[test]
fn transient_failure_is_left_when_an_address_is_ready_and_not_before() {
    let mut fixture = Fixture::failed(&[A, B]);
    for _ in 0..3 {
        for address in [A, B] {
            fixture.idle(address);
            assert_eq!(fixture.connects(), [address]);
            fixture.fail(address, "refused");
            assert_eq!(fixture.channel.state(), Some(TransientFailure));
        }
    }
    fixture.idle(B);
    fixture.connecting(B);
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
    fixture.connect(B);
    fixture.assert_ready(B);
}

#[test]
fn transient_failure_is_kept_when_there_are_other_addresses() {
    let mut fixture = Fixture::failed(&[A, B]);
    let published = fixture.channel.published();
    fixture.update(&[B, C]).expect("there are addresses");
    assert_eq!(fixture.connects(), [C], "the other is in its backoff");
    assert_eq!(fixture.open(), [B, C]);
    fixture.connecting(C);
    assert_eq!(fixture.channel.published(), published);
    fixture.connect(C);
    fixture.assert_ready(C);
}

#[test]
fn an_update_while_all_are_in_their_backoff_does_not_have_the_resolver_asked_again() {
    // A resolver that answers at once would be asked without end.
    let mut fixture = Fixture::failed(&[A, B]);
    let resolves = fixture.channel.resolves();
    fixture.update(&[A, B]).expect("there are addresses");
    assert_eq!(fixture.channel.resolves(), resolves);
    fixture.assert_failing("cannot connect to test:///backends: b:2: refused; last of 2 addresses");
}

#[test]
fn an_address_has_250_ms_to_itself() {
    let mut fixture = Fixture::new(&[A, B]);
    fixture.connecting(A);
    fixture.advance(ATTEMPT_DELAY - Duration::from_millis(1));
    assert_eq!(fixture.connects(), [""; 0]);
    fixture.advance(Duration::from_millis(1));
    assert_eq!(fixture.connects(), [B]);
    assert_eq!(
        fixture.policy.wake_at(),
        None,
        "there is no further address"
    );
    fixture.connect(B);
    fixture.assert_ready(B);
}

#[test]
fn the_pass_ends_when_addresses_that_were_begun_by_time_have_failed_in_any_order() {
    let mut fixture = Fixture::new(&[A, B, C]);
    fixture.connecting(A);
    fixture.advance(ATTEMPT_DELAY);
    assert_eq!(fixture.connects(), [B]);
    fixture.connecting(B);
    fixture.advance(ATTEMPT_DELAY);
    assert_eq!(fixture.connects(), [C]);
    fixture.fail(A, "refused");
    fixture.fail(C, "refused");
    assert_eq!(fixture.channel.state(), Some(Connecting));
    fixture.fail(B, "refused");
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
}

#[test]
fn the_time_runs_from_the_last_attempt_also_after_a_failure() {
    let mut fixture = Fixture::new(&[A, B, C]);
    fixture.advance(Duration::from_millis(200));
    fixture.fail(A, "refused");
    assert_eq!(fixture.connects(), [B]);
    fixture.connecting(B);
    fixture.advance(Duration::from_millis(249));
    assert_eq!(fixture.connects(), [""; 0]);
    fixture.advance(Duration::from_millis(1));
    assert_eq!(fixture.connects(), [C]);
    fixture.connect(B);
    fixture.assert_ready(B);
}

#[test]
fn what_becomes_of_attempts_that_were_given_up_is_of_no_interest() {
    let mut fixture = Fixture::new(&[A, B]);
    let first = fixture.channel.subconn(&address(A)).expect("it is tried");
    fixture.advance(ATTEMPT_DELAY);
    fixture.connect(B);
    let refused = Status::unavailable("refused");
    for state in [
        SubConnState::Ready(Health::Serving),
        SubConnState::TransientFailure(refused),
        SubConnState::Idle,
    ] {
        fixture
            .policy
            .subconn_state(first, &state, &mut fixture.channel);
        fixture.assert_ready(B);
    }
}

#[test]
fn addresses_of_both_families_are_tried_in_turn() {
    let mut fixture = Fixture::new(&["[::1]:1", "[::2]:2", "1.1.1.1:3"]);
    fixture.fail("[::1]:1", "unreachable");
    assert_eq!(fixture.connects(), ["1.1.1.1:3"]);
    fixture.fail("1.1.1.1:3", "unreachable");
    assert_eq!(fixture.connects(), ["[::2]:2"]);
}

#[test]
fn shuffling_is_as_the_config_says() {
    let config = PickFirstConfig::default().with_shuffle_address_list(true);
    let mut fixture = Fixture::of(PickFirst::new());
    let mut firsts = Vec::new();
    for _ in 0..50 {
        fixture
            .update_with(&[A, B, C], config)
            .expect("there are addresses");
        firsts.extend(fixture.connects());
        // Without them the next update begins anew.
        fixture.update(&[]).expect_err("there are no addresses");
    }
    for address in [A, B, C] {
        assert!(firsts.iter().any(|first| first == address), "{firsts:?}");
    }
}

#[test]
fn a_lost_connection_makes_it_idle_until_there_is_a_call() {
    let mut fixture = Fixture::ready(&[A, B]);
    fixture.idle(A);
    assert_eq!(fixture.channel.state(), Some(Idle));
    assert_eq!(fixture.channel.resolves(), 1);
    assert_eq!(fixture.connects(), [""; 0]);
    fixture.policy.wake(&mut fixture.channel);
    assert_eq!(
        fixture.channel.state(),
        Some(Idle),
        "that was for another policy"
    );

    fixture.call();
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.connects(), [A]);
    fixture.connect(A);
    fixture.assert_ready(A);
}

#[test]
fn after_a_lost_connection_the_first_address_is_tried_first() {
    for (connected, next) in [(A, A), (A, B), (B, B), (B, A)] {
        let mut fixture = Fixture::new(&[A, B]);
        if connected == B {
            fixture.fail(A, "refused");
        }
        fixture.connect(connected);
        fixture.assert_ready(connected);
        fixture.idle(connected);
        fixture.connects();
        fixture.call();
        assert_eq!(fixture.connects(), [A]);
        if next == B {
            fixture.fail(A, "refused");
            assert_eq!(fixture.connects(), [B]);
        }
        fixture.connect(next);
        fixture.assert_ready(next);
    }
}

#[test]
fn all_calls_of_an_idle_policy_wake_it_once() {
    let mut fixture = Fixture::ready(&[A]);
    fixture.idle(A);
    let picker = Arc::clone(fixture.channel.picker());
    fixture.call();
    for _ in 0..3 {
        let metadata = crate::Metadata::new();
        picker.pick(&crate::balancer::PickInfo::new("/s/m", &metadata));
        assert!(!fixture.channel.take_wake());
    }
    assert_eq!(fixture.connects(), [A]);
}

#[test]
fn exit_idle_connects_and_does_nothing_in_other_states() {
    let mut fixture = Fixture::of(PickFirst::new());
    fixture.policy.exit_idle(&mut fixture.channel);
    assert_eq!(fixture.channel.published(), 0, "it has no addresses");
    let mut fixture = Fixture::ready(&[A, B]);
    fixture.policy.exit_idle(&mut fixture.channel);
    fixture.assert_ready(A);
    fixture.idle(A);
    fixture.policy.exit_idle(&mut fixture.channel);
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.connects(), [A]);
    fixture.policy.exit_idle(&mut fixture.channel);
    assert_eq!(fixture.connects(), [""; 0]);
}

#[test]
fn a_connection_that_is_lost_before_it_is_known_makes_it_idle_too() {
    let mut fixture = Fixture::new(&[A, B]);
    fixture.connecting(A);
    fixture.idle(A);
    assert_eq!(fixture.channel.state(), Some(Idle));
    assert_eq!(fixture.connects(), [""; 0]);
    fixture.call();
    assert_eq!(fixture.connects(), [A]);
}

#[test]
fn an_idle_policy_remembers_new_addresses_and_stays_idle() {
    let mut fixture = Fixture::ready(&[A]);
    fixture.idle(A);
    fixture.update(&[B, C]).expect("there are addresses");
    assert_eq!(fixture.channel.state(), Some(Idle));
    assert_eq!(fixture.connects(), [""; 0]);
    fixture.call();
    assert_eq!(fixture.connects(), [B]);
}

#[test]
fn the_connection_is_kept_while_its_address_is_in_the_list() {
    let mut fixture = Fixture::new(&[A, B]);
    fixture.fail(A, "refused");
    fixture.connect(B);
    let published = fixture.channel.published();
    for list in [&[A, B] as &[_], &[C, B], &[B], &[B, A, C]] {
        fixture.connects();
        fixture.update(list).expect("there are addresses");
        assert_eq!(fixture.connects(), [""; 0], "{list:?}");
        fixture.assert_ready(B);
    }
    assert_eq!(fixture.channel.published(), published);
    // The list is the new one nevertheless.
    fixture.update(&[C, B]).expect("there are addresses");
    fixture.idle(B);
    fixture.call();
    assert_eq!(fixture.connects(), [C]);
}

#[test]
fn when_the_address_of_the_connection_is_gone_the_list_is_gone_through() {
    let mut fixture = Fixture::ready(&[A, B]);
    fixture.update(&[B, C]).expect("there are addresses");
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.channel.pick(), TestPick::Queue);
    assert_eq!(fixture.connects(), [B]);
    assert_eq!(fixture.open(), [B]);
    fixture.fail(B, "refused");
    fixture.connect(C);
    fixture.assert_ready(C);
}

#[test]
fn addresses_in_both_lists_keep_their_attempts() {
    let mut fixture = Fixture::new(&[A, B, C]);
    fixture.connecting(A);
    fixture.advance(ATTEMPT_DELAY);
    assert_eq!(fixture.connects(), [B]);
    fixture.connecting(B);
    let second = fixture.channel.subconn(&address(B));
    fixture.update(&[B, C]).expect("there are addresses");
    assert_eq!(fixture.open(), [B]);
    assert_eq!(fixture.channel.subconn(&address(B)), second);
    assert_eq!(fixture.connects(), [""; 0], "it is connecting already");
    fixture.advance(ATTEMPT_DELAY);
    assert_eq!(fixture.connects(), [C]);
    fixture.connect(B);
    fixture.assert_ready(B);
}

#[test]
fn new_addresses_while_all_fail_are_tried() {
    let mut fixture = Fixture::failed(&[A]);
    fixture.update(&[A, B]).expect("there are addresses");
    assert_eq!(fixture.connects(), [B]);
    fixture.connect(B);
    fixture.assert_ready(B);
}

#[test]
fn no_addresses_are_a_failure_which_ends_when_there_are_some() {
    let none = "name resolution of test:///backends has found no addresses";
    let mut fixture = Fixture::of(PickFirst::new());
    for _ in 0..2 {
        let error = fixture.update(&[]).expect_err("there are no addresses");
        assert_eq!((error.code(), error.message()), (Code::Unavailable, none));
        fixture.assert_failing(none);
        assert_eq!(fixture.open(), [""; 0]);
        // It was no failure to connect, so that it does not stay.
        fixture.update(&[A]).expect("there is an address");
        assert_eq!(fixture.channel.state(), Some(Connecting));
        assert_eq!(fixture.connects(), [A]);
        fixture.connect(A);
        fixture.assert_ready(A);
    }
}

#[test]
fn a_config_of_another_policy_is_an_error() {
    let mut fixture = Fixture::of(PickFirst::new());
    let update = BalancerUpdate::new(vec![Endpoint::from(address(A))], Arc::new(()));
    let error = fixture.policy.update(update, &mut fixture.channel);
    assert_eq!(error.map_err(|error| error.code()), Err(Code::Internal));
}

#[test]
fn an_error_of_the_resolver_is_for_calls_while_there_are_no_addresses() {
    let mut fixture = Fixture::of(PickFirst::new());
    fixture.resolver_error("no such host");
    fixture.assert_failing("no such host");
    fixture.resolver_error("no server");
    fixture.assert_failing("no server");
    fixture.update(&[A]).expect("there is an address");
    assert_eq!(fixture.channel.state(), Some(Connecting));

    fixture.update(&[]).expect_err("there are no addresses");
    fixture.resolver_error("no such host");
    fixture.assert_failing("no such host");
}

#[test]
fn an_error_of_the_resolver_changes_nothing_while_addresses_work_or_may() {
    let mut fixture = Fixture::new(&[A]);
    fixture.resolver_error("no such host");
    assert_eq!(fixture.channel.state(), Some(Connecting));
    fixture.connect(A);
    fixture.resolver_error("no such host");
    fixture.assert_ready(A);
    fixture.idle(A);
    fixture.resolver_error("no such host");
    assert_eq!(fixture.channel.state(), Some(Idle));
    fixture.call();
    assert_eq!(fixture.connects(), [A]);
}

#[test]
fn an_error_of_the_resolver_is_told_when_all_addresses_fail_which_are_still_tried() {
    let mut fixture = Fixture::failed(&[A]);
    fixture.resolver_error("no such host");
    fixture.assert_failing("no such host");
    assert_eq!(fixture.open(), [A]);
    fixture.idle(A);
    assert_eq!(fixture.connects(), [A]);
    fixture.connect(A);
    fixture.assert_ready(A);
}

#[test]
fn a_leaf_goes_by_the_health_of_its_connection_and_keeps_it() {
    let mut fixture = Fixture::of(PickFirst::leaf());
    fixture.update(&[A, B]).expect("there are addresses");
    fixture.connecting(A);
    fixture.connects();
    let health = |health| SubConnState::Ready(health);
    let not_serving = |text: &'static str| health(Health::NotServing(Status::unavailable(text)));

    fixture.subconn_state(A, &health(Health::Unknown));
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.channel.published(), 1, "that is known");
    assert_eq!(fixture.open(), [A]);
    assert_eq!(fixture.policy.wake_at(), None);

    fixture.subconn_state(A, &health(Health::Serving));
    fixture.assert_ready(A);
    for text in ["NOT_SERVING", "SERVICE_UNKNOWN"] {
        fixture.subconn_state(A, &not_serving(text));
        fixture.assert_failing(text);
    }
    fixture.resolver_error("no such host");
    fixture.assert_failing("SERVICE_UNKNOWN");
    fixture.update(&[B, A]).expect("there are addresses");
    fixture.assert_failing("SERVICE_UNKNOWN");
    assert_eq!(fixture.open(), [A]);
    fixture.subconn_state(A, &health(Health::Serving));
    fixture.assert_ready(A);

    fixture.subconn_state(A, &not_serving("NOT_SERVING"));
    fixture.idle(A);
    assert_eq!(fixture.channel.state(), Some(Idle));
    assert_eq!(fixture.connects(), [""; 0]);
}

#[test]
fn a_leaf_that_is_connected_is_not_failing_any_more_while_its_health_is_unknown() {
    let mut fixture = Fixture::of(PickFirst::leaf());
    fixture.update(&[A]).expect("there is an address");
    fixture.fail(A, "refused");
    fixture.idle(A);
    fixture.connecting(A);
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
    fixture.subconn_state(A, &SubConnState::Ready(Health::Unknown));
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.channel.pick(), TestPick::Queue);
}

#[test]
fn alone_it_uses_a_connection_whatever_its_health() {
    let status = Status::unavailable("NOT_SERVING");
    for health in [Health::Unknown, Health::NotServing(status)] {
        let mut fixture = Fixture::new(&[A]);
        fixture.connecting(A);
        fixture.subconn_state(A, &SubConnState::Ready(health));
        fixture.assert_ready(A);
        fixture.subconn_state(A, &SubConnState::Ready(Health::Serving));
        assert_eq!(fixture.channel.published(), 2);
    }
}
