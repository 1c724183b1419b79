//! Bounds on what a peer may do that costs it little and us much.
//!
//! Each kind of excess has a budget. Spending one more than there is ends the connection with
//! GOAWAY ENHANCE_YOUR_CALM, and the budget's name as debug data. Most budgets are an
//! [`Allowance`]: a burst, a rate, and what the traffic of the connection earns on top.
//!
//! The earnings are derived from the most frames that our own traffic can cause an honest peer to
//! send, an intermediary that splits what it forwards included. They are not limited by the burst:
//! a peer may answer thousands of our frames at once. So a peer cannot spend a budget by answering
//! what we send, however it does; and a hostile peer spends it within burst, rate and earnings.

use std::time::{Duration, Instant};

use super::error::{ConnectionError, ErrorCode};

/// How much of something a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How often at once.
    pub burst: u32,
    /// How often in a second, in the long run.
    pub per_second: u32,
}

/// Every budget. The defaults are several times what implementations that mean well have been seen
/// to do, and a small part of what hurts.
#[derive(Clone, Copy, Debug)]
pub struct BudgetConfig {
    /// RST_STREAM from the peer within [`RAPID`] of the request, before response headers were sent:
    /// "rapid reset", CVE-2023-44487. 10,000, and 1,000 a second.
    ///
    /// Clients cancel calls whose deadline passes and streams that they have read enough of, and a
    /// proxy passes on the cancellations of all its clients. None of that is rapid: such a stream
    /// was open for a while and counted against the limit of streams, or had its response begun. A
    /// server that is late reads requests and resets together; for that there is the burst. A stream
    /// that ends in order earns one.
    pub resets: Allowance,

    /// Streams that the peer makes us reset or refuse by what it does wrong on them: rapid reset by
    /// other means. 1,000, and 100 a second.
    ///
    /// An honest peer exceeds the limit of streams only before it has read our first SETTINGS, by
    /// some hundreds. A stream that ends in order earns one, for a proxy that forwards the requests
    /// of a few bad clients among many others.
    pub stream_errors: Allowance,

    /// PING, and acknowledgements of none: CVE-2019-9512. 1,000, and 100 a second.
    ///
    /// Estimators of bandwidth ping as often as they receive, at most once for each piece in which
    /// they read a frame. So a frame of content in either direction earns two, one for each part
    /// that the end of a read buffer makes of it, and each 1,024 octets that we send one more.
    pub pings: Allowance,

    /// SETTINGS, and acknowledgements of none: CVE-2019-9515. Applying them walks every stream.
    /// 100, and 10 a second.
    ///
    /// Most peers send them once in a connection, also after a reload. Peers that raise their window
    /// while our DATA fills it send one for each window's worth at most, so 65,535 octets that we
    /// send earn one.
    pub settings: Allowance,

    /// DATA, HEADERS and CONTINUATION that carry nothing and end nothing: CVE-2019-9518. 1,000, and
    /// 10 a second.
    ///
    /// Our traffic causes none. A peer may flush once for each write of its application, so a frame
    /// of content earns one, and a stream that ends in order one for its beginning. DATA with
    /// END_STREAM and DATA of an octet are no empty frames, so a source that writes little at a time
    /// spends nothing.
    pub empty_frames: Allowance,

    /// Header lists over the limit, which are decoded in vain: the "HPACK bomb". 1,000, and 100 a
    /// second, like other errors of streams.
    ///
    /// A request of ours causes a response and its trailers, and both may be over the limit: a
    /// header list that we send earns two. On a server a stream that ends in order earns one, for
    /// the other clients of a proxy.
    pub header_lists: Allowance,

    /// WINDOW_UPDATEs of fewer than 256 octets: with a window of a few octets at a time the peer
    /// makes us send a frame for each ("data dribble", CVE-2019-9511). 1,000, and 100 a second.
    ///
    /// An honest peer returns what it was sent, in as many parts as it likes: HAProxy returns a DATA
    /// frame of 16,384 octets as 16,320 and 64. The smallest part is an octet, and each octet is
    /// returned on its stream and on the connection, so an octet that we send earns two. The budget
    /// is spent by windows that grow by little without anything having been sent.
    pub window_updates: Allowance,

    /// Frames without effect: PRIORITY, types unknown, frames of streams long closed, GOAWAY again.
    /// 10,000, and 1,000 a second: they cost no more than to be read.
    ///
    /// A stream that we have ended or cancelled still gets what was on the way: window updates for
    /// what we sent, one for an octet at most; response headers, trailers and RST_STREAM, four with
    /// an informational response, so that a frame of content, our HEADERS among them, earns four,
    /// and so does a stream that was reset or refused. A stream that ends in order earns ten, for
    /// PRIORITY, PRIORITY_UPDATE and reserved types that browsers and older clients send with each.
    /// DATA for a stream that we reset is counted only beyond the window that the stream had.
    pub ignored_frames: Allowance,

    /// CONTINUATION frames in one header block: CVE-2024-27316. 1,100: what the default limit of a
    /// header list takes in frames of 16,384 octets, and some. Our traffic has no part in it.
    pub continuations: u32,

    /// Acknowledgements and resets that wait because the peer does not read: CVE-2019-9512 to 9515.
    /// 20,000, some 340 KB.
    ///
    /// They wait behind the output that was there before. A batch of 262,144 octets holds up to
    /// 18,724 frames of a small message each, and a peer may ping for each of them while the rest of
    /// the batch is being written.
    pub queued_control: u32,

    /// The amount of DATA that may wait while the peer opens no window, on a server: CVE-2019-9517. It takes
    /// both this much and [`stall`](Self::stall) to spend the budget, because a single slow reader
    /// is no attack. On a client it is the application itself that queues. 16 MiB.
    pub stalled_octets: usize,

    /// The time for which that much may wait without an octet of DATA going out: 5 minutes, as proxies give
    /// to a stream. A consumer that pauses is no attack.
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

/// A stream that is reset sooner after its request may not have done any work yet. Shorter than any
/// deadline in use; a peer that waits for longer is bound by the limit of streams.
pub(super) const RAPID: Duration = Duration::from_millis(10);

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
    /// Frames with content in either direction, header lists that were sent included.
    pub(super) frames: u64,
    /// Header lists that were sent.
    pub(super) headers_sent: u64,
    /// Octets of DATA that were sent.
    pub(super) octets_sent: u64,
    /// Streams that ended in order.
    pub(super) streams: u64,
    /// Streams that were reset or refused.
    pub(super) reset: u64,
}

/// The earnings of a budget by what a connection has achieved. Never falls.
type Earned = fn(&Progress) -> u64;

/// One budget.
///
/// It is filled up only when it is found empty, so that spending is a decrement: it never grants
/// more than burst, rate and earnings together.
#[derive(Debug)]
pub(super) struct Budget {
    name: &'static str,
    allowance: Allowance,
    earned: Earned,
    left: u64,
    filled_at: Option<Instant>,
    earned_before: u64,
}

impl Budget {
    const fn new(name: &'static str, allowance: Allowance, earned: Earned) -> Self {
        Self {
            name,
            allowance,
            earned,
            left: allowance.burst as u64,
            filled_at: None,
            earned_before: 0,
        }
    }

    /// Spends one.
    pub(super) fn spend(
        &mut self,
        now: Instant,
        progress: &Progress,
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

    fn fill(&mut self, now: Instant, since: Instant, progress: &Progress) {
        let earned = (self.earned)(progress);
        let by_work = earned.saturating_sub(self.earned_before);
        self.earned_before = earned;
        let Allowance { burst, per_second } = self.allowance;
        let elapsed = now.saturating_duration_since(since).as_micros();
        let by_time = elapsed * u128::from(per_second) / 1_000_000;
        if by_time >= u128::from(burst) {
            self.filled_at = Some(now);
            self.left = u64::from(burst) + by_work;
            return;
        }
        // Less than a whole one is not lost: the time goes on counting from where it did.
        let by_time = by_time as u32;
        if by_time > 0 {
            let counted = Duration::from_secs(1) * by_time / per_second;
            self.filled_at = Some(since + counted);
        }
        self.left = u64::from(by_time) + by_work;
    }
}

/// The budgets of a connection that are [`Allowance`]s; the fields are those of [`BudgetConfig`],
/// which says how the earnings are derived.
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
        Self {
            resets: Budget::new("resets", config.resets, |done| done.streams),
            stream_errors: Budget::new("stream_errors", config.stream_errors, |done| done.streams),
            pings: Budget::new("pings", config.pings, |done| {
                2 * done.frames + done.octets_sent / 1_024
            }),
            settings: Budget::new("settings", config.settings, |done| {
                done.octets_sent / 65_535
            }),
            empty_frames: Budget::new("empty_frames", config.empty_frames, |done| {
                done.frames + done.streams
            }),
            header_lists: Budget::new("header_lists", config.header_lists, |done| {
                2 * done.headers_sent + done.streams
            }),
            window_updates: Budget::new("window_updates", config.window_updates, |done| {
                2 * done.octets_sent
            }),
            ignored_frames: Budget::new("ignored_frames", config.ignored_frames, |done| {
                4 * (done.frames + done.reset) + 10 * done.streams + done.octets_sent
            }),
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
        headers_sent: 0,
        octets_sent: 0,
        streams: 0,
        reset: 0,
    };

    const TEST: Allowance = Allowance {
        burst: 3,
        per_second: 2,
    };

    fn without_earnings() -> Budget {
        Budget::new("test", TEST, |_| 0)
    }

    fn earned_by_streams() -> Budget {
        Budget::new("test", TEST, |done| done.streams)
    }

    fn streams(streams: u64) -> Progress {
        Progress { streams, ..NOTHING }
    }

    fn spend_all(budget: &mut Budget, now: Instant, progress: Progress) -> u32 {
        let mut spent = 0;
        while budget.spend(now, &progress).is_ok() {
            spent += 1;
        }
        spent
    }

    #[test]
    fn a_burst_can_be_spent_and_no_more() {
        let mut budget = without_earnings();
        let now = Instant::now();
        assert_eq!(spend_all(&mut budget, now, NOTHING), 3);
        assert_eq!(budget.spend(now, &NOTHING), Err(spent("test")));
    }

    #[test]
    fn time_gives_back_up_to_a_burst() {
        let mut budget = without_earnings();
        let now = Instant::now();
        spend_all(&mut budget, now, NOTHING);
        let later = now + Duration::from_millis(1_500);
        assert_eq!(spend_all(&mut budget, later, NOTHING), 3);
        let much_later = later + Duration::from_secs(1_000);
        assert_eq!(spend_all(&mut budget, much_later, NOTHING), 3);
    }

    #[test]
    fn a_part_of_one_is_not_lost() {
        let mut budget = without_earnings();
        let now = Instant::now();
        spend_all(&mut budget, now, NOTHING);
        for (millis, spent) in [
            (300, 0),
            (600, 1),
            (900, 0),
            (1_000, 1),
            (1_499, 0),
            (1_500, 1),
        ] {
            let later = now + Duration::from_millis(millis);
            assert_eq!(spend_all(&mut budget, later, NOTHING), spent, "{millis}");
        }
    }

    #[test]
    fn time_counts_on_while_work_is_earned() {
        let mut budget = earned_by_streams();
        let start = Instant::now();
        spend_all(&mut budget, start, NOTHING);
        let spent: u32 = (1..=100)
            .map(|n| {
                let now = start + Duration::from_millis(100) * n;
                spend_all(&mut budget, now, streams(u64::from(n)))
            })
            .sum();
        assert_eq!(spent, 100 + 2 * 10);
    }

    #[test]
    fn work_gives_back_as_much_as_was_earned_beyond_a_burst_too() {
        let mut budget = earned_by_streams();
        let now = Instant::now();
        spend_all(&mut budget, now, NOTHING);
        assert_eq!(spend_all(&mut budget, now, streams(2)), 2);
        assert_eq!(spend_all(&mut budget, now, streams(2)), 0);
        assert_eq!(spend_all(&mut budget, now, streams(10_002)), 10_000);
    }

    #[test]
    fn the_earnings_are_what_each_budget_says() {
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
        let mut earned = |budget: fn(&mut Budgets) -> &mut Budget| {
            spend_all(budget(&mut budgets), now, done) - one.burst
        };
        assert_eq!(earned(|all| &mut all.resets), 5);
        assert_eq!(earned(|all| &mut all.stream_errors), 5);
        assert_eq!(earned(|all| &mut all.pings), 6 + 127);
        assert_eq!(earned(|all| &mut all.settings), 2);
        assert_eq!(earned(|all| &mut all.empty_frames), 8);
        assert_eq!(earned(|all| &mut all.header_lists), 9);
        assert_eq!(earned(|all| &mut all.window_updates), 262_140);
        assert_eq!(earned(|all| &mut all.ignored_frames), 40 + 50 + 131_070);
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
