//! New endpoints and errors of the resolver.

use std::sync::Arc;

use super::{A, B, C, Fixture, address};
use crate::balancer::policies::pick_first::address_attempts::ATTEMPT_DELAY;
use crate::balancer::{
    Balancer, BalancerUpdate, Health, PickFirst, PickFirstConfig, SubConnState, TestChannel,
    TestPick,
};
use crate::connectivity_state::ConnectivityState::{Connecting, Idle};
use crate::resolver::{Attributes, Endpoint, EndpointWeight};
use crate::status::Code;

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
fn an_update_during_the_backoff_of_all_does_not_make_the_resolver_resolve_again() {
    // Otherwise a resolver that answers at once would be asked in a loop.
    let mut fixture = Fixture::failed(&[A, B]);
    let resolves = fixture.channel.resolves();
    fixture.update(&[A, B]).expect("there are addresses");
    assert_eq!(fixture.channel.resolves(), resolves);
    fixture.assert_failing("cannot connect to test:///backends: b:2: refused; last of 2 addresses");
}

#[test]
fn repeated_updates_do_not_delay_the_second_address() {
    let mut fixture = Fixture::new(&[A, B]);
    fixture.connecting(A);
    let half = ATTEMPT_DELAY / 2;
    fixture.advance(half);
    fixture.update(&[A, B]).expect("there are addresses");
    fixture.advance(half);
    assert_eq!(fixture.connects(), [B]);
}

#[test]
fn the_config_enables_shuffling() {
    let config = PickFirstConfig::default().with_shuffle_address_list(true);
    let mut fixture = Fixture::of(PickFirst::new());
    let mut firsts = Vec::new();
    for _ in 0..50 {
        fixture
            .update_with(&[A, B, C], config)
            .expect("there are addresses");
        firsts.extend(fixture.connects());
        // An empty list resets the policy.
        fixture.update(&[]).expect_err("there are no addresses");
    }
    for address in [A, B, C] {
        assert!(firsts.iter().any(|first| first == address), "{firsts:?}");
    }
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
    // The policy has the new list regardless.
    fixture.update(&[C, B]).expect("there are addresses");
    fixture.idle(B);
    fixture.call();
    assert_eq!(fixture.connects(), [C]);
}

#[test]
fn the_new_list_is_tried_if_the_connected_address_was_removed() {
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
fn new_addresses_are_tried_while_all_fail() {
    let mut fixture = Fixture::failed(&[A]);
    fixture.update(&[A, B]).expect("there are addresses");
    assert_eq!(fixture.connects(), [B]);
    fixture.connect(B);
    fixture.assert_ready(B);
}

#[test]
fn an_empty_list_is_a_failure_until_there_are_addresses() {
    let none = "cannot connect to test:///backends: the resolver has found no addresses";
    let mut fixture = Fixture::of(PickFirst::new());
    for _ in 0..2 {
        let error = fixture.update(&[]).expect_err("there are no addresses");
        assert_eq!((error.code(), error.message()), (Code::Unavailable, none));
        fixture.assert_failing(none);
        assert_eq!(fixture.open(), [""; 0]);
        // It was not a failure to connect, so it ends with the next update.
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
fn a_resolver_error_without_addresses_fails_calls() {
    let mut fixture = Fixture::of(PickFirst::new());
    fixture.resolver_error("no such host");
    fixture.assert_failing("cannot connect to test:///backends: no such host");
    fixture.resolver_error("no server");
    fixture.assert_failing("cannot connect to test:///backends: no server");
    fixture.update(&[A]).expect("there is an address");
    assert_eq!(fixture.channel.state(), Some(Connecting));

    fixture.update(&[]).expect_err("there are no addresses");
    fixture.resolver_error("no such host");
    fixture.assert_failing("cannot connect to test:///backends: no such host");
}

#[test]
fn a_resolver_error_is_ignored_unless_all_addresses_fail() {
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
fn a_resolver_error_is_reported_if_all_addresses_fail_and_these_are_still_retried() {
    let mut fixture = Fixture::failed(&[A]);
    fixture.resolver_error("no such host");
    fixture.assert_failing("cannot connect to test:///backends: no such host");
    assert_eq!(fixture.open(), [A]);
    fixture.idle(A);
    assert_eq!(fixture.connects(), [A]);
    fixture.connect(A);
    fixture.assert_ready(A);
}

#[test]
fn an_address_with_other_attributes_gets_another_subchannel_and_one_with_the_same_keeps_its_own() {
    let listed = |zone: &str, weight: u32| {
        let endpoint = Endpoint::from(address(A))
            .with_attributes(Attributes::new().with(EndpointWeight(weight)))
            .with_connection_attributes(Attributes::new().with(zone.to_owned()));
        BalancerUpdate::new(vec![endpoint], Arc::new(PickFirstConfig::default()))
    };
    let mut channel = TestChannel::new();
    let mut policy = PickFirst::new();
    let subconn = |channel: &TestChannel| channel.subconn(&address(A)).expect("created");
    policy.update(listed("x", 1), &mut channel).expect("one");
    policy.exit_idle(&mut channel);
    let first = subconn(&channel);
    let ready = SubConnState::Ready(Health::Serving);
    policy.subconn_state(first, &ready, &mut channel);
    policy.update(listed("x", 2), &mut channel).expect("one");
    assert_eq!(
        subconn(&channel),
        first,
        "its weight is not its connection's"
    );
    policy.update(listed("y", 2), &mut channel).expect("one");
    let second = subconn(&channel);
    assert_ne!(second, first);
    assert_eq!(channel.subconns().len(), 1, "the first is dropped");
    let options = channel.options(second).expect("it is there");
    assert_eq!(options.attributes.get(), Some(&"y".to_owned()));
}

/// An update with one address, whose connection attributes have this number.
fn update_with_attribute(fixture: &mut Fixture, number: u8) {
    let attributes = Attributes::new().with(number);
    let endpoint = Endpoint::from(address(A)).with_connection_attributes(attributes);
    let update = BalancerUpdate::new(vec![endpoint], Arc::new(PickFirstConfig::default()));
    let updated = fixture.policy.update(update, &mut fixture.channel);
    updated.expect("there is an address");
}

#[test]
fn connection_attributes_are_those_of_the_subchannel_and_a_change_makes_another_one() {
    let mut fixture = Fixture::of(PickFirst::new());
    for (number, connects) in [(1, true), (1, false), (2, true)] {
        update_with_attribute(&mut fixture, number);
        let connected = fixture.connects();
        assert_eq!(connected.len(), usize::from(connects), "{number}");
        if connects {
            fixture.connect(A);
        }
        let subconn = fixture.channel.subconn(&address(A)).expect("it exists");
        let options = fixture.channel.options(subconn).expect("it exists");
        assert_eq!(options.attributes.get(), Some(&number));
    }
    fixture.assert_ready(A);
}

#[test]
fn connection_attributes_that_change_while_idle_are_those_of_the_next_connection() {
    let mut fixture = Fixture::of(PickFirst::new());
    update_with_attribute(&mut fixture, 1);
    fixture.connect(A);
    fixture.idle(A);
    fixture.connects();
    update_with_attribute(&mut fixture, 2);
    assert!(fixture.connects().is_empty(), "it is idle");
    fixture.call();
    assert_eq!(fixture.connects(), [A]);
    let subconn = fixture.channel.subconn(&address(A)).expect("it exists");
    let options = fixture.channel.options(subconn).expect("it exists");
    assert_eq!(options.attributes.get(), Some(&2_u8));
}
