//! The attempts to connect: their order and times, and the calls meanwhile.

use std::time::Duration;

use super::{A, B, C, Fixture, address};
use crate::balancer::policies::pick_first::address_attempts::ATTEMPT_DELAY;
use crate::balancer::{Balancer, Health, SubConnState};
use crate::connectivity_state::ConnectivityState::{Connecting, TransientFailure};
use crate::status::Status;

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
fn calls_use_the_second_address_if_the_first_fails() {
    let mut fixture = Fixture::new(&[A, B, C]);
    fixture.fail(A, "refused");
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(fixture.connects(), [B]);
    fixture.connect(B);
    fixture.assert_ready(B);
}

#[test]
fn if_all_addresses_fail_calls_fail_with_the_last_failure_and_the_resolver_resolves_again() {
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
fn a_duplicate_address_is_tried_once() {
    let mut fixture = Fixture::new(&[A, A, B, A]);
    fixture.fail(A, "refused");
    assert_eq!(fixture.connects(), [B]);
    fixture.fail(B, "refused");
    assert_eq!(fixture.channel.state(), Some(TransientFailure));
    assert_eq!(fixture.open(), [A, B]);
}

#[test]
fn after_a_pass_all_are_retried_and_a_failure_is_reported_once_per_number_of_addresses() {
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
fn transient_failure_ends_only_when_an_address_is_ready() {
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
fn the_next_attempt_begins_after_250_ms() {
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
fn the_pass_ends_when_concurrent_attempts_have_failed_in_any_order() {
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
fn the_250_ms_run_from_the_last_attempt_also_after_a_failure() {
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
fn results_of_abandoned_attempts_are_ignored() {
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
fn addresses_of_both_families_are_interleaved() {
    let mut fixture = Fixture::new(&["[::1]:1", "[::2]:2", "1.1.1.1:3"]);
    fixture.fail("[::1]:1", "unreachable");
    assert_eq!(fixture.connects(), ["1.1.1.1:3"]);
    fixture.fail("1.1.1.1:3", "unreachable");
    assert_eq!(fixture.connects(), ["[::2]:2"]);
}
