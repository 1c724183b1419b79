//! Lost connections, and the state IDLE.

use std::sync::Arc;

use super::{A, B, C, Fixture};
use crate::balancer::{Balancer, PickFirst, PickInfo};
use crate::connectivity_state::ConnectivityState::{Connecting, Idle};
use crate::metadata::Metadata;

#[test]
fn after_a_lost_connection_the_policy_is_idle_until_a_call() {
    let mut fixture = Fixture::ready(&[A, B]);
    fixture.idle(A);
    assert_eq!(fixture.channel.state(), Some(Idle));
    assert_eq!(fixture.channel.resolves(), 1);
    assert_eq!(fixture.connects(), [""; 0]);
    fixture.policy.wake(&mut fixture.channel);
    assert_eq!(
        fixture.channel.state(),
        Some(Idle),
        "the wake was for another policy"
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
fn several_calls_wake_an_idle_policy_once() {
    let mut fixture = Fixture::ready(&[A]);
    fixture.idle(A);
    let picker = Arc::clone(fixture.channel.picker());
    fixture.call();
    for _ in 0..3 {
        let metadata = Metadata::new();
        picker.pick(&PickInfo::new("/s/m", &metadata));
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
fn a_connection_that_is_lost_before_ready_makes_the_policy_idle() {
    let mut fixture = Fixture::new(&[A, B]);
    fixture.connecting(A);
    fixture.idle(A);
    assert_eq!(fixture.channel.state(), Some(Idle));
    assert_eq!(fixture.connects(), [""; 0]);
    fixture.call();
    assert_eq!(fixture.connects(), [A]);
}

#[test]
fn an_idle_policy_keeps_new_addresses_and_stays_idle() {
    let mut fixture = Fixture::ready(&[A]);
    fixture.idle(A);
    fixture.update(&[B, C]).expect("there are addresses");
    assert_eq!(fixture.channel.state(), Some(Idle));
    assert_eq!(fixture.connects(), [""; 0]);
    fixture.call();
    assert_eq!(fixture.connects(), [B]);
}
