//! The config of `weighted_round_robin`, parsed with the service config or made by a
//! resolver.

use std::time::Duration;

use crate::service_config::{ConfigObject, ConfigValue, ServiceConfigError};

/// The config of `weighted_round_robin`.
///
/// Source: gRFC A58, `WeightedRoundRobinLbConfig`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct WeightedRoundRobinConfig {
    /// Enables load reports in a stream of their own (gRFC A51) instead of the trailers of calls
    /// (`enableOobLoadReport`). Default: false. A change makes new connections.
    pub enable_oob_load_report: bool,
    /// The requested interval of the reports in that stream (`oobReportingPeriod`). Backends may
    /// report less often. Default: 10 s. A change makes new connections, if the stream is enabled.
    pub oob_reporting_period: Duration,
    /// The time for which an endpoint must have reported before its weight is used, since it was
    /// connected or since its weight expired (`blackoutPeriod`). Default: 10 s.
    pub blackout_period: Duration,
    /// The time after the last report of an endpoint for which its weight is used
    /// (`weightExpirationPeriod`). Default: 3 min.
    pub weight_expiration_period: Duration,
    /// The interval at which new reports change the weights (`weightUpdatePeriod`). Default: 1 s.
    /// Minimum: 100 ms.
    pub weight_update_period: Duration,
    /// The factor of an endpoint's error rate, from 0 to 1: their product is added to the
    /// endpoint's utilization (`errorUtilizationPenalty`). At least 0; 0 means no penalty. Default:
    /// 1.
    pub error_utilization_penalty: f64,
}

impl WeightedRoundRobinConfig {
    const MIN_UPDATE_PERIOD: Duration = Duration::from_millis(100);
    /// A year: a later point in time may not be expressible.
    const MAX_UPDATE_PERIOD: Duration = Duration::from_secs(365 * 24 * 3600);

    pub(super) fn parse(config: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let config = config.object()?;
        let default = Self::default();
        let duration = |name, default| duration_or(&config, name, default);
        Ok(Self {
            enable_oob_load_report: match config.field("enableOobLoadReport") {
                Some(enable) => enable.flag()?,
                None => default.enable_oob_load_report,
            },
            oob_reporting_period: duration("oobReportingPeriod", default.oob_reporting_period)?,
            blackout_period: duration("blackoutPeriod", default.blackout_period)?,
            weight_expiration_period: duration(
                "weightExpirationPeriod",
                default.weight_expiration_period,
            )?,
            weight_update_period: duration("weightUpdatePeriod", default.weight_update_period)?,
            error_utilization_penalty: match config.field("errorUtilizationPenalty") {
                Some(penalty) => penalty_of(&penalty)?,
                None => default.error_utilization_penalty,
            },
        })
    }

    /// The interval of reports out of band, if they are enabled.
    pub(super) fn load_reports(&self) -> Option<Duration> {
        self.enable_oob_load_report
            .then_some(self.oob_reporting_period)
    }

    pub(super) fn update_period(&self) -> Duration {
        self.weight_update_period
            .clamp(Self::MIN_UPDATE_PERIOD, Self::MAX_UPDATE_PERIOD)
    }
}

fn duration_or(
    config: &ConfigObject<'_>,
    name: &str,
    default: Duration,
) -> Result<Duration, ServiceConfigError> {
    match config.field(name) {
        Some(duration) => duration.duration(),
        None => Ok(default),
    }
}

fn penalty_of(penalty: &ConfigValue<'_>) -> Result<f64, ServiceConfigError> {
    match penalty.number()? {
        number if number >= 0.0 => Ok(number),
        _ => Err(penalty.expected("at least 0")),
    }
}

impl Default for WeightedRoundRobinConfig {
    fn default() -> Self {
        Self {
            enable_oob_load_report: false,
            oob_reporting_period: Duration::from_secs(10),
            blackout_period: Duration::from_secs(10),
            weight_expiration_period: Duration::from_secs(180),
            weight_update_period: Duration::from_secs(1),
            error_utilization_penalty: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::WeightedRoundRobinBuilder;
    use super::*;
    use crate::balancer::BalancerRegistry;

    fn parse(config: &str) -> Result<WeightedRoundRobinConfig, String> {
        let mut registry = BalancerRegistry::empty();
        registry.register(Arc::new(WeightedRoundRobinBuilder));
        let policy = registry
            .parse_json(&format!(r#"[{{"weighted_round_robin": {config}}}]"#))
            .map_err(|error| error.to_string())?;
        Ok(*policy.config().downcast_ref().expect("its config"))
    }

    #[test]
    fn absent_fields_have_the_defaults_of_a58() {
        for json in ["{}", r#"{"of the future": 1, "blackoutPeriod": null}"#] {
            let config = parse(json).expect(json);
            assert_eq!(config, WeightedRoundRobinConfig::default(), "{json}");
            assert_eq!(config.load_reports(), None);
        }
    }

    #[test]
    fn all_fields_are_parsed() {
        let json = r#"{
            "enableOobLoadReport": true,
            "oobReportingPeriod": "2s",
            "blackoutPeriod": "0s",
            "weightExpirationPeriod": "60s",
            "weightUpdatePeriod": "0.5s",
            "errorUtilizationPenalty": 0.5
        }"#;
        let expected = WeightedRoundRobinConfig {
            enable_oob_load_report: true,
            oob_reporting_period: Duration::from_secs(2),
            blackout_period: Duration::ZERO,
            weight_expiration_period: Duration::from_secs(60),
            weight_update_period: Duration::from_millis(500),
            error_utilization_penalty: 0.5,
        };
        assert_eq!(parse(json), Ok(expected));
        assert_eq!(expected.load_reports(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn weights_are_updated_at_most_ten_times_a_second() {
        for (json, expected) in [("0s", 100), ("0.099s", 100), ("0.1s", 100), ("0.2s", 200)] {
            let config = parse(&format!(r#"{{"weightUpdatePeriod": "{json}"}}"#)).expect(json);
            assert_eq!(config.update_period(), Duration::from_millis(expected));
        }
        let config = WeightedRoundRobinConfig {
            weight_update_period: Duration::MAX,
            ..Default::default()
        };
        assert_eq!(config.update_period().as_secs(), 365 * 24 * 3600);
    }

    #[test]
    fn an_error_in_a_config_names_its_path() {
        let path = "[0].weighted_round_robin";
        let duration = "a duration of at least 0 such as \"1.5s\" is expected, got";
        for (json, expected) in [
            ("1", ": an object is expected, got 1".to_owned()),
            (
                r#"{"enableOobLoadReport": 1}"#,
                ".enableOobLoadReport: true or false is expected, got 1".to_owned(),
            ),
            (
                r#"{"oobReportingPeriod": 10}"#,
                format!(".oobReportingPeriod: {duration} 10"),
            ),
            (
                r#"{"blackoutPeriod": "-1s"}"#,
                format!(r#".blackoutPeriod: {duration} "-1s""#),
            ),
            (
                r#"{"weightExpirationPeriod": "3m"}"#,
                format!(r#".weightExpirationPeriod: {duration} "3m""#),
            ),
            (
                r#"{"weightUpdatePeriod": {}}"#,
                format!(".weightUpdatePeriod: {duration} an object"),
            ),
            (
                r#"{"errorUtilizationPenalty": -0.1}"#,
                ".errorUtilizationPenalty: at least 0 is expected, got -0.1".to_owned(),
            ),
            (
                r#"{"errorUtilizationPenalty": "NaN"}"#,
                ".errorUtilizationPenalty: a number is expected, got \"NaN\"".to_owned(),
            ),
        ] {
            assert_eq!(parse(json), Err(format!("{path}{expected}")), "{json}");
        }
    }
}
