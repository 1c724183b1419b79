//! Which endpoints are outliers, by the calls of an interval. Source: gRFC A50.

use super::call_counter::CallCounts;
use super::config::{EjectionScope, FailurePercentageEjection, SuccessRateEjection};

/// The places of those with fewer successes than the others.
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

/// The places of those with more failures than allowed.
pub(super) fn by_failure_percentage(
    config: &FailurePercentageEjection,
    counts: &[CallCounts],
) -> Vec<usize> {
    let threshold = u128::from(config.threshold);
    select(&candidates(config.scope, counts), |counts| {
        u128::from(counts.failures) * 100 > threshold * u128::from(counts.calls())
    })
}

/// Those with enough calls, with their places; none when they are too few.
fn candidates(scope: EjectionScope, counts: &[CallCounts]) -> Vec<(usize, CallCounts)> {
    // Without a call there is nothing to judge by.
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
    outliers.map(|(place, _)| *place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Successes and failures of each endpoint.
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
            // All alike.
            (0, scope(2, 1), &[(5, 5), (5, 5)], &[]),
            (0, scope(2, 1), &[(5, 5), (4, 6), (9, 1)], &[0, 1]),
            // Too few endpoints with enough calls: the rest is not looked at.
            (500, scope(3, 10), &[(10, 0), (0, 10), (9, 0)], &[]),
            (500, scope(2, 10), &[(10, 0), (0, 10), (0, 9)], &[1]),
            // Those without a call have no rate, even if no calls are enough.
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
