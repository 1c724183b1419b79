//! The config of `outlier_detection_experimental`, parsed with the service config.

use std::time::Duration;

use crate::balancer::{BalancerRegistry, PolicyConfig};
use crate::service_config::{ConfigObject, ConfigValue, ServiceConfigError};

/// The config of `outlier_detection_experimental`.
///
/// Source: gRFC A50, `OutlierDetectionLoadBalancingConfig`.
#[derive(Clone, Debug)]
pub(super) struct OutlierDetectionConfig {
    pub(super) interval: Duration,
    pub(super) base_ejection_time: Duration,
    pub(super) max_ejection_time: Duration,
    pub(super) max_ejection_percent: u32,
    pub(super) success_rate: Option<SuccessRateEjection>,
    pub(super) failure_percentage: Option<FailurePercentageEjection>,
    pub(super) child_policy: PolicyConfig,
}

/// Ejection of endpoints with a low success rate (`successRateEjection`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SuccessRateEjection {
    /// The factor of the standard deviation, in thousandths.
    pub(super) stdev_factor: u32,
    pub(super) scope: EjectionScope,
}

/// Ejection of endpoints with a high share of failures (`failurePercentageEjection`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FailurePercentageEjection {
    /// The maximum share of failures, in percent.
    pub(super) threshold: u32,
    pub(super) scope: EjectionScope,
}

/// The fields that both algorithms have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EjectionScope {
    /// The probability that an outlier is ejected, in percent.
    pub(super) enforcement_percentage: u32,
    /// The minimum number of endpoints with enough calls.
    pub(super) minimum_hosts: u32,
    /// The minimum number of calls of an endpoint.
    pub(super) request_volume: u32,
}

impl OutlierDetectionConfig {
    pub(super) fn parse(
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Self, ServiceConfigError> {
        let config = config.object()?;
        let success_rate = config.field("successRateEjection");
        let failure_percentage = config.field("failurePercentageEjection");
        Ok(Self {
            interval: seconds(&config, "interval", 10)?,
            base_ejection_time: seconds(&config, "baseEjectionTime", 30)?,
            max_ejection_time: seconds(&config, "maxEjectionTime", 300)?,
            max_ejection_percent: number(&config, "maxEjectionPercent", 10, 100)?,
            success_rate: success_rate
                .map(|ejection| SuccessRateEjection::parse(&ejection))
                .transpose()?,
            failure_percentage: failure_percentage
                .map(|ejection| FailurePercentageEjection::parse(&ejection))
                .transpose()?,
            child_policy: registry.parse(&config.required("childPolicy")?)?,
        })
    }

    /// Returns true if an algorithm is configured, so that calls are counted.
    pub(super) fn is_counting(&self) -> bool {
        self.success_rate.is_some() || self.failure_percentage.is_some()
    }
}

impl SuccessRateEjection {
    fn parse(ejection: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let ejection = ejection.object()?;
        let defaults = EjectionScope {
            enforcement_percentage: 100,
            minimum_hosts: 5,
            request_volume: 100,
        };
        Ok(Self {
            stdev_factor: number(&ejection, "stdevFactor", 1900, u32::MAX)?,
            scope: EjectionScope::parse(&ejection, defaults)?,
        })
    }
}

impl FailurePercentageEjection {
    fn parse(ejection: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let ejection = ejection.object()?;
        let defaults = EjectionScope {
            enforcement_percentage: 0,
            minimum_hosts: 5,
            request_volume: 50,
        };
        Ok(Self {
            threshold: number(&ejection, "threshold", 85, 100)?,
            scope: EjectionScope::parse(&ejection, defaults)?,
        })
    }
}

impl EjectionScope {
    fn parse(ejection: &ConfigObject<'_>, defaults: Self) -> Result<Self, ServiceConfigError> {
        let enforcement = defaults.enforcement_percentage;
        let (hosts, volume) = (defaults.minimum_hosts, defaults.request_volume);
        Ok(Self {
            enforcement_percentage: number(ejection, "enforcementPercentage", enforcement, 100)?,
            minimum_hosts: number(ejection, "minimumHosts", hosts, u32::MAX)?,
            request_volume: number(ejection, "requestVolume", volume, u32::MAX)?,
        })
    }
}

fn number(
    object: &ConfigObject<'_>,
    name: &str,
    default: u32,
    max: u32,
) -> Result<u32, ServiceConfigError> {
    match object.field(name) {
        Some(number) => number.whole_number_up_to(max),
        None => Ok(default),
    }
}

fn seconds(
    object: &ConfigObject<'_>,
    name: &str,
    default: u64,
) -> Result<Duration, ServiceConfigError> {
    match object.field(name) {
        Some(duration) => duration.duration(),
        None => Ok(Duration::from_secs(default)),
    }
}
