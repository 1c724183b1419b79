//! The delay before a monitor's call that has ended is retried.
//!
//! Asked by the task of a monitor.

use std::time::Duration;

use crate::backoff::{Backoff, ConnectParams};

/// Decides when a call of a monitor that has ended is retried: at once if it had answers, and after
/// 1 s, growing to 120 s, if it had none.
///
/// Source: gRFC A17, "Client Workflow"; grpc-go `backoff.RunF`.
#[derive(Debug)]
pub(super) struct RestartDelay {
    /// The backoff of connecting, with its defaults.
    backoff: Backoff,
    /// True if the current call has had an answer.
    was_answered: bool,
}

impl RestartDelay {
    pub(super) fn new() -> Self {
        Self {
            backoff: Backoff::new(ConnectParams::default()),
            was_answered: false,
        }
    }

    /// There is an answer.
    pub(super) fn answered(&mut self) {
        self.was_answered = true;
    }

    /// The call has ended. Returns the delay before the next one. `random` is in [0, 1).
    pub(super) fn broken(&mut self, random: f64) -> Duration {
        if std::mem::take(&mut self.was_answered) {
            self.backoff.reset();
            Duration::ZERO
        } else {
            self.backoff.failed(random)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_make_the_next_call_follow_at_once_and_the_waits_begin_again() {
        let mut retry = RestartDelay::new();
        let calls = [0, 0, 0, 1, 0, 2, 1, 0, 0];
        let waits = calls.map(|answers| {
            (0..answers).for_each(|_| retry.answered());
            retry.broken(0.5).as_millis()
        });
        assert_eq!(waits, [1000, 1600, 2560, 0, 1000, 0, 0, 1000, 1600]);
    }

    #[test]
    fn no_wait_is_longer_than_120_s_and_a_fifth() {
        let mut retry = RestartDelay::new();
        let waits = (0..100).map(|_| retry.broken(0.999));
        let longest = waits.max().expect("some");
        assert!((120..=144).contains(&longest.as_secs()), "{longest:?}");
    }
}
