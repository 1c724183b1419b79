//! Limits on actions of a peer that are cheap for the peer and expensive for us (RFC 9113 section
//! 10.5).
//!
//! Each kind of action has a budget. A peer that exceeds a budget loses the connection with GOAWAY
//! ENHANCE_YOUR_CALM and the budget's name as debug data. Most budgets are an [`Allowance`]: a
//! burst and a rate, plus earnings from the connection's traffic.
//!
//! The earnings are the most frames that our own traffic can cause an honest peer to send,
//! including an intermediary that splits the data that it forwards. They are not limited by the
//! burst, because a peer may respond to thousands of our frames at once. So an honest peer never
//! exceeds a budget by responding to our frames, and a hostile peer is limited to burst, rate and
//! earnings.

use std::time::{Duration, Instant};

use super::error::{ConnectionError, ErrorCode};

/// The number of times that a peer may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The maximum number at once.
    pub burst: u32,
    /// The long-term maximum number per second.
    pub per_second: u32,
}

/// The budgets of a connection.
///
/// The defaults are several times the observed behavior of honest implementations, and a small part
/// of what harms an endpoint. "Earns one" means that the budget grows by one.
#[derive(Clone, Copy, Debug)]
pub struct BudgetConfig {
    /// RST_STREAM from the peer within 10 ms of the request and before the response headers ("rapid
    /// reset", CVE-2023-44487). Default: a burst of 10,000, and 1,000 per second.
    ///
    /// Clients cancel calls when a deadline passes and when they have read enough of a stream; a
    /// proxy forwards the cancellations of all its clients. These resets are not rapid: the stream
    /// was open for a while and counted against the limit of concurrent streams, or its response
    /// had begun. The burst is for a slow server, which reads requests and their resets together. A
    /// stream that ends normally earns one.
    pub resets: Allowance,

    /// Streams that we reset or refuse because of the peer's errors, which is another form of rapid
    /// reset. Default: a burst of 1,000, and 100 per second.
    ///
    /// An honest peer exceeds the limit of concurrent streams only before it has read our first
    /// SETTINGS, by some hundreds. A stream that ends normally earns one, for a proxy that forwards
    /// the requests of a few faulty clients among many others.
    pub stream_errors: Allowance,

    /// PINGs, and acknowledgements without a PING (CVE-2019-9512). Default: a burst of 1,000, and
    /// 100 per second.
    ///
    /// Bandwidth estimators send a PING at most once for each read of a part of a frame. A read
    /// buffer's end can split a frame into two parts, so a content frame in either direction earns
    /// two. Each 1,024 octets that we send earn one more.
    pub pings: Allowance,

    /// SETTINGS, and acknowledgements without SETTINGS (CVE-2019-9515). Applying SETTINGS visits
    /// every stream. Default: a burst of 100, and 10 per second.
    ///
    /// Most peers send SETTINGS once per connection, or again after a reload. Peers that raise
    /// their window while our DATA fills it send SETTINGS at most once per window, so 65,535 octets
    /// that we send earn one.
    pub settings: Allowance,

    /// DATA, HEADERS and CONTINUATION frames without content that end nothing (CVE-2019-9518).
    /// Default: a burst of 1,000, and 10 per second.
    ///
    /// Our traffic causes no such frames. A peer may flush once for each write of its application,
    /// so a content frame earns one. A stream that ends normally earns one for its beginning. DATA
    /// with END_STREAM and DATA of one octet are not empty, so a peer with small writes spends
    /// nothing.
    pub empty_frames: Allowance,

    /// Header lists above the size limit, which must be decoded nevertheless (the "HPACK bomb").
    /// Default: a burst of 1,000, and 100 per second, as for other stream errors.
    ///
    /// A request causes a response head and trailers, and both may exceed the limit, so a header
    /// list that we send earns two. A stream that ends normally earns one, for the other clients of
    /// a proxy.
    pub header_lists: Allowance,

    /// WINDOW_UPDATEs of fewer than 256 octets ("data dribble", CVE-2019-9511). With a window of a
    /// few octets at a time, the peer makes us send one frame for each update. Default: a burst of
    /// 1,000, and 100 per second.
    ///
    /// An honest peer returns the octets that it received, in any number of parts; HAProxy returns
    /// a DATA frame of 16,384 octets as 16,320 and 64. The smallest part is one octet, and each
    /// octet is returned on its stream and on the connection, so each octet that we send earns two.
    /// Only updates without any sent octets exceed the budget.
    pub window_updates: Allowance,

    /// Frames without effect: PRIORITY, unknown types, frames of streams closed long ago, repeated
    /// GOAWAYs. Default: a burst of 10,000, and 1,000 per second, because they cost only the read.
    ///
    /// A stream that we ended or cancelled still receives frames that were in flight. These are one
    /// window update per sent octet at most, and up to four other frames: an informational
    /// response, response headers, trailers and RST_STREAM. So a sent octet earns one; a content
    /// frame, which includes our HEADERS, earns four; and a stream that was reset or refused earns
    /// four. A stream that ends normally earns ten, for PRIORITY, PRIORITY_UPDATE and reserved
    /// types, which browsers and older clients send with each stream. DATA on a stream that we
    /// reset counts only beyond the stream's window.
    pub ignored_frames: Allowance,

    /// The maximum number of CONTINUATION frames in one header block (CVE-2024-27316). Default:
    /// 1,100, slightly more than the default limit of a header list needs in frames of 16,384
    /// octets. There are no earnings.
    pub continuations: u32,

    /// The maximum number of acknowledgements and resets that wait because the peer does not read
    /// (CVE-2019-9512 to CVE-2019-9515). Default: 20,000, about 340 KB.
    ///
    /// They wait behind earlier output. A batch of 262,144 octets holds up to 18,724 frames of one
    /// small message each, and a peer may send a PING for each of them while the rest of the batch
    /// is being written.
    pub queued_control: u32,

    /// The amount of DATA that may wait on a server while the peer opens no window, in octets
    /// (CVE-2019-9517). Default: 16 MiB.
    ///
    /// The connection ends only if this much DATA waits for the time [`stall`](Self::stall),
    /// because a single slow reader is not an attack. On a client there is no limit: its own
    /// application queues the data.
    pub stalled_octets: usize,

    /// The maximum time for which [`stalled_octets`](Self::stalled_octets) may wait while no DATA
    /// is sent. Default: 5 minutes, as in proxies, because a consumer that pauses is not an attack.
    pub stall: Duration,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        let allowance = |burst, per_second| Allowance { burst, per_second };
        Self {
            resets: allowance(10_000, 1_000),
            stream_errors: allowance(1_000, 100),
            pings: allowance(1_000, 100),
            settings: allowance(100, 10),
            empty_frames: allowance(1_000, 10),
            header_lists: allowance(1_000, 100),
            window_updates: allowance(1_000, 100),
            ignored_frames: allowance(10_000, 1_000),
            continuations: 1_100,
            queued_control: 20_000,
            stalled_octets: 16 << 20,
            stall: Duration::from_secs(5 * 60),
        }
    }
}

/// The age below which a reset of a stream counts as rapid.
///
/// It is shorter than any deadline in practice. A peer that waits longer is limited by the maximum
/// number of concurrent streams.
pub(super) const RAPID: Duration = Duration::from_millis(10);

/// The increment, in octets, below which a WINDOW_UPDATE counts against its budget.
pub(super) const TINY_WINDOW_UPDATE: u32 = 256;

/// Creates the error for an exceeded budget.
pub(super) const fn spent(name: &'static str) -> ConnectionError {
    ConnectionError {
        code: ErrorCode::ENHANCE_YOUR_CALM,
        reason: name,
    }
}

/// The traffic of a connection, from which the earnings are computed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Content frames in either direction, including sent header lists.
    pub(super) frames: u64,
    /// Sent header lists.
    pub(super) headers_sent: u64,
    /// Sent octets of DATA.
    pub(super) octets_sent: u64,
    /// Streams that ended with END_STREAM in both directions.
    pub(super) streams: u64,
    /// Streams that were reset or refused.
    pub(super) reset: u64,
}

/// A kind of action that has a budget. [`BudgetConfig`] documents each and its earnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BudgetKind {
    Resets,
    StreamErrors,
    Pings,
    Settings,
    EmptyFrames,
    HeaderLists,
    WindowUpdates,
    IgnoredFrames,
}

impl BudgetKind {
    const ALL: [Self; 8] = [
        Self::Resets,
        Self::StreamErrors,
        Self::Pings,
        Self::Settings,
        Self::EmptyFrames,
        Self::HeaderLists,
        Self::WindowUpdates,
        Self::IgnoredFrames,
    ];

    /// The name of the budget, which is that of its field in [`BudgetConfig`].
    const fn name(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::StreamErrors => "stream_errors",
            Self::Pings => "pings",
            Self::Settings => "settings",
            Self::EmptyFrames => "empty_frames",
            Self::HeaderLists => "header_lists",
            Self::WindowUpdates => "window_updates",
            Self::IgnoredFrames => "ignored_frames",
        }
    }

    const fn allowance(self, config: &BudgetConfig) -> Allowance {
        match self {
            Self::Resets => config.resets,
            Self::StreamErrors => config.stream_errors,
            Self::Pings => config.pings,
            Self::Settings => config.settings,
            Self::EmptyFrames => config.empty_frames,
            Self::HeaderLists => config.header_lists,
            Self::WindowUpdates => config.window_updates,
            Self::IgnoredFrames => config.ignored_frames,
        }
    }

    /// Returns the earnings from all the traffic of a connection. They never decrease.
    const fn earned(self, done: &Progress) -> u64 {
        match self {
            Self::Resets | Self::StreamErrors => done.streams,
            Self::Pings => 2 * done.frames + done.octets_sent / 1_024,
            Self::Settings => done.octets_sent / 65_535,
            Self::EmptyFrames => done.frames + done.streams,
            Self::HeaderLists => 2 * done.headers_sent + done.streams,
            Self::WindowUpdates => 2 * done.octets_sent,
            Self::IgnoredFrames => {
                4 * (done.frames + done.reset) + 10 * done.streams + done.octets_sent
            }
        }
    }
}

/// The rest of one budget.
///
/// It is refilled only when it is empty, so that spending is usually one decrement. It never grants
/// more than burst, rate and earnings together.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u64,
    /// The time up to which the rate has been granted; `None` before the first use.
    filled_at: Option<Instant>,
    /// The earnings that have been granted.
    earned_before: u64,
}

impl Budget {
    const fn full(allowance: Allowance) -> Self {
        Self {
            left: allowance.burst as u64,
            filled_at: None,
            earned_before: 0,
        }
    }

    /// Spends one unit. Returns `false` if the budget is empty and cannot be refilled. `terms`
    /// returns its allowance and its earnings up to now.
    fn spend(&mut self, now: Instant, terms: impl FnOnce() -> (Allowance, u64)) -> bool {
        let since = *self.filled_at.get_or_insert(now);
        if self.left == 0 {
            let (allowance, earned) = terms();
            self.fill(now, since, allowance, earned);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn fill(&mut self, now: Instant, since: Instant, allowance: Allowance, earned: u64) {
        let by_work = earned.saturating_sub(self.earned_before);
        self.earned_before = earned;
        let Allowance { burst, per_second } = allowance;
        let elapsed = now.saturating_duration_since(since).as_micros();
        let by_time = elapsed * u128::from(per_second) / 1_000_000;
        if by_time >= u128::from(burst) {
            self.filled_at = Some(now);
            self.left = u64::from(burst) + by_work;
            return;
        }
        // A fraction of a unit is not lost: only the time of whole units is taken.
        let by_time = by_time as u32;
        if by_time > 0 {
            let counted = Duration::from_secs(1) * by_time / per_second;
            self.filled_at = Some(since + counted);
        }
        self.left = u64::from(by_time) + by_work;
    }
}

/// The budgets of a connection that are [`Allowance`]s.
#[derive(Debug)]
pub(super) struct Budgets([Budget; BudgetKind::ALL.len()]);

impl Budgets {
    /// Creates full budgets.
    pub(super) fn new(config: &BudgetConfig) -> Self {
        Self(BudgetKind::ALL.map(|kind| Budget::full(kind.allowance(config))))
    }

    /// Spends one unit. Fails if the budget is empty and cannot be refilled.
    pub(super) fn spend(
        &mut self,
        kind: BudgetKind,
        config: &BudgetConfig,
        now: Instant,
        done: &Progress,
    ) -> Result<(), ConnectionError> {
        let terms = || (kind.allowance(config), kind.earned(done));
        if self.0[kind as usize].spend(now, terms) {
            Ok(())
        } else {
            Err(spent(kind.name()))
        }
    }
}

/// The detector of DATA that waits while no DATA is sent.
#[derive(Debug, Default)]
pub(super) struct StallWatch {
    /// The start of the stall; `None` while little DATA waits.
    since: Option<Instant>,
    octets_sent: u64,
}

impl StallWatch {
    /// Updates the state with the waiting octets and the total of sent octets. Fails if the stall
    /// has lasted too long.
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

    /// Returns the time at which [`observe`](Self::observe) must be called at the latest.
    #[inline]
    pub(super) fn deadline(&self, config: &BudgetConfig) -> Option<Instant> {
        self.since?.checked_add(config.stall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Allowance = Allowance {
        burst: 3,
        per_second: 2,
    };

    /// Spends all of a budget with the allowance [`TEST`]. Returns the number of units.
    fn spend_all(budget: &mut Budget, now: Instant, earned: u64) -> u32 {
        let mut spent = 0;
        while budget.spend(now, || (TEST, earned)) {
            spent += 1;
        }
        spent
    }

    #[test]
    fn a_burst_and_no_more_can_be_spent() {
        let mut budget = Budget::full(TEST);
        let now = Instant::now();
        assert_eq!(spend_all(&mut budget, now, 0), 3);
        assert!(!budget.spend(now, || (TEST, 0)));
    }

    #[test]
    fn time_refills_up_to_a_burst() {
        let mut budget = Budget::full(TEST);
        let now = Instant::now();
        spend_all(&mut budget, now, 0);
        let later = now + Duration::from_millis(1_500);
        assert_eq!(spend_all(&mut budget, later, 0), 3);
        let much_later = later + Duration::from_secs(1_000);
        assert_eq!(spend_all(&mut budget, much_later, 0), 3);
    }

    #[test]
    fn a_fraction_of_a_unit_is_not_lost() {
        let mut budget = Budget::full(TEST);
        let now = Instant::now();
        spend_all(&mut budget, now, 0);
        for (millis, spent) in [
            (300, 0),
            (600, 1),
            (900, 0),
            (1_000, 1),
            (1_499, 0),
            (1_500, 1),
        ] {
            let later = now + Duration::from_millis(millis);
            assert_eq!(spend_all(&mut budget, later, 0), spent, "{millis}");
        }
    }

    #[test]
    fn the_rate_applies_in_addition_to_earnings() {
        let mut budget = Budget::full(TEST);
        let start = Instant::now();
        spend_all(&mut budget, start, 0);
        let spent: u32 = (1..=100)
            .map(|n| {
                let now = start + Duration::from_millis(100) * n;
                spend_all(&mut budget, now, u64::from(n))
            })
            .sum();
        assert_eq!(spent, 100 + 2 * 10);
    }

    #[test]
    fn earnings_are_not_limited_by_the_burst() {
        let mut budget = Budget::full(TEST);
        let now = Instant::now();
        spend_all(&mut budget, now, 0);
        assert_eq!(spend_all(&mut budget, now, 2), 2);
        assert_eq!(spend_all(&mut budget, now, 2), 0);
        assert_eq!(spend_all(&mut budget, now, 10_002), 10_000);
    }

    #[test]
    fn each_budget_has_its_documented_earnings() {
        let one = Allowance {
            burst: 1,
            per_second: 0,
        };
        let config = BudgetConfig {
            resets: one,
            stream_errors: one,
            pings: one,
            settings: one,
            empty_frames: one,
            header_lists: one,
            window_updates: one,
            ignored_frames: one,
            ..BudgetConfig::default()
        };
        let done = Progress {
            frames: 3,
            headers_sent: 2,
            octets_sent: 131_070,
            streams: 5,
            reset: 7,
        };
        let now = Instant::now();
        let mut budgets = Budgets::new(&config);
        let mut earned = |kind| {
            let mut spent = 0;
            while budgets.spend(kind, &config, now, &done).is_ok() {
                spent += 1;
            }
            assert_eq!(
                budgets.spend(kind, &config, now, &done),
                Err(super::spent(kind.name()))
            );
            spent - one.burst
        };
        assert_eq!(earned(BudgetKind::Resets), 5);
        assert_eq!(earned(BudgetKind::StreamErrors), 5);
        assert_eq!(earned(BudgetKind::Pings), 6 + 127);
        assert_eq!(earned(BudgetKind::Settings), 2);
        assert_eq!(earned(BudgetKind::EmptyFrames), 8);
        assert_eq!(earned(BudgetKind::HeaderLists), 9);
        assert_eq!(earned(BudgetKind::WindowUpdates), 262_140);
        assert_eq!(earned(BudgetKind::IgnoredFrames), 40 + 50 + 131_070);
    }

    #[test]
    fn many_octets_that_wait_for_long_are_a_stall() {
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
    fn an_octet_of_progress_or_a_shorter_queue_ends_a_stall() {
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
