//! The latencies of calls: 1 % precise, from a nanosecond to a minute, in a few KiB.

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

/// The longest latency told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(60);

/// The latencies of calls, and their number.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    calls: u64,
}

impl Latencies {
    /// None so far.
    ///
    /// # Errors
    /// The histogram's bounds are wrong, which they are not.
    pub fn new() -> Result<Self> {
        let histogram = Histogram::new_with_max(nanos(LONGEST), 2).context("making a histogram")?;
        Ok(Self {
            histogram,
            calls: 0,
        })
    }

    /// Adds an operation that counts as this many calls.
    pub fn record(&mut self, took: Duration, calls: u64) {
        self.histogram.saturating_record(nanos(took));
        self.calls += calls;
    }

    /// Adds those of another.
    ///
    /// # Errors
    /// The bounds differ, which they do not.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.histogram
            .add(&other.histogram)
            .context("adding histograms")?;
        self.calls += other.calls;
        Ok(())
    }

    /// The number of calls.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// The latency that this part of all operations (0.5, 0.99) did not exceed, in microseconds.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "far more precise than the histogram"
    )]
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1e3
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_one_percent_and_calls_are_counted() {
        let mut low = Latencies::new().unwrap();
        let mut high = Latencies::new().unwrap();
        for micros in 1..=500 {
            low.record(Duration::from_micros(micros), 1);
            high.record(Duration::from_micros(500 + micros), 10);
        }
        low.add(&high).unwrap();
        assert_eq!(low.calls(), 500 + 5_000);
        for (quantile, micros) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let measured = low.quantile_us(quantile);
            assert!(
                (measured / micros - 1.0).abs() <= 0.01,
                "{quantile}: {measured}"
            );
        }
    }

    #[test]
    fn a_latency_beyond_the_longest_counts_as_the_longest() {
        let mut latencies = Latencies::new().unwrap();
        latencies.record(Duration::MAX, 1);
        assert!(latencies.quantile_us(1.0) >= 60e6);
    }
}
