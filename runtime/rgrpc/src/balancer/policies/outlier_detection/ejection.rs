//! The ejection of an endpoint, as a state machine without a clock.
//!
//! Owned by [`Endpoints`](super::Endpoints), on the channel's task.

use std::time::Duration;

use tokio::time::Instant;

/// The ejection state of an endpoint, with the multiplier of the ejection time.
///
/// ```text
///             eject
///   in use ───────────► ejected
///     ▲  │ interval:       │ interval: its time is over
///     │  └─ one less       │
///     └────────────────────┘
/// ```
///
/// Source: gRFC A50.
#[derive(Debug, Default)]
pub(super) struct Ejection {
    since: Option<Instant>,
    /// The number of ejections, less one for each interval without ejection.
    multiplier: u32,
}

impl Ejection {
    pub(super) fn is_ejected(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn eject(&mut self, now: Instant) {
        self.since = Some(now);
        self.multiplier = self.multiplier.saturating_add(1);
    }

    /// Ends an interval: ends the ejection if its time is over, or decreases the multiplier.
    pub(super) fn end_interval(&mut self, now: Instant, base: Duration, max: Duration) {
        match self.since {
            None => self.multiplier = self.multiplier.saturating_sub(1),
            Some(since) => {
                let time = base.saturating_mul(self.multiplier).min(max.max(base));
                if now.saturating_duration_since(since) >= time {
                    self.since = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(30);
    const MAX: Duration = Duration::from_secs(100);

    /// The duration of an ejection that begins now, in intervals of 10 s.
    fn intervals_ejected(ejection: &mut Ejection, now: &mut Instant, max: Duration) -> u32 {
        ejection.eject(*now);
        let mut intervals = 0;
        while ejection.is_ejected() {
            *now += Duration::from_secs(10);
            ejection.end_interval(*now, BASE, max);
            intervals += 1;
        }
        intervals
    }

    #[test]
    fn each_ejection_is_longer_up_to_the_maximum() {
        let (mut ejection, mut now) = (Ejection::default(), Instant::now());
        for expected in [3, 6, 9, 10, 10] {
            let intervals = intervals_ejected(&mut ejection, &mut now, MAX);
            assert_eq!(intervals, expected);
        }
    }

    #[test]
    fn an_ejection_is_not_shorter_than_the_base_time() {
        let (mut ejection, mut now) = (Ejection::default(), Instant::now());
        assert_eq!(
            intervals_ejected(&mut ejection, &mut now, Duration::ZERO),
            3
        );
    }

    #[test]
    fn an_interval_without_ejection_shortens_the_next_ejection() {
        let (mut ejection, mut now) = (Ejection::default(), Instant::now());
        intervals_ejected(&mut ejection, &mut now, MAX);
        intervals_ejected(&mut ejection, &mut now, MAX);
        for _ in 0..5 {
            ejection.end_interval(now, BASE, MAX);
        }
        assert_eq!(intervals_ejected(&mut ejection, &mut now, MAX), 3);
    }
}
