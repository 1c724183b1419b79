//! Decides when a channel goes back to idle mode.
//!
//! Asked by the channel's task; the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::connectivity::Activity;

/// Decides when a channel that has left idle mode goes back to it: when there have been no calls
/// for a while.
///
/// Asked once, and again each time the wait that it answers with is over, so that calls set no
/// timers. Source: grpc-go `internal/idle`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idleness {
    timeout: Duration,
    left_idle: Instant,
}

/// The decision about idle mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdlenessDecision {
    /// The channel goes idle.
    Idle,
    /// There was activity. The channel may be idle for long enough after this time.
    AskAgainIn(Duration),
}

impl Idleness {
    pub(super) fn new(timeout: Duration, left_idle: Instant) -> Self {
        Self { timeout, left_idle }
    }

    pub(super) fn decide(&self, now: Instant, activity: Activity) -> IdlenessDecision {
        match activity {
            // They end after now, if ever.
            Activity::Calls => IdlenessDecision::AskAgainIn(self.timeout),
            Activity::NoneSince(last_end) => {
                let quiet = now.saturating_duration_since(last_end.max(self.left_idle));
                match self.timeout.saturating_sub(quiet) {
                    Duration::ZERO => IdlenessDecision::Idle,
                    left => IdlenessDecision::AskAgainIn(left),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn verdict_at(now: u64, last_end: Option<u64>) -> IdlenessDecision {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let activity = last_end.map_or(Activity::Calls, |end| Activity::NoneSince(at(end)));
        Idleness::new(TIMEOUT, at(100)).decide(at(now), activity)
    }

    fn again(seconds: u64) -> IdlenessDecision {
        IdlenessDecision::AskAgainIn(Duration::from_secs(seconds))
    }

    #[test]
    fn a_channel_goes_idle_when_its_last_call_ended_or_it_left_idle_a_timeout_ago() {
        for (now, last_end, expected) in [
            // No call since it left idle at 100 s, as after `connect`.
            (100, Some(0), again(30)),
            (129, Some(0), again(1)),
            (130, Some(0), IdlenessDecision::Idle),
            (1000, Some(0), IdlenessDecision::Idle),
            // The last call ended after that.
            (130, Some(120), again(20)),
            (149, Some(120), again(1)),
            (150, Some(120), IdlenessDecision::Idle),
            // A call ended between reading the clock and looking at calls.
            (130, Some(131), again(30)),
        ] {
            assert_eq!(verdict_at(now, last_end), expected, "{now} {last_end:?}");
        }
    }

    #[test]
    fn a_channel_with_calls_stays_for_a_timeout_at_least() {
        for now in [100, 130, 100_000] {
            assert_eq!(verdict_at(now, None), again(30));
        }
    }

    #[test]
    fn no_timeout_is_too_long() {
        let now = Instant::now();
        let idleness = Idleness::new(Duration::MAX, now);
        let activity = Activity::NoneSince(now);
        let verdict = idleness.decide(now, activity);
        assert_eq!(verdict, IdlenessDecision::AskAgainIn(Duration::MAX));
    }
}
