//! Bounds on what a peer may do that costs it little and us much.
//!
//! Each kind of excess has a budget. Spending one more than there is ends the connection with GOAWAY
//! ENHANCE_YOUR_CALM, and the budget's name as debug data. Most budgets are an [`Allowance`]: a
//! burst, a rate, and what honest work earns on top, so that a busy peer is never taken for a hostile
//! one.

use std::time::{Duration, Instant};

use super::error::{ConnectionError, ErrorCode};

/// How much of something a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// How often at once.
    pub(crate) burst: u32,
    /// How often in a second, in the long run.
    pub(crate) per_second: u32,
}

/// Every budget. The defaults are several times what implementations that mean well have been seen
/// to do, and a small part of what hurts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BudgetConfig {
    /// RST_STREAM from the peer: "rapid reset", CVE-2023-44487. A stream that ends in order earns
    /// one. 1,000, and 100 a second: clients do cancel many calls at once, when a deadline of theirs
    /// passes.
    pub(crate) resets: Allowance,

    /// Streams that the peer makes us reset or refuse by what it does wrong on them: rapid reset by
    /// other means. A stream that ends in order earns one. 1,000, and 100 a second: a client that
    /// has not yet seen our limit of streams may well exceed it by hundreds.
    pub(crate) stream_errors: Allowance,

    /// PING, and acknowledgements of none: CVE-2019-9512. A frame of content in either direction
    /// earns one, since estimators of bandwidth ping as often as they receive. 1,000, and 100 a
    /// second.
    pub(crate) pings: Allowance,

    /// SETTINGS, and acknowledgements of none: CVE-2019-9515. Applying them walks every stream. 100,
    /// and 10 a second: most peers send them once.
    pub(crate) settings: Allowance,

    /// DATA, HEADERS and CONTINUATION that carry nothing and end nothing: CVE-2019-9518. A frame of
    /// content earns one. 1,000, and 10 a second.
    pub(crate) empty_frames: Allowance,

    /// Header lists over the limit, which are decoded in vain: the "HPACK bomb". 100, and 1 a second.
    pub(crate) header_lists: Allowance,

    /// WINDOW_UPDATEs of fewer than 256 octets: with a window of a few octets at a time the peer
    /// makes us send a frame for each ("data dribble", CVE-2019-9511). A frame of content earns one,
    /// since small messages may each be returned on their own. 1,000, and 100 a second.
    pub(crate) window_updates: Allowance,

    /// Frames without effect: PRIORITY, types unknown, frames of streams long closed, GOAWAY again.
    /// A frame of content earns one. 10,000, and 1,000 a second: they cost no more than to be read.
    pub(crate) ignored_frames: Allowance,

    /// CONTINUATION frames in one header block: CVE-2024-27316. 1,100: what the default limit of a
    /// header list takes in frames of 16,384 octets, and some.
    pub(crate) continuations: u32,

    /// Acknowledgements and resets that wait because the peer does not read: CVE-2019-9512 to 9515.
    /// 1,000.
    pub(crate) queued_control: u32,

    /// How much DATA may wait while the peer opens no window: CVE-2019-9517. It takes both this
    /// much and [`stall`](Self::stall) to spend the budget, because a single slow reader is no
    /// attack. 16 MiB.
    pub(crate) stalled_octets: usize,

    /// How long that much may wait without an octet of DATA going out: 60 seconds.
    pub(crate) stall: Duration,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        let allowance = |burst, per_second| Allowance { burst, per_second };
        Self {
            resets: allowance(1_000, 100),
            stream_errors: allowance(1_000, 100),
            pings: allowance(1_000, 100),
            settings: allowance(100, 10),
            empty_frames: allowance(1_000, 10),
            header_lists: allowance(100, 1),
            window_updates: allowance(1_000, 100),
            ignored_frames: allowance(10_000, 1_000),
            continuations: 1_100,
            queued_control: 1_000,
            stalled_octets: 16 << 20,
            stall: Duration::from_secs(60),
        }
    }
}

/// A WINDOW_UPDATE below this is a tiny one.
pub(super) const TINY_WINDOW_UPDATE: u32 = 256;

/// The peer has spent a budget.
pub(super) const fn spent(name: &'static str) -> ConnectionError {
    ConnectionError {
        code: ErrorCode::ENHANCE_YOUR_CALM,
        reason: name,
    }
}

/// What the connection has achieved: this is what earns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Frames with content in either direction.
    pub(super) frames: u64,
    /// Streams that ended in order.
    pub(super) streams: u64,
}

/// What earns an [`Allowance`] back.
#[derive(Clone, Copy, Debug)]
enum EarnedBy {
    Nothing,
    Frames,
    Streams,
}

/// One budget.
///
/// It is filled up only when it is found empty, so that spending is a decrement: it never grants more
/// than burst, rate and earnings together.
#[derive(Debug)]
pub(super) struct Budget {
    name: &'static str,
    allowance: Allowance,
    earned_by: EarnedBy,
    left: u32,
    filled_at: Option<Instant>,
    filled_with: u64,
}

impl Budget {
    const fn new(name: &'static str, allowance: Allowance, earned_by: EarnedBy) -> Self {
        Self {
            name,
            allowance,
            earned_by,
            left: allowance.burst,
            filled_at: None,
            filled_with: 0,
        }
    }

    /// Spends one.
    pub(super) fn spend(
        &mut self,
        now: Instant,
        progress: Progress,
    ) -> Result<(), ConnectionError> {
        let since = *self.filled_at.get_or_insert(now);
        if self.left == 0 {
            self.fill(now, since, progress);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(spent(self.name)),
        }
    }

    fn fill(&mut self, now: Instant, since: Instant, progress: Progress) {
        let achieved = match self.earned_by {
            EarnedBy::Nothing => 0,
            EarnedBy::Frames => progress.frames,
            EarnedBy::Streams => progress.streams,
        };
        let elapsed = now.saturating_duration_since(since).as_micros();
        let by_time = elapsed * u128::from(self.allowance.per_second) / 1_000_000;
        let by_work = u128::from(achieved - self.filled_with);
        let gained = (by_time + by_work).min(u128::from(self.allowance.burst)) as u32;
        if gained > 0 {
            // Less than a whole one is not lost: the time goes on counting from where it did.
            self.filled_at = Some(now);
            self.filled_with = achieved;
            self.left = gained;
        }
    }
}

/// The budgets of a connection that are [`Allowance`]s; the fields are those of [`BudgetConfig`].
#[derive(Debug)]
pub(super) struct Budgets {
    pub(super) resets: Budget,
    pub(super) stream_errors: Budget,
    pub(super) pings: Budget,
    pub(super) settings: Budget,
    pub(super) empty_frames: Budget,
    pub(super) header_lists: Budget,
    pub(super) window_updates: Budget,
    pub(super) ignored_frames: Budget,
}

impl Budgets {
    /// Full budgets.
    pub(super) const fn new(config: &BudgetConfig) -> Self {
        use EarnedBy::{Frames, Nothing, Streams};
        Self {
            resets: Budget::new("resets", config.resets, Streams),
            stream_errors: Budget::new("stream_errors", config.stream_errors, Streams),
            pings: Budget::new("pings", config.pings, Frames),
            settings: Budget::new("settings", config.settings, Nothing),
            empty_frames: Budget::new("empty_frames", config.empty_frames, Frames),
            header_lists: Budget::new("header_lists", config.header_lists, Nothing),
            window_updates: Budget::new("window_updates", config.window_updates, Frames),
            ignored_frames: Budget::new("ignored_frames", config.ignored_frames, Frames),
        }
    }
}

/// Watches for DATA that waits while nothing goes out.
#[derive(Debug, Default)]
pub(super) struct StallWatch {
    since: Option<Instant>,
    octets_sent: u64,
}

impl StallWatch {
    /// Looks at how much DATA waits, and at how much has ever been sent.
    #[inline]
    pub(super) fn observe(
        &mut self,
        config: &BudgetConfig,
        queued: usize,
        octets_sent: u64,
        now: Instant,
    ) -> Result<(), ConnectionError> {
        if queued < config.stalled_octets {
            self.since = None;
            return Ok(());
        }
        match self.since {
            Some(since) if octets_sent == self.octets_sent => {
                if now.saturating_duration_since(since) >= config.stall {
                    return Err(spent("stalled_octets"));
                }
            }
            _ => self.since = Some(now),
        }
        self.octets_sent = octets_sent;
        Ok(())
    }

    /// When to look again at the latest.
    pub(super) fn deadline(&self, config: &BudgetConfig) -> Option<Instant> {
        self.since?.checked_add(config.stall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Progress = Progress {
        frames: 0,
        streams: 0,
    };

    fn budget(earned_by: EarnedBy) -> Budget {
        let allowance = Allowance {
            burst: 3,
            per_second: 2,
        };
        Budget::new("test", allowance, earned_by)
    }

    fn spend_all(budget: &mut Budget, now: Instant, progress: Progress) -> u32 {
        let mut spent = 0;
        while budget.spend(now, progress).is_ok() {
            spent += 1;
        }
        spent
    }

    #[test]
    fn a_burst_can_be_spent_and_no_more() {
        let mut budget = budget(EarnedBy::Nothing);
        let now = Instant::now();
        assert_eq!(spend_all(&mut budget, now, NOTHING), 3);
        assert_eq!(budget.spend(now, NOTHING), Err(spent("test")));
    }

    #[test]
    fn time_gives_back_up_to_a_burst() {
        let mut budget = budget(EarnedBy::Nothing);
        let now = Instant::now();
        spend_all(&mut budget, now, NOTHING);
        let later = now + Duration::from_millis(1_500);
        assert_eq!(spend_all(&mut budget, later, NOTHING), 3);
        let much_later = later + Duration::from_secs(1_000);
        assert_eq!(spend_all(&mut budget, much_later, NOTHING), 3);
    }

    #[test]
    fn a_part_of_one_is_not_lost() {
        let mut budget = budget(EarnedBy::Nothing);
        let now = Instant::now();
        spend_all(&mut budget, now, NOTHING);
        assert!(
            budget
                .spend(now + Duration::from_millis(300), NOTHING)
                .is_err()
        );
        assert!(
            budget
                .spend(now + Duration::from_millis(600), NOTHING)
                .is_ok()
        );
    }

    #[test]
    fn work_gives_back_one_for_one() {
        let mut budget = budget(EarnedBy::Streams);
        let now = Instant::now();
        spend_all(&mut budget, now, NOTHING);
        let progress = Progress {
            frames: 100,
            streams: 2,
        };
        assert_eq!(spend_all(&mut budget, now, progress), 2);
        assert_eq!(spend_all(&mut budget, now, progress), 0);
    }

    #[test]
    fn much_waiting_for_long_is_a_stall() {
        let config = BudgetConfig::default();
        let (much, start) = (config.stalled_octets, Instant::now());
        let mut watch = StallWatch::default();
        assert_eq!(watch.observe(&config, much, 10, start), Ok(()));
        assert_eq!(watch.deadline(&config), Some(start + config.stall));
        assert!(
            watch
                .observe(&config, much, 10, start + config.stall)
                .is_err()
        );
    }

    #[test]
    fn an_octet_of_progress_or_a_shorter_queue_is_no_stall() {
        let config = BudgetConfig::default();
        let (much, start) = (config.stalled_octets, Instant::now());
        let later = start + config.stall;
        let mut watch = StallWatch::default();
        assert_eq!(watch.observe(&config, much, 10, start), Ok(()));
        assert_eq!(watch.observe(&config, much, 11, later), Ok(()));
        assert_eq!(watch.deadline(&config), Some(later + config.stall));
        assert_eq!(
            watch.observe(&config, much - 1, 11, later + config.stall),
            Ok(())
        );
        assert_eq!(watch.deadline(&config), None);
    }
}
