//! The throttle of a channel's retries and hedges.
//!
//! Shared by all calls of a service config; asked by their schedulers, on the callers' tasks.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::service_config::RetryThrottling;

/// One token, in the thousandths in which they are counted.
const TOKEN: u32 = 1000;

/// Holds retries back while many calls of a channel fail.
///
/// A failure takes a token, a success gives a part of one back, and no call is retried while half
/// of them or fewer are left. Without a lock, as every call of the channel ends here.
///
/// Source: gRFC A6, "Throttling Retry Attempts and Hedged RPCs".
#[derive(Debug)]
pub(in crate::client) struct RetryThrottle {
    tokens: AtomicU32,
    config: RetryThrottling,
}

impl RetryThrottle {
    /// A throttle with all its tokens.
    pub(in crate::client) fn new(config: RetryThrottling) -> Self {
        Self {
            tokens: AtomicU32::new(config.max_tokens),
            config,
        }
    }

    /// Counts a call that succeeded.
    pub(in crate::client) fn succeeded(&self) {
        let RetryThrottling {
            max_tokens,
            token_ratio,
        } = self.config;
        self.update(|tokens| tokens.saturating_add(token_ratio).min(max_tokens));
    }

    /// Counts a failure. Returns whether a retry is allowed.
    pub(in crate::client) fn failed(&self) -> bool {
        let left = self.update(|tokens| tokens.saturating_sub(TOKEN));
        self.is_enough(left)
    }

    /// Returns whether a hedge may begin now.
    pub(in crate::client) fn allows(&self) -> bool {
        self.is_enough(self.tokens.load(Ordering::Relaxed))
    }

    fn is_enough(&self, tokens: u32) -> bool {
        // Both sides are doubled, because half of an odd maximum is no integer.
        u64::from(tokens) * 2 > u64::from(self.config.max_tokens)
    }

    /// Returns what there is then.
    fn update(&self, step: impl Fn(u32) -> u32) -> u32 {
        let mut tokens = self.tokens.load(Ordering::Relaxed);
        loop {
            let new = step(tokens);
            // While calls succeed the bucket is full, and nothing is written.
            if new == tokens {
                return new;
            }
            match self.tokens.compare_exchange_weak(
                tokens,
                new,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return new,
                Err(current) => tokens = current,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs outcomes, `+` and `-`, and collects what the failures were told.
    fn run(max_tokens: u32, token_ratio: u32, outcomes: &str) -> Vec<bool> {
        let throttle = RetryThrottle::new(RetryThrottling {
            max_tokens,
            token_ratio,
        });
        let failed = |outcome| match outcome {
            '+' => {
                throttle.succeeded();
                None
            }
            _ => {
                let may = throttle.failed();
                assert_eq!(throttle.allows(), may, "{outcomes}");
                Some(may)
            }
        };
        outcomes.chars().filter_map(failed).collect()
    }

    #[test]
    fn retries_are_held_back_while_half_of_the_tokens_or_fewer_are_left() {
        for (max, ratio, outcomes, expected) in [
            (10_000, 100, "-----", vec![true, true, true, true, false]),
            // An odd number: 2 of 4 is half, 2 of 3 is more.
            (4_000, 100, "--", vec![true, false]),
            (3_000, 100, "--", vec![true, false]),
            (1_000, 100, "-", vec![false]),
            (1, 100, "-", vec![false]),
            // One success gives half a token back, two make up for a failure.
            (4_000, 500, "-+-", vec![true, true]),
            (4_000, 500, "--+-", vec![true, false, false]),
            (4_000, 500, "--++++-", vec![true, false, true]),
            (4_000, 1_000, "--++-", vec![true, false, true]),
            // There are never more than the most.
            (4_000, u32::MAX, "++++--", vec![true, false]),
            // And never fewer than none.
            (2_000, 1_000, "--------++-", vec![false; 9]),
            (2_000, 2_000, "--------++-", vec![false; 9]),
        ] {
            assert_eq!(
                run(max, ratio, outcomes),
                expected,
                "{max} {ratio} {outcomes}"
            );
        }
    }
}
