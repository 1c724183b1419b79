//! The bandwidth-delay product of the path, to size the windows by.
//!
//! A PING is sent, and the flow-controlled octets that arrive until its acknowledgement are what
//! the path holds in a round trip. If that is most of the window, and the bandwidth is the highest
//! yet, the window is what limits it, and is raised. The rule is that of grpc-go, but for when a
//! measurement starts: with the connection's WINDOW_UPDATE, hence once a quarter of the window. A
//! path that carries less than that in a round trip cannot need a larger window, and small calls
//! are spared a PING each.

use std::time::Instant;

use super::flow::DEFAULT_WINDOW;

/// The payload of the PING: the one by which gRPC implementations know it.
pub(super) const PING: [u8; 8] = [0x02, 0x04, 0x10, 0x10, 0x09, 0x0e, 0x07, 0x07];

/// The largest estimate.
const MAX_BDP: u32 = 16 << 20;

/// The round trip time is a mean over this many measurements, and follows the newest afterwards.
const MEAN_OF: u32 = 10;

/// How closely it follows the newest.
const FOLLOW: f64 = 0.9;

/// How much of the window a measurement has to fill.
const FILLED: f64 = 0.66;

/// By how much the window is larger than what was measured.
const GROWTH: u64 = 2;

/// What a measurement is given in a round trip beyond the path's delay: the window opens while it
/// runs.
const RTT_SLACK: f64 = 1.5;

/// Measures, one PING at a time.
#[derive(Debug)]
pub(super) struct BdpEstimator {
    bdp: u32,
    max_bandwidth: f64,
    rtt: f64,
    measurements: u32,
    running: Option<Measurement>,
}

#[derive(Debug)]
struct Measurement {
    since: Instant,
    octets: u64,
}

impl BdpEstimator {
    /// An estimator for a connection with the default windows.
    pub(super) const fn new() -> Self {
        Self {
            bdp: DEFAULT_WINDOW,
            max_bandwidth: 0.0,
            rtt: 0.0,
            measurements: 0,
            running: None,
        }
    }

    /// Flow-controlled octets were received.
    #[inline]
    pub(super) fn received(&mut self, octets: u32) {
        if let Some(running) = &mut self.running {
            running.octets += u64::from(octets);
        }
    }

    /// The connection's window is being returned. Returns whether to send the [`PING`].
    pub(super) fn start(&mut self, now: Instant) -> bool {
        if self.running.is_some() || self.bdp == MAX_BDP {
            return false;
        }
        self.running = Some(Measurement {
            since: now,
            octets: 0,
        });
        true
    }

    /// The [`PING`] was acknowledged. Returns the new size of the windows, if they are to grow.
    pub(super) fn acknowledged(&mut self, now: Instant) -> Option<u32> {
        let Measurement { since, octets } = self.running.take()?;
        let sample = now.saturating_duration_since(since).as_secs_f64();
        self.measurements = self.measurements.saturating_add(1);
        self.rtt += if self.measurements < MEAN_OF {
            (sample - self.rtt) / f64::from(self.measurements)
        } else {
            (sample - self.rtt) * FOLLOW
        };
        if self.rtt <= 0.0 {
            return None;
        }
        let bandwidth = octets as f64 / (self.rtt * RTT_SLACK);
        if bandwidth < self.max_bandwidth {
            return None;
        }
        self.max_bandwidth = bandwidth;
        if (octets as f64) < FILLED * f64::from(self.bdp) {
            return None;
        }
        let bdp = (octets * GROWTH).min(u64::from(MAX_BDP)) as u32;
        if bdp <= self.bdp {
            return None;
        }
        self.bdp = bdp;
        Some(bdp)
    }

    /// Whether a [`PING`] is waiting for its acknowledgement.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A path that carries `octets` in each round trip of 10 ms.
    fn measure(estimator: &mut BdpEstimator, start: Instant, octets: u32) -> Option<u32> {
        assert!(estimator.start(start));
        estimator.received(octets);
        estimator.acknowledged(start + Duration::from_millis(10))
    }

    #[test]
    fn a_filled_window_grows_to_twice_what_arrived() {
        let mut estimator = BdpEstimator::new();
        assert_eq!(
            measure(&mut estimator, Instant::now(), 60_000),
            Some(120_000)
        );
    }

    #[test]
    fn a_window_that_is_not_filled_stays() {
        let mut estimator = BdpEstimator::new();
        assert_eq!(measure(&mut estimator, Instant::now(), 40_000), None);
    }

    #[test]
    fn a_lower_bandwidth_than_before_does_not_grow_the_window() {
        let mut estimator = BdpEstimator::new();
        let start = Instant::now();
        assert_eq!(measure(&mut estimator, start, 60_000), Some(120_000));
        assert!(estimator.start(start));
        estimator.received(100_000);
        assert_eq!(estimator.acknowledged(start + Duration::from_secs(1)), None);
    }

    #[test]
    fn the_window_stops_at_the_cap_and_the_pings_with_it() {
        let mut estimator = BdpEstimator::new();
        let start = Instant::now();
        assert_eq!(measure(&mut estimator, start, 1 << 30), Some(MAX_BDP));
        assert!(!estimator.start(start));
    }

    #[test]
    fn one_measurement_runs_at_a_time() {
        let mut estimator = BdpEstimator::new();
        let start = Instant::now();
        assert!(estimator.start(start));
        assert!(!estimator.start(start));
        assert_eq!(
            estimator.acknowledged(start + Duration::from_millis(1)),
            None
        );
        assert!(estimator.start(start));
    }

    #[test]
    fn an_acknowledgement_in_no_time_at_all_is_no_fault() {
        let mut estimator = BdpEstimator::new();
        let start = Instant::now();
        assert!(estimator.start(start));
        assert_eq!(estimator.acknowledged(start), None);
    }
}
