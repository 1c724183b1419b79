//! The health of connections.

use super::{A, B, Fixture};
use crate::balancer::{Balancer, Health, PickFirst, SubConnState, TestPick};
use crate::connectivity_state::ConnectivityState::{Connecting, Idle, TransientFailure};
use crate::status::Status;

#[test]
fn a_leaf_follows_the_health_of_its_connection_and_keeps_it() {
    let mut fixture = Fixture::of(PickFirst::leaf());
    fixture.update(&[A, B]).expect("there are addresses");
    fixture.connecting(A);
    fixture.connects();
    let health = |health| SubConnState::Ready(health);
    let not_serving = |text: &'static str| health(Health::NotServing(Status::unavailable(text)));

    fixture.subconn_state(A, &health(Health::Unknown));
    assert_eq!(fixture.channel.state(), Some(Connecting));
    assert_eq!(
        fixture.channel.published(),
        1,
        "CONNECTING is published already"
    );
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
fn a_connected_leaf_is_connecting_while_its_health_is_unknown() {
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
fn a_policy_that_is_no_leaf_ignores_health() {
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
