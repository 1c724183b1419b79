use std::time::Duration;

/// How long to wait between attempts to connect: 1 s, then 1.6 times as long after each further
/// failure up to 120 s, and all but the first by a random factor of 0.8 to 1.2.
///
/// Source: `doc/connection-backoff.md`; grpc-go `internal/backoff`.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

const BASE: Duration = Duration::from_secs(1);
const MULTIPLIER: f64 = 1.6;
const JITTER: f64 = 0.2;
const MAX: Duration = Duration::from_secs(120);

/// What an attempt to connect may take at least.
const MIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

impl Backoff {
    /// How many attempts have failed since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure and says how long to wait before the next attempt. `random` is in [0, 1).
    pub(super) fn failed(&mut self, random: f64) -> Duration {
        let delay = self.delay(random);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// An attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// What the attempt to come may take: the addresses share it.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.delay(0.5).max(MIN_CONNECT_TIMEOUT)
    }

    fn delay(&self, random: f64) -> Duration {
        if self.failures == 0 {
            return BASE;
        }
        // The exponent at which the maximum has long been reached.
        let exponent = i32::try_from(self.failures.min(64)).unwrap_or(64);
        let seconds = (BASE.as_secs_f64() * MULTIPLIER.powi(exponent)).min(MAX.as_secs_f64());
        Duration::from_secs_f64(seconds * (1.0 + JITTER * (2.0 * random - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_by_1_6_from_1_s_to_120_s() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..14)
            .map(|_| (backoff.failed(0.5).as_secs_f64() * 1e3).round() / 1e3)
            .collect();
        assert_eq!(
            delays,
            [
                1.0, 1.6, 2.56, 4.096, 6.554, 10.486, 16.777, 26.844, 42.95, 68.719, 109.951,
                120.0, 120.0, 120.0
            ]
        );
    }

    #[test]
    fn all_delays_but_the_first_are_spread_by_a_fifth() {
        for (random, first, second) in [(0.0, 1.0, 1.28), (0.5, 1.0, 1.6), (1.0, 1.0, 1.92)] {
            let mut backoff = Backoff::default();
            assert!((backoff.failed(random).as_secs_f64() - first).abs() < 1e-9);
            assert!((backoff.failed(random).as_secs_f64() - second).abs() < 1e-9);
        }
    }

    #[test]
    fn a_success_starts_anew() {
        let mut backoff = Backoff::default();
        backoff.failed(0.5);
        backoff.failed(0.5);
        backoff.reset();
        assert_eq!(backoff.failed(0.5), BASE);
    }

    #[test]
    fn an_attempt_may_take_20_s_or_the_delay_if_that_is_longer() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.connect_timeout(), Duration::from_secs(20));
        for _ in 0..7 {
            backoff.failed(0.5);
        }
        assert_eq!(backoff.connect_timeout().as_millis(), 26_843);
        for _ in 0..1000 {
            backoff.failed(0.5);
        }
        assert_eq!(backoff.connect_timeout(), MAX);
    }
}
