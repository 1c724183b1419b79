//! The rule for the policy's state, a function of the counts of its endpoints' states.
//!
//! Called by the policy when it publishes, on the channel's task.

use crate::balancer::ConnectivityStateEvaluator;
use crate::connectivity_state::ConnectivityState;

/// The state of the policy, aggregated from the states of its endpoints.
///
/// Two failures are enough for TRANSIENT_FAILURE: the calls of the first endpoint have moved to the
/// second and fail there too, so a parent policy should use another child.
///
/// Source: gRFC A42, "Aggregated Connectivity State".
pub(super) fn aggregate(states: &ConnectivityStateEvaluator) -> ConnectivityState {
    let count = |state| states.children_in(state);
    let failed = count(ConnectivityState::TransientFailure);
    let idle = count(ConnectivityState::Idle);
    if count(ConnectivityState::Ready) > 0 {
        ConnectivityState::Ready
    } else if failed > 1 {
        ConnectivityState::TransientFailure
    } else if count(ConnectivityState::Connecting) > 0 || (failed == 1 && idle > 0) {
        ConnectivityState::Connecting
    } else if idle > 0 {
        ConnectivityState::Idle
    } else {
        ConnectivityState::TransientFailure
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
    use super::*;

    #[test]
    fn one_failure_is_connecting_and_two_are_transient_failure() {
        const FAILED: ConnectivityState = TransientFailure;
        for (endpoints, expected) in [
            (&[][..], TransientFailure),
            (&[Idle], Idle),
            (&[Idle, Idle], Idle),
            (&[Idle, Connecting], Connecting),
            (&[Idle, Connecting, Ready], Ready),
            (&[FAILED], TransientFailure),
            (&[FAILED, Idle], Connecting),
            (&[FAILED, Connecting], Connecting),
            (&[FAILED, Connecting, Idle], Connecting),
            (&[FAILED, FAILED], TransientFailure),
            (&[FAILED, FAILED, Idle], TransientFailure),
            (&[FAILED, FAILED, Connecting], TransientFailure),
            (&[FAILED, FAILED, Ready], Ready),
        ] {
            let mut states = ConnectivityStateEvaluator::new();
            for state in endpoints {
                states.record(None, Some(*state));
            }
            assert_eq!(aggregate(&states), expected, "{endpoints:?}");
        }
    }
}
