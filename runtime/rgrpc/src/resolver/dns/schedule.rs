//! The times of a name's lookups, as a state machine without a clock.
//!
//! Owned by the resolver, on its own task.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::later::{deadline, later};

/// Decides the time of the next lookup of a name.
///
/// After a lookup with a usable result, the next one is due when the channel asks for it, but at
/// least `min_interval` later. Without a request it is due after `refresh_interval` or when the
/// records expire, also at least `min_interval` later. After a lookup that failed or whose result
/// the channel rejected, the next one is due after a backoff, with or without a request.
///
/// Source: grpc-go `dnsResolver.watcher`, which has no refresh.
#[derive(Debug)]
pub(super) struct Schedule {
    intervals: Intervals,
    backoff: Backoff,
    next: Next,
}

/// The times between lookups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) min: Duration,
    pub(super) refresh: Option<Duration>,
}

/// The condition for the next lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// At this time, with or without a request.
    At(Instant),
    WhenAsked {
        not_before: Instant,
        /// The time without a request; not before `not_before`.
        refresh_at: Option<Instant>,
    },
}

impl Schedule {
    /// Creates a schedule whose first lookup is due now.
    pub(super) fn new(intervals: Intervals, now: Instant) -> Self {
        Self {
            intervals,
            backoff: Backoff::default(),
            next: Next::At(now),
        }
    }

    /// Records a lookup with a usable result. `valid_for` is the time until the records expire, if
    /// it is known and used.
    pub(super) fn succeeded(&mut self, now: Instant, valid_for: Option<Duration>) {
        let Intervals { min, refresh } = self.intervals;
        self.backoff.reset();
        let refresh = [refresh, valid_for].into_iter().flatten().min();
        self.next = Next::WhenAsked {
            not_before: later(now, min),
            refresh_at: refresh.and_then(|refresh| deadline(now, refresh.max(min))),
        };
    }

    /// Records a lookup that failed or whose result the channel rejected. `random` is in [0, 1).
    pub(super) fn failed(&mut self, now: Instant, random: f64) {
        self.next = Next::At(now + self.backoff.failed(random));
    }

    /// The time of the next lookup. `asked` says if the channel has asked for one. `None`: not
    /// without a request.
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
    fn an_interval_beyond_the_range_does_not_overflow() {
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
    fn after_a_success_the_next_lookup_waits_for_a_request_or_the_refresh() {
        let now = Instant::now();
        #[rustfmt::skip]
        let cases = [
            // min, refresh, valid for: due with a request, due without
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
    fn after_a_failure_the_next_lookup_waits_for_the_backoff_with_or_without_a_request() {
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
    fn a_refresh_beyond_the_range_is_none() {
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
