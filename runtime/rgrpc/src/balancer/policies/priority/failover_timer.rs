use std::time::Duration;

use tokio::time::Instant;

use crate::connectivity_state::ConnectivityState;

/// How long a child may take to become ready before the next one is built as well.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time that a child has to become ready.
///
/// It runs from when the child is built, and again from when the child begins to connect, unless it
/// has failed since it was ready or idle last: one that connects after a failure gets no time.
///
/// Source: gRFC A56, "Child Connectivity State Tracking"; A42 for why IDLE counts as READY does.
#[derive(Debug)]
pub(super) struct FailoverTimer {
    deadline: Option<Instant>,
    /// The child has failed, and was not ready or idle since.
    has_failed: bool,
}

impl FailoverTimer {
    /// The timer of a child that was built now.
    pub(super) fn start(now: Instant) -> Self {
        Self {
            deadline: Some(now + TIMEOUT),
            has_failed: false,
        }
    }

    /// The child has gone from one state to another, or has published the same again.
    pub(super) fn observe(&mut self, from: ConnectivityState, to: ConnectivityState, now: Instant) {
        match to {
            ConnectivityState::Ready | ConnectivityState::Idle => {
                self.deadline = None;
                self.has_failed = false;
            }
            ConnectivityState::TransientFailure => {
                self.deadline = None;
                self.has_failed = true;
            }
            ConnectivityState::Connecting if from != to && !self.has_failed => {
                self.deadline = Some(now + TIMEOUT);
            }
            ConnectivityState::Connecting | ConnectivityState::Shutdown => {}
        }
    }

    /// Whether the child still has time.
    pub(super) fn is_pending(&self) -> bool {
        self.deadline.is_some()
    }

    /// When the time is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Says whether the time is over as of now, for the first time.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let is_over = self.deadline.is_some_and(|deadline| deadline <= now);
        if is_over {
            self.deadline = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
    use super::*;

    #[test]
    fn a_child_has_time_from_when_it_is_built_and_when_it_connects_without_having_failed() {
        for (states, expected) in [
            (&[Connecting][..], Some(0)),
            (&[Connecting, Connecting], Some(0)),
            (&[Connecting, Ready], None),
            (&[Connecting, TransientFailure], None),
            (&[Connecting, TransientFailure, Connecting], None),
            (&[Connecting, Idle], None),
            (&[Connecting, Idle, Connecting], Some(2)),
            (&[Connecting, Idle, Connecting, Connecting], Some(2)),
            (&[Connecting, Ready, Connecting], Some(2)),
            (&[Connecting, TransientFailure, Idle, Connecting], Some(3)),
            (&[Connecting, Ready, TransientFailure, Connecting], None),
        ] {
            let start = Instant::now();
            let at = |second| start + Duration::from_secs(second);
            let mut timer = FailoverTimer::start(start);
            for (second, change) in (1..).zip(states.windows(2)) {
                timer.observe(change[0], change[1], at(second));
            }
            let expected = expected.map(|second| at(second) + TIMEOUT);
            assert_eq!(timer.deadline(), expected, "{states:?}");
        }
    }

    #[test]
    fn the_time_is_over_once() {
        let start = Instant::now();
        let mut timer = FailoverTimer::start(start);
        assert!(!timer.expire(start + TIMEOUT - Duration::from_nanos(1)));
        assert!(timer.is_pending());
        assert!(timer.expire(start + TIMEOUT));
        assert!(!timer.is_pending());
        assert!(!timer.expire(start + TIMEOUT));
    }
}
