//! The delay before a resolver or a balancing policy that has panicked restarts.
//!
//! Asked by the channel's task; the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, ConnectParams};

/// Decides when a channel's resolver or balancing policy that has panicked restarts: after the
/// same delays as those between attempts to connect.
#[derive(Debug)]
pub(super) struct Restart {
    backoff: Backoff,
    at: Option<Instant>,
}

impl Restart {
    /// Nothing has panicked.
    pub(super) fn new(params: ConnectParams) -> Self {
        Self {
            backoff: Backoff::new(params),
            at: None,
        }
    }

    /// Something has panicked. Returns the time until its restart. `random` is in [0, 1).
    pub(super) fn schedule(&mut self, now: Instant, random: f64) -> Duration {
        let delay = self.backoff.failed(random);
        // A time too far away to be expressed does not come.
        self.at = Some(now + delay.min(super::FAR));
        delay
    }

    /// The time of the restart, for [`take_due`](Self::take_due).
    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Returns whether the wait is over; it is then.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// The restarted resolver or policy works.
    pub(super) fn succeeded(&mut self) {
        self.backoff.reset();
    }

    /// Ends the wait, if there is one, and makes further ones begin at the base delay.
    pub(super) fn reset(&mut self, now: Instant) {
        self.backoff.reset();
        if let Some(at) = &mut self.at {
            *at = now;
        }
    }

    /// Cancels the restart.
    pub(super) fn cancel(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_of_a_restart_grows_until_it_succeeds() {
        let now = Instant::now();
        let mut restart = Restart::new(ConnectParams::default());
        assert_eq!(restart.at(), None);
        for (millis, works) in [(1000, false), (1600, false), (2560, true), (1000, false)] {
            let delay = restart.schedule(now, 0.5);
            assert_eq!(delay.as_millis(), millis);
            assert_eq!(restart.at(), Some(now + delay));
            assert!(!restart.take_due(now));
            assert!(restart.take_due(now + delay));
            assert!(!restart.take_due(now + delay), "once");
            if works {
                restart.succeeded();
            }
        }
    }

    #[test]
    fn a_reset_ends_the_wait_and_makes_the_next_one_short() {
        let now = Instant::now();
        let mut restart = Restart::new(ConnectParams::default());
        restart.reset(now);
        assert_eq!(restart.at(), None, "there is none to end");
        restart.schedule(now, 0.5);
        restart.reset(now);
        assert!(restart.take_due(now));
        assert_eq!(restart.schedule(now, 0.5), Duration::from_secs(1));
        restart.cancel();
        assert_eq!(restart.at(), None);
    }
}
