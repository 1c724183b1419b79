use std::time::Duration;

/// How long a channel waits between attempts to connect: [`base_delay`](Self::base_delay) after the
/// first that fails, then [`multiplier`](Self::multiplier) times as long after each further one up
/// to [`max_delay`](Self::max_delay), and all waits but the first longer or shorter by a random
/// part of up to [`jitter`](Self::jitter).
///
/// A connection counts as a failed attempt if it ends within the base delay and has served no call,
/// such as that of a server that says GOAWAY at once. The first ten such connections in a row are
/// replaced without a wait.
///
/// ```
/// use std::time::Duration;
///
/// // Never more than some 6 s without an attempt; the rest as the gRPC documents have it.
/// let backoff = rgrpc::BackoffConfig {
///     max_delay: Duration::from_secs(5),
///     ..Default::default()
/// };
/// ```
///
/// Source: `doc/connection-backoff.md`; grpc-go `backoff.Config`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffConfig {
    /// The wait after the first failure, at most `max_delay`. Default: 1 s. More than 0.
    pub base_delay: Duration,
    /// What a wait is multiplied by after each further failure. Default: 1.6. At least 1.
    pub multiplier: f64,
    /// The random part of a wait, which keeps clients from coming all at once: 0.2 makes it between
    /// 0.8 and 1.2 times as long. Default: 0.2. From 0 to 1.
    pub jitter: f64,
    /// The longest wait, before the random part. Default: 120 s. More than 0.
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
    /// The error says which field is wrong, and what was expected.
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

/// How long to wait between attempts to connect, and how long an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ConnectParams {
    pub(crate) backoff: BackoffConfig,
    /// What an attempt may take at least.
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

/// Counts failed attempts, to connect or to resolve, and says how long to wait after each. The
/// default is that of the gRPC documents.
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

    /// Counts a failure and says how long to wait before the next attempt. `random` is in [0, 1).
    pub(crate) fn failed(&mut self, random: f64) -> Duration {
        let delay = self.delay(random);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// The wait after the next failure is as after the first.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after the first failure.
    pub(crate) fn base_delay(&self) -> Duration {
        let config = &self.params.backoff;
        config.base_delay.min(config.max_delay)
    }

    /// What the attempt to come may take: the addresses share it.
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
        // Infinite when there were many failures, before the maximum cuts it.
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
    fn all_delays_but_the_first_are_spread_by_a_fifth() {
        for (random, first, second) in [(0.0, 1.0, 1.28), (0.5, 1.0, 1.6), (1.0, 1.0, 1.92)] {
            let mut backoff = backoff();
            assert!((backoff.failed(random).as_secs_f64() - first).abs() < 1e-9);
            assert!((backoff.failed(random).as_secs_f64() - second).abs() < 1e-9);
        }
    }

    #[test]
    fn a_success_starts_anew() {
        let mut backoff = backoff();
        backoff.failed(0.5);
        backoff.failed(0.5);
        backoff.reset();
        assert_eq!(backoff.failed(0.5), Duration::from_secs(1));
    }

    #[test]
    fn an_attempt_may_take_20_s_or_the_delay_if_that_is_longer() {
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
    fn every_part_can_be_set() {
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
    fn no_delay_is_longer_than_the_longest_nor_too_long_to_be_expressed() {
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
    fn a_config_that_makes_no_sense_is_refused_by_the_name_of_the_field() {
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
