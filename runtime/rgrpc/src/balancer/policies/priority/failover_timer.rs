//! The time that a child of `priority` has to become READY, as a state machine without a clock.
//!
//! Owned by the child, on the channel's task.

use std::time::Duration;

use tokio::time::Instant;

use crate::connectivity_state::ConnectivityState;

/// The time that a child has to become READY before the next child is built.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The failover timer of a child: the child's time to become READY.
///
/// It starts when the child is built, and each time the child begins to connect, unless the child
/// has failed since it was READY or IDLE last: a child that reconnects after a failure gets no
/// time.
///
/// Source: gRFC A56, "Child Connectivity State Tracking"; A42 for the reason that IDLE counts like
/// READY.
#[derive(Debug)]
pub(super) struct FailoverTimer {
    deadline: Option<Instant>,
    /// The child has failed since it was READY or IDLE last.
    has_failed: bool,
}

impl FailoverTimer {
    /// Starts the timer of a new child.
    pub(super) fn start(now: Instant) -> Self {
        Self {
            deadline: Some(now + TIMEOUT),
            has_failed: false,
        }
    }

    /// Records a state that the child has published, and the one before.
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

    /// Returns true while the child has time.
    pub(super) fn is_pending(&self) -> bool {
        self.deadline.is_some()
    }

    /// The end of the child's time, while the timer runs.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Stops the timer if the time is over. Returns true then.
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
    fn the_timer_starts_for_a_new_child_and_for_one_that_connects_without_a_failure() {
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
    fn the_timer_expires_once() {
        let start = Instant::now();
        let mut timer = FailoverTimer::start(start);
        assert!(!timer.expire(start + TIMEOUT - Duration::from_nanos(1)));
        assert!(timer.is_pending());
        assert!(timer.expire(start + TIMEOUT));
        assert!(!timer.is_pending());
        assert!(!timer.expire(start + TIMEOUT));
    }
}
