//! The aggregate state of many children.
//!
//! Used by the policies with several children and by `EndpointSharding`, on the channel's task.

use crate::connectivity_state::ConnectivityState;

/// Aggregates the states of many children (subchannels or policies) to one.
///
/// It records each change and keeps counts, so that memory and time do not depend on the number of
/// children. The aggregate is
///
/// 1. READY if a child is READY,
/// 2. else CONNECTING if a child is CONNECTING,
/// 3. else IDLE if a child is IDLE,
/// 4. else TRANSIENT_FAILURE, also without children.
///
/// A child that retries after a failure should count as TRANSIENT_FAILURE until it is READY (gRFC
/// A62). Otherwise a set of unreachable children would count as CONNECTING forever.
/// [`after`](Self::after) implements this rule for children that do not follow it themselves, as
/// `pick_first` does.
///
/// Source: grpc-go `balancer.ConnectivityStateEvaluator`.
#[derive(Clone, Debug, Default)]
pub struct ConnectivityStateEvaluator {
    ready: usize,
    connecting: usize,
    idle: usize,
    transient_failure: usize,
}

impl ConnectivityStateEvaluator {
    /// Creates an evaluator without children.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a change of a child's state. `from` is `None` for a new child, `to` is `None` for a
    /// removed one. Children in SHUTDOWN do not count.
    pub fn record(&mut self, from: Option<ConnectivityState>, to: Option<ConnectivityState>) {
        if let Some(count) = from.and_then(|from| self.count(from)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = to.and_then(|to| self.count(to)) {
            *count += 1;
        }
    }

    /// The aggregate state.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        if self.ready > 0 {
            ConnectivityState::Ready
        } else if self.connecting > 0 {
            ConnectivityState::Connecting
        } else if self.idle > 0 {
            ConnectivityState::Idle
        } else {
            ConnectivityState::TransientFailure
        }
    }

    /// The number of children in a state. 0 for SHUTDOWN.
    #[must_use]
    pub fn children_in(&self, state: ConnectivityState) -> usize {
        match state {
            ConnectivityState::Ready => self.ready,
            ConnectivityState::Connecting => self.connecting,
            ConnectivityState::Idle => self.idle,
            ConnectivityState::TransientFailure => self.transient_failure,
            ConnectivityState::Shutdown => 0,
        }
    }

    /// The state that a child counts as after a change: a failed child counts as failed until it is
    /// READY.
    #[must_use]
    pub fn after(from: ConnectivityState, to: ConnectivityState) -> ConnectivityState {
        match (from, to) {
            (
                ConnectivityState::TransientFailure,
                ConnectivityState::Connecting | ConnectivityState::Idle,
            ) => ConnectivityState::TransientFailure,
            (_, to) => to,
        }
    }

    fn count(&mut self, state: ConnectivityState) -> Option<&mut usize> {
        match state {
            ConnectivityState::Ready => Some(&mut self.ready),
            ConnectivityState::Connecting => Some(&mut self.connecting),
            ConnectivityState::Idle => Some(&mut self.idle),
            ConnectivityState::TransientFailure => Some(&mut self.transient_failure),
            ConnectivityState::Shutdown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};
    use super::*;

    #[test]
    fn the_aggregate_is_the_best_state_that_a_child_has() {
        for (children, expected) in [
            (&[][..], TransientFailure),
            (&[TransientFailure], TransientFailure),
            (&[Shutdown], TransientFailure),
            (&[TransientFailure, Idle], Idle),
            (&[TransientFailure, Idle, Connecting], Connecting),
            (&[TransientFailure, Idle, Connecting, Ready], Ready),
            (&[Ready, TransientFailure, TransientFailure], Ready),
        ] {
            let mut evaluator = ConnectivityStateEvaluator::new();
            for state in children {
                evaluator.record(None, Some(*state));
            }
            assert_eq!(evaluator.state(), expected, "{children:?}");
        }
    }

    #[test]
    fn changes_and_removals_are_counted() {
        let mut evaluator = ConnectivityStateEvaluator::new();
        evaluator.record(None, Some(Connecting));
        evaluator.record(None, Some(Connecting));
        evaluator.record(Some(Connecting), Some(Ready));
        assert_eq!(evaluator.state(), Ready);
        assert_eq!(evaluator.children_in(Connecting), 1);
        evaluator.record(Some(Ready), Some(TransientFailure));
        assert_eq!(evaluator.state(), Connecting);
        evaluator.record(Some(Connecting), None);
        assert_eq!(evaluator.state(), TransientFailure);
        assert_eq!(evaluator.children_in(TransientFailure), 1);
    }

    #[test]
    fn a_failed_child_stays_failed_until_it_is_ready() {
        for (from, to, expected) in [
            (TransientFailure, Connecting, TransientFailure),
            (TransientFailure, Idle, TransientFailure),
            (TransientFailure, Ready, Ready),
            (TransientFailure, TransientFailure, TransientFailure),
            (Ready, Idle, Idle),
            (Ready, Connecting, Connecting),
            (Connecting, TransientFailure, TransientFailure),
        ] {
            let counts_as = ConnectivityStateEvaluator::after(from, to);
            assert_eq!(counts_as, expected, "{from} to {to}");
        }
    }
}
