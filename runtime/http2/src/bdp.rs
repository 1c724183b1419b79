//! The estimator of the bandwidth-delay product (BDP), which sizes the receive windows.
//!
//! A measurement sends a PING and counts the flow-controlled octets that arrive until the
//! acknowledgement. If they fill most of the window, and the bandwidth is the highest so far, the
//! window is the limit and is raised. The rule is that of grpc-go's `bdp_estimator.go`, with one
//! difference: a measurement starts with the connection's WINDOW_UPDATE, that is, after a quarter
//! of the window. A path that carries less per round trip does not need a larger window, and small
//! calls cause no PING.

use std::time::Instant;

use super::flow::DEFAULT_WINDOW;

/// The payload of the PING. All gRPC implementations use it for this purpose.
pub(super) const PING: [u8; 8] = [0x02, 0x04, 0x10, 0x10, 0x09, 0x0e, 0x07, 0x07];

/// The maximum estimate, in octets: 16 MiB.
const MAX_BDP: u32 = 16 << 20;

/// The number of measurements over which the round-trip time is a plain mean. Afterwards it is a
/// weighted mean.
const RTT_SAMPLES: u32 = 10;

/// The weight of the newest measurement in the weighted mean.
const RTT_WEIGHT: f64 = 0.9;

/// The fraction of the estimate that a measurement must fill to raise it.
const FILLED_FRACTION: f64 = 0.66;

/// The ratio of the new window to the measured octets.
const GROWTH_FACTOR: u64 = 2;

/// The ratio of the time in which octets are counted to the round-trip time. The window opens while
/// a measurement runs.
const RTT_SLACK: f64 = 1.5;

/// An estimator with at most one measurement at a time.
#[derive(Debug)]
pub(super) struct BdpEstimator {
    /// The estimate, in octets.
    bdp: u32,
    /// The highest bandwidth so far, in octets per second.
    max_bandwidth: f64,
    /// The mean round-trip time, in seconds.
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
    /// Creates an estimator for a connection with the default windows.
    pub(super) const fn new() -> Self {
        Self {
            bdp: DEFAULT_WINDOW,
            max_bandwidth: 0.0,
            rtt: 0.0,
            measurements: 0,
            running: None,
        }
    }

    /// Counts received flow-controlled octets.
    #[inline]
    pub(super) fn received(&mut self, octets: u32) {
        if let Some(running) = &mut self.running {
            running.octets += u64::from(octets);
        }
    }

    /// Starts a measurement, if none is running and the maximum is not reached. Returns `true` if
    /// the caller must send the [`PING`].
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

    /// Ends the measurement, because the [`PING`] was acknowledged. Returns the new size of the
    /// windows if they must grow, in octets.
    pub(super) fn acknowledged(&mut self, now: Instant) -> Option<u32> {
        let Measurement { since, octets } = self.running.take()?;
        let sample = now.saturating_duration_since(since).as_secs_f64();
        self.measurements = self.measurements.saturating_add(1);
        self.rtt += if self.measurements < RTT_SAMPLES {
            (sample - self.rtt) / f64::from(self.measurements)
        } else {
            (sample - self.rtt) * RTT_WEIGHT
        };
        if self.rtt <= 0.0 {
            return None;
        }
        let bandwidth = octets as f64 / (self.rtt * RTT_SLACK);
        if bandwidth < self.max_bandwidth {
            return None;
        }
        self.max_bandwidth = bandwidth;
        if (octets as f64) < FILLED_FRACTION * f64::from(self.bdp) {
            return None;
        }
        let bdp = (octets * GROWTH_FACTOR).min(u64::from(MAX_BDP)) as u32;
        if bdp <= self.bdp {
            return None;
        }
        self.bdp = bdp;
        Some(bdp)
    }

    /// Returns `true` if a [`PING`] waits for its acknowledgement.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Runs a measurement on a path with a round-trip time of 10 ms that carries `octets` in it.
    fn measure(estimator: &mut BdpEstimator, start: Instant, octets: u32) -> Option<u32> {
        assert!(estimator.start(start));
        estimator.received(octets);
        estimator.acknowledged(start + Duration::from_millis(10))
    }

    #[test]
    fn a_filled_window_grows_to_twice_the_received_octets() {
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
    fn measurements_stop_at_the_maximum_window() {
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
    fn an_acknowledgement_after_zero_time_does_not_change_the_window() {
        let mut estimator = BdpEstimator::new();
        let start = Instant::now();
        assert!(estimator.start(start));
        assert_eq!(estimator.acknowledged(start), None);
    }
}
