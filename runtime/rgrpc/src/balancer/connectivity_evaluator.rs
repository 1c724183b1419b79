use crate::connectivity_state::ConnectivityState;

/// Makes one state of those of many children: of connections, or of policies.
///
/// It is told of each change and keeps counts, so that its size and its work do not depend on how
/// many children there are. The aggregate is
///
/// 1. READY when any child is,
/// 2. else CONNECTING when any is,
/// 3. else IDLE when any is,
/// 4. else TRANSIENT_FAILURE, without children too.
///
/// A child that tries again after a failure is to stay in TRANSIENT_FAILURE here until it is READY
/// (gRFC A62): otherwise many that are down would look as if they were connecting for ever.
/// [`after`](Self::after) is that rule, for children that do not hold it themselves as `pick_first`
/// does.
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
    /// Without children.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A child has changed its state. It is new when it had none, and gone when it has none now.
    /// Those that are shut down count for nothing.
    pub fn record(&mut self, from: Option<ConnectivityState>, to: Option<ConnectivityState>) {
        if let Some(count) = from.and_then(|from| self.count(from)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = to.and_then(|to| self.count(to)) {
            *count += 1;
        }
    }

    /// The aggregate.
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

    /// How many children are in this state; 0 for SHUTDOWN.
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

    /// As what a connection counts that has gone from one state to another: one that has failed
    /// stays failed until it is ready.
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
    fn what_has_failed_stays_failed_until_it_is_ready() {
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
