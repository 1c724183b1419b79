use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// Decides when a name is looked up again.
///
/// After a lookup whose result the channel could use: when the channel asks, but `min_interval`
/// later at the earliest; without being asked when `refresh_interval` has passed, or the time that
/// the records are valid, likewise. After one that failed, or whose result was refused: when a
/// backoff is over, asked or not.
///
/// Source: grpc-go `dnsResolver.watcher`, which has no refresh.
#[derive(Debug)]
pub(super) struct Schedule {
    intervals: Intervals,
    backoff: Backoff,
    next: Next,
}

/// About a century: a later time may not be expressible.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How far apart lookups are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) min: Duration,
    pub(super) refresh: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Whatever is asked.
    At(Instant),
    WhenAsked {
        not_before: Instant,
        /// Without being asked; not earlier than `not_before`.
        refresh_at: Option<Instant>,
    },
}

impl Schedule {
    /// The first lookup is due at once.
    pub(super) fn new(intervals: Intervals, now: Instant) -> Self {
        Self {
            intervals,
            backoff: Backoff::default(),
            next: Next::At(now),
        }
    }

    /// The channel uses what was found, which is valid for so long, if that is known and matters.
    pub(super) fn succeeded(&mut self, now: Instant, valid_for: Option<Duration>) {
        let Intervals { min, refresh } = self.intervals;
        self.backoff.reset();
        let refresh = [refresh, valid_for].into_iter().flatten().min();
        self.next = Next::WhenAsked {
            not_before: now + min.min(FAR),
            // A time that cannot be expressed never comes.
            refresh_at: refresh.and_then(|refresh| now.checked_add(refresh.max(min))),
        };
    }

    /// Nothing was found, or the channel refused it. `random` is in [0, 1).
    pub(super) fn failed(&mut self, now: Instant, random: f64) {
        self.next = Next::At(now + self.backoff.failed(random));
    }

    /// When the next lookup is due, if the channel has asked for it or if not; `None`: not before
    /// it asks.
    pub(super) fn due(&self, asked: bool) -> Option<Instant> {
        match self.next {
            Next::At(at) => Some(at),
            Next::WhenAsked { not_before, .. } if asked => Some(not_before),
            Next::WhenAsked { refresh_at, .. } => refresh_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(min: u32, refresh: Option<u32>, now: Instant) -> Schedule {
        let intervals = Intervals {
            min: min * SECOND,
            refresh: refresh.map(|refresh| refresh * SECOND),
        };
        Schedule::new(intervals, now)
    }

    #[test]
    fn the_first_lookup_is_due_at_once() {
        let now = Instant::now();
        assert_eq!(schedule(30, None, now).due(false), Some(now));
    }

    #[test]
    fn an_interval_that_never_ends_is_a_far_time() {
        let now = Instant::now();
        let intervals = Intervals {
            min: Duration::MAX,
            refresh: Some(Duration::MAX),
        };
        let mut schedule = Schedule::new(intervals, now);
        schedule.succeeded(now, None);
        assert!(
            schedule
                .due(true)
                .is_some_and(|due| due > now + 1_000_000 * SECOND)
        );
        assert_eq!(schedule.due(false), None);
    }

    #[test]
    fn after_a_success_a_lookup_waits_to_be_asked_for_or_for_the_refresh() {
        let now = Instant::now();
        #[rustfmt::skip]
        let cases = [
            // min, refresh, valid for: due when asked, due when not
            (30, None, None, 30, None),
            (0, None, None, 0, None),
            (30, Some(300), None, 30, Some(300)),
            (30, Some(10), None, 30, Some(30)),
            (30, None, Some(60), 30, Some(60)),
            (30, None, Some(0), 30, Some(30)),
            (30, Some(50), Some(60), 30, Some(50)),
            (30, Some(70), Some(60), 30, Some(60)),
        ];
        for (min, refresh, valid_for, asked, unasked) in cases {
            let mut schedule = schedule(min, refresh, now);
            schedule.succeeded(now, valid_for.map(|valid_for: u32| valid_for * SECOND));
            let case = (min, refresh, valid_for);
            assert_eq!(schedule.due(true), Some(now + asked * SECOND), "{case:?}");
            let expected = unasked.map(|unasked: u32| now + unasked * SECOND);
            assert_eq!(schedule.due(false), expected, "{case:?}");
        }
    }

    #[test]
    fn after_failures_a_lookup_waits_for_the_backoff_asked_or_not() {
        let now = Instant::now();
        let mut schedule = schedule(30, Some(300), now);
        for (failure, expected) in [1.0, 1.6, 2.56, 4.096].into_iter().enumerate() {
            schedule.failed(now, 0.5);
            let expected = Some(now + Duration::from_secs_f64(expected));
            assert_eq!(schedule.due(true), expected, "{failure}");
            assert_eq!(schedule.due(false), expected, "{failure}");
        }
        for _ in 0..20 {
            schedule.failed(now, 0.5);
        }
        assert_eq!(schedule.due(false), Some(now + 120 * SECOND));
        schedule.succeeded(now, None);
        schedule.failed(now, 0.5);
        assert_eq!(schedule.due(false), Some(now + SECOND), "anew");
    }

    #[test]
    fn a_refresh_that_never_comes_is_none() {
        let now = Instant::now();
        let mut schedule = Schedule::new(
            Intervals {
                min: SECOND,
                refresh: Some(Duration::MAX),
            },
            now,
        );
        schedule.succeeded(now, None);
        assert_eq!(schedule.due(false), None);
    }
}
