//! The backoff of a channel's connection attempts, without a clock.
//!
//! Set by the channel's builder. A [`Backoff`] is owned by each subchannel and by the restarts of
//! the policy and the resolver, on the channel's task; by each monitor, on its task; and by the DNS
//! resolver.

use std::time::Duration;

/// The delays between a channel's connection attempts.
///
/// The delay after the first failure is [`base_delay`](Self::base_delay). Each further failure
/// multiplies it by [`multiplier`](Self::multiplier), up to [`max_delay`](Self::max_delay). Every
/// delay but the first is then lengthened or shortened at random, by at most the fraction
/// [`jitter`](Self::jitter).
///
/// A connection counts as a failed attempt if it ends within the base delay and has served no call.
/// An example is a connection to a server that sends GOAWAY at once. The first ten such connections
/// in a row are replaced without a delay.
///
/// ```
/// use std::time::Duration;
///
/// // At most about 6 s between attempts; the other values are the defaults.
/// let backoff = rgrpc::BackoffConfig {
///     max_delay: Duration::from_secs(5),
///     ..Default::default()
/// };
/// ```
///
/// Source: `doc/connection-backoff.md`; grpc-go `backoff.Config`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffConfig {
    /// The delay after the first failure, at most `max_delay`. Default: 1 s. Minimum: more than 0.
    pub base_delay: Duration,
    /// The factor of the delay after each further failure. Default: 1.6. Minimum: 1.
    pub multiplier: f64,
    /// The random fraction of a delay, which spreads the attempts of many clients. For example, 0.2
    /// multiplies a delay by 0.8 to 1.2. Default: 0.2. Range: 0 to 1.
    pub jitter: f64,
    /// The maximum delay, before the random part. Default: 120 s. Minimum: more than 0.
    pub max_delay: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            base_delay: Duration::from_secs(1),
            multiplier: 1.6,
            jitter: 0.2,
            max_delay: Duration::from_secs(120),
        }
    }
}

impl BackoffConfig {
    /// Checks the fields. The error names the invalid field and the expected value.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self {
            base_delay,
            multiplier,
            jitter,
            max_delay,
        } = self;
        for (name, delay) in [("base_delay", base_delay), ("max_delay", max_delay)] {
            if delay.is_zero() {
                return Err(format!("{name}: more than 0 is expected"));
            }
        }
        if !(multiplier.is_finite() && *multiplier >= 1.0) {
            return Err(format!(
                "multiplier: at least 1 is expected, got {multiplier}"
            ));
        }
        if !(0.0..=1.0).contains(jitter) {
            return Err(format!("jitter: 0 to 1 is expected, got {jitter}"));
        }
        Ok(())
    }
}

/// The delays between connection attempts, and the minimum timeout of an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ConnectParams {
    pub(crate) backoff: BackoffConfig,
    /// The minimum timeout of an attempt. Default: 20 s.
    pub(crate) min_connect_timeout: Duration,
}

impl Default for ConnectParams {
    fn default() -> Self {
        Self {
            backoff: BackoffConfig::default(),
            min_connect_timeout: Duration::from_secs(20),
        }
    }
}

/// A counter of failed attempts to connect or to resolve, with the delay after each. The default
/// values are those of the gRPC documents.
///
/// Source: `doc/connection-backoff.md`; grpc-go `internal/backoff`.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    params: ConnectParams,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(params: ConnectParams) -> Self {
        Self {
            params,
            failures: 0,
        }
    }

    /// Counts a failure and returns the delay before the next attempt. `random` is in [0, 1).
    pub(crate) fn failed(&mut self, random: f64) -> Duration {
        let delay = self.delay(random);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// Resets the counter, so that the next failure counts as the first.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the delay after the first failure.
    pub(crate) fn base_delay(&self) -> Duration {
        let config = &self.params.backoff;
        config.base_delay.min(config.max_delay)
    }

    /// Returns the timeout of the next attempt, which its addresses share.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.delay(0.5).max(self.params.min_connect_timeout)
    }

    fn delay(&self, random: f64) -> Duration {
        let BackoffConfig {
            base_delay,
            multiplier,
            jitter,
            max_delay,
        } = self.params.backoff;
        if self.failures == 0 {
            return self.base_delay();
        }
        let exponent = i32::try_from(self.failures).unwrap_or(i32::MAX);
        // Infinite after many failures, until the maximum limits it.
        let seconds = base_delay.as_secs_f64() * multiplier.powi(exponent);
        let seconds = seconds.min(max_delay.as_secs_f64()) * (1.0 + jitter * (2.0 * random - 1.0));
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(ConnectParams::default())
    }

    fn of(config: BackoffConfig) -> Backoff {
        Backoff::new(ConnectParams {
            backoff: config,
            ..Default::default()
        })
    }

    #[test]
    fn delays_grow_by_1_6_from_1_s_to_120_s() {
        let mut backoff = backoff();
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
    fn all_delays_but_the_first_vary_by_the_jitter() {
        for (random, first, second) in [(0.0, 1.0, 1.28), (0.5, 1.0, 1.6), (1.0, 1.0, 1.92)] {
            let mut backoff = backoff();
            assert!((backoff.failed(random).as_secs_f64() - first).abs() < 1e-9);
            assert!((backoff.failed(random).as_secs_f64() - second).abs() < 1e-9);
        }
    }

    #[test]
    fn a_reset_starts_from_the_first_delay() {
        let mut backoff = backoff();
        backoff.failed(0.5);
        backoff.failed(0.5);
        backoff.reset();
        assert_eq!(backoff.failed(0.5), Duration::from_secs(1));
    }

    #[test]
    fn an_attempts_timeout_is_20_s_or_the_delay_if_longer() {
        let mut backoff = backoff();
        assert_eq!(backoff.connect_timeout(), Duration::from_secs(20));
        for _ in 0..7 {
            backoff.failed(0.5);
        }
        assert_eq!(backoff.connect_timeout().as_millis(), 26_843);
        for _ in 0..1000 {
            backoff.failed(0.5);
        }
        assert_eq!(backoff.connect_timeout(), Duration::from_secs(120));
    }

    #[test]
    fn every_field_takes_effect() {
        let config = BackoffConfig {
            base_delay: Duration::from_millis(100),
            multiplier: 2.0,
            jitter: 0.5,
            max_delay: Duration::from_millis(350),
        };
        for (random, expected) in [
            (0.0, [100, 100, 175, 175]),
            (0.5, [100, 200, 350, 350]),
            (1.0, [100, 300, 525, 525]),
        ] {
            let mut backoff = of(config);
            let delays = [0; 4].map(|_| backoff.failed(random).as_millis());
            assert_eq!(delays, expected, "{random}");
        }
        let params = ConnectParams {
            backoff: config,
            min_connect_timeout: Duration::from_millis(150),
        };
        let mut backoff = Backoff::new(params);
        assert_eq!(backoff.connect_timeout().as_millis(), 150);
        backoff.failed(0.5);
        assert_eq!(backoff.connect_timeout().as_millis(), 200);
    }

    #[test]
    fn a_delay_is_at_most_max_delay_and_never_overflows() {
        let short = BackoffConfig {
            max_delay: Duration::from_millis(500),
            ..Default::default()
        };
        assert_eq!(of(short).failed(0.5), Duration::from_millis(500));
        let long = BackoffConfig {
            base_delay: Duration::MAX,
            multiplier: f64::MAX,
            max_delay: Duration::MAX,
            ..Default::default()
        };
        let mut backoff = of(long);
        for _ in 0..3 {
            assert_eq!(backoff.failed(0.9), Duration::MAX);
        }
    }

    #[test]
    fn an_invalid_config_is_refused_with_the_name_of_the_field() {
        let default = BackoffConfig::default;
        assert_eq!(default().check(), Ok(()));
        #[rustfmt::skip]
        let cases = [
            (BackoffConfig { base_delay: Duration::ZERO, ..default() }, "base_delay: more than 0"),
            (BackoffConfig { max_delay: Duration::ZERO, ..default() }, "max_delay: more than 0"),
            (BackoffConfig { multiplier: 0.9, ..default() }, "multiplier: at least 1"),
            (BackoffConfig { multiplier: f64::NAN, ..default() }, "multiplier: at least 1"),
            (BackoffConfig { multiplier: f64::INFINITY, ..default() }, "multiplier: at least 1"),
            (BackoffConfig { jitter: -0.1, ..default() }, "jitter: 0 to 1"),
            (BackoffConfig { jitter: 1.1, ..default() }, "jitter: 0 to 1"),
            (BackoffConfig { jitter: f64::NAN, ..default() }, "jitter: 0 to 1"),
        ];
        for (config, expected) in cases {
            let problem = config.check().expect_err(expected);
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
