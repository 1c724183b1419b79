//! The order of picks by weight, as a function of a counter.
//!
//! Built by the policy, on the channel's task; asked by the picker, on the tasks of calls.

/// A static stride scheduler: chooses endpoints in proportion to their weights.
///
/// Each pick draws a number. A number stands for an endpoint and a round. The endpoint with the
/// largest weight is picked in each round. Another endpoint is picked in as many of 65,535 rounds
/// as its weight is in proportion to the largest, spread evenly. Numbers of endpoints that are not
/// picked in their round are skipped. So a scheduler is immutable: picks share only the counter of
/// the numbers.
///
/// Source: gRFC A58, grpc-go `edfScheduler`; gRPC C++ `StaticStrideScheduler`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scheduler {
    /// Equal weights: this number of endpoints in turn.
    RoundRobin(usize),
    /// Weights from 1 to [`MAX_WEIGHT`]. At least one endpoint has the maximum.
    StaticStride(Vec<u16>),
}

const MAX_WEIGHT: u16 = u16::MAX;

/// The shift between the rounds of neighbours, so that these are not skipped in the same rounds.
const OFFSET: u64 = MAX_WEIGHT as u64 / 2;

impl Scheduler {
    /// Creates a scheduler for endpoints with these weights, each more than 0. An endpoint without
    /// a weight gets the mean of the others. With fewer than two weights, all are equal.
    pub(super) fn new(weights: &[Option<f64>]) -> Self {
        let known = || weights.iter().copied().flatten();
        let count = known().count();
        if count < 2 {
            return Self::RoundRobin(weights.len());
        }
        let scale = f64::from(MAX_WEIGHT) / known().fold(0.0, f64::max);
        // The conversion saturates. Each endpoint has a weight of at least 1.
        let scaled = |weight: f64| ((weight * scale).round() as u16).max(1);
        let mean = known().sum::<f64>() / count as f64;
        let weights: Vec<_> = weights
            .iter()
            .map(|weight| scaled(weight.unwrap_or(mean)))
            .collect();
        if weights.iter().all(|weight| *weight == weights[0]) {
            return Self::RoundRobin(weights.len());
        }
        Self::StaticStride(weights)
    }

    /// Picks the index of an endpoint. `next_number` returns successive numbers, beginning
    /// anywhere. Returns `None` without endpoints.
    pub(super) fn pick(&self, mut next_number: impl FnMut() -> u64) -> Option<usize> {
        match self {
            Self::RoundRobin(0) => None,
            Self::RoundRobin(count) => Some((next_number() % *count as u64) as usize),
            Self::StaticStride(weights) => loop {
                let number = next_number();
                let index = number % weights.len() as u64;
                let round = number / weights.len() as u64;
                if is_picked(weights[index as usize], index, round) {
                    return Some(index as usize);
                }
            },
        }
    }
}

fn is_picked(weight: u16, index: u64, round: u64) -> bool {
    let (weight, max) = (u64::from(weight), u64::from(MAX_WEIGHT));
    // The remainder of the round keeps the product from overflowing.
    let position = (weight * (round % max) + index % max * OFFSET) % max;
    position >= max - weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::chi_square::assert_distribution;

    fn counts(scheduler: &Scheduler, endpoints: usize, picks: usize, first: u64) -> Vec<usize> {
        let mut counts = vec![0; endpoints];
        let mut numbers = first..;
        for _ in 0..picks {
            let number = || numbers.next().expect("numbers");
            counts[scheduler.pick(number).expect("endpoints")] += 1;
        }
        counts
    }

    #[test]
    fn weights_are_scaled_and_unknown_ones_are_the_mean() {
        use Scheduler::{RoundRobin, StaticStride};
        let half = 32_768;
        for (weights, expected) in [
            (&[][..], RoundRobin(0)),
            (&[Some(3.0)], RoundRobin(1)),
            (&[None, None], RoundRobin(2)),
            (&[Some(3.0), None, None], RoundRobin(3)),
            (&[Some(3.0), Some(3.0), None], RoundRobin(3)),
            (
                &[Some(1.0), Some(2.0)],
                StaticStride(vec![half, MAX_WEIGHT]),
            ),
            (
                &[Some(1.0), None, Some(3.0)],
                StaticStride(vec![21_845, 43_690, MAX_WEIGHT]),
            ),
            // The minimum weight.
            (&[Some(1e-9), Some(1e9)], StaticStride(vec![1, MAX_WEIGHT])),
        ] {
            assert_eq!(Scheduler::new(weights), expected, "{weights:?}");
        }
    }

    #[test]
    fn without_endpoints_there_is_no_pick() {
        assert_eq!(Scheduler::new(&[]).pick(|| 0), None);
    }

    #[test]
    fn the_shares_are_in_proportion_to_the_weights() {
        for weights in [
            &[1.0, 1.0][..],
            &[1.0, 2.0],
            &[1.0, 2.0, 3.0, 4.0],
            &[10.0, 1000.0],
            &[1.0, 1.0, 1.0, 1.0, 0.2],
        ] {
            let known: Vec<_> = weights.iter().copied().map(Some).collect();
            let scheduler = Scheduler::new(&known);
            for first in [0, 12_345, u64::from(u32::MAX) - 50_000, u64::MAX / 2] {
                let counts = counts(&scheduler, weights.len(), 100_000, first);
                assert_distribution(&counts, weights);
            }
        }
    }

    #[test]
    fn picks_are_spread_evenly() {
        let scheduler = Scheduler::new(&[Some(1.0), Some(1.0), Some(2.0)]);
        // Any 12 successive picks differ by at most one pick from the shares.
        for first in 0..1000 {
            let counts = counts(&scheduler, 3, 12, first);
            for (count, expected) in counts.iter().zip([3, 3, 6]) {
                assert!(count.abs_diff(expected) <= 1, "{first}: {counts:?}");
            }
        }
    }
}
