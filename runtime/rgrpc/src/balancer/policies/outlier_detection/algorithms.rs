//! The algorithms that find outliers by the calls of an interval (gRFC A50).
//!
//! Called by the endpoints at the end of each interval, on the channel's task.

use super::call_counter::CallCounts;
use super::config::{EjectionScope, FailurePercentageEjection, SuccessRateEjection};

/// The indices of endpoints whose success rate is far below the mean.
pub(super) fn by_success_rate(config: &SuccessRateEjection, counts: &[CallCounts]) -> Vec<usize> {
    let candidates = candidates(config.scope, counts);
    let rates = candidates.iter().map(|(_, counts)| counts.success_rate());
    let many = candidates.len() as f64;
    let mean = rates.clone().sum::<f64>() / many;
    let variance = rates.map(|rate| (rate - mean).powi(2)).sum::<f64>() / many;
    let factor = f64::from(config.stdev_factor) / 1000.0;
    let required = mean - variance.sqrt() * factor;
    select(&candidates, |counts| counts.success_rate() < required)
}

/// The indices of endpoints with more failures than the threshold.
pub(super) fn by_failure_percentage(
    config: &FailurePercentageEjection,
    counts: &[CallCounts],
) -> Vec<usize> {
    let threshold = u128::from(config.threshold);
    select(&candidates(config.scope, counts), |counts| {
        u128::from(counts.failures) * 100 > threshold * u128::from(counts.calls())
    })
}

/// The endpoints with enough calls, with their indices. Empty if they are fewer than
/// `minimum_hosts`.
fn candidates(scope: EjectionScope, counts: &[CallCounts]) -> Vec<(usize, CallCounts)> {
    // An endpoint without calls has no rate.
    let volume = u64::from(scope.request_volume).max(1);
    let candidates: Vec<_> = counts
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, counts)| counts.calls() >= volume)
        .collect();
    if (candidates.len() as u64) < u64::from(scope.minimum_hosts) {
        return Vec::new();
    }
    candidates
}

fn select(
    candidates: &[(usize, CallCounts)],
    is_outlier: impl Fn(CallCounts) -> bool,
) -> Vec<usize> {
    let outliers = candidates.iter().filter(|(_, counts)| is_outlier(*counts));
    outliers.map(|(index, _)| *index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of each endpoint, from pairs of successes and failures.
    fn counts(pairs: &[(u64, u64)]) -> Vec<CallCounts> {
        let counts = pairs.iter().map(|(successes, failures)| CallCounts {
            successes: *successes,
            failures: *failures,
        });
        counts.collect()
    }

    fn scope(minimum_hosts: u32, request_volume: u32) -> EjectionScope {
        EjectionScope {
            enforcement_percentage: 100,
            minimum_hosts,
            request_volume,
        }
    }

    #[test]
    fn an_endpoint_far_below_the_mean_success_rate_is_an_outlier() {
        for (stdev_factor, scope, pairs, expected) in [
            // The mean is 0.8, the deviation 0.4.
            (
                1900,
                scope(5, 10),
                &[(10, 0), (10, 0), (10, 0), (10, 0), (0, 10)][..],
                &[4][..],
            ),
            (
                2100,
                scope(5, 10),
                &[(10, 0), (10, 0), (10, 0), (10, 0), (0, 10)],
                &[],
            ),
            // Exactly at the bound: 0.5 - 0.5.
            (1000, scope(2, 1), &[(10, 0), (0, 10)], &[]),
            (999, scope(2, 1), &[(10, 0), (0, 10)], &[1]),
            // All rates are equal.
            (0, scope(2, 1), &[(5, 5), (5, 5)], &[]),
            (0, scope(2, 1), &[(5, 5), (4, 6), (9, 1)], &[0, 1]),
            // Too few endpoints have enough calls.
            (500, scope(3, 10), &[(10, 0), (0, 10), (9, 0)], &[]),
            (500, scope(2, 10), &[(10, 0), (0, 10), (0, 9)], &[1]),
            // Endpoints without calls have no rate, even if 0 calls are enough.
            (500, scope(0, 0), &[(10, 0), (0, 10), (0, 0)], &[1]),
            (500, scope(0, 0), &[], &[]),
        ] {
            let config = SuccessRateEjection {
                stdev_factor,
                scope,
            };
            let outliers = by_success_rate(&config, &counts(pairs));
            assert_eq!(outliers, expected, "{config:?} {pairs:?}");
        }
    }

    #[test]
    fn an_endpoint_with_more_failures_than_the_threshold_is_an_outlier() {
        for (threshold, scope, pairs, expected) in [
            (50, scope(1, 1), &[(5, 5), (4, 6), (0, 1)][..], &[1, 2][..]),
            (0, scope(1, 1), &[(1000, 1), (1000, 0)], &[0]),
            (100, scope(1, 1), &[(0, 10)], &[]),
            (85, scope(5, 50), &[(0, 50); 5], &[0, 1, 2, 3, 4]),
            (85, scope(5, 50), &[(0, 50); 4], &[]),
            (85, scope(2, 50), &[(0, 50), (0, 49), (50, 0)], &[0]),
            (85, scope(0, 0), &[(0, 0)], &[]),
        ] {
            let config = FailurePercentageEjection { threshold, scope };
            let outliers = by_failure_percentage(&config, &counts(pairs));
            assert_eq!(outliers, expected, "{config:?} {pairs:?}");
        }
    }
}
