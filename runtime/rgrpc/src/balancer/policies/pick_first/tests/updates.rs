//! New endpoints, and errors of the resolver.

use std::sync::Arc;

use super::{A, B, C, Fixture, address};
use crate::balancer::policies::pick_first::attempts::ATTEMPT_DELAY;
use crate::balancer::{Balancer, BalancerUpdate, PickFirst, PickFirstConfig, TestPick};
use crate::connectivity_state::ConnectivityState::{Connecting, Idle};
use crate::resolver::Endpoint;
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
fn an_update_while_all_are_in_their_backoff_does_not_have_the_resolver_asked_again() {
    // A resolver that answers at once would be asked without end.
    let mut fixture = Fixture::failed(&[A, B]);
    let resolves = fixture.channel.resolves();
    fixture.update(&[A, B]).expect("there are addresses");
    assert_eq!(fixture.channel.resolves(), resolves);
    fixture.assert_failing("cannot connect to test:///backends: b:2: refused; last of 2 addresses");
}

#[test]
fn a_resolver_that_repeats_itself_does_not_put_off_the_second_address() {
    let mut fixture = Fixture::new(&[A, B]);
    fixture.connecting(A);
    let half = ATTEMPT_DELAY / 2;
    fixture.advance(half);
    fixture.update(&[A, B]).expect("there are addresses");
    fixture.advance(half);
    assert_eq!(fixture.connects(), [B]);
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
    let none = "cannot connect to test:///backends: the resolver has found no addresses";
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
    fixture.assert_failing("cannot connect to test:///backends: no such host");
    assert_eq!(fixture.open(), [A]);
    fixture.idle(A);
    assert_eq!(fixture.connects(), [A]);
    fixture.connect(A);
    fixture.assert_ready(A);
}
