//! The config of `outlier_detection_experimental`, parsed with the service config or
//! made by a resolver.

use std::time::Duration;

use crate::balancer::{BalancerRegistry, PolicyConfig};
use crate::service_config::{ConfigObject, ConfigValue, ServiceConfigError};

/// The maximum of an interval or a time: that of `google.protobuf.Duration`, about 10,000 years.
const MAX_TIME: Duration = Duration::from_secs(315_576_000_000);

/// The config of `outlier_detection_experimental`: the child policy, the times, and the algorithms.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use rgrpc::balancer::{
///     FailurePercentageEjection, OutlierDetectionBuilder, OutlierDetectionConfig, PolicyConfig,
///     RoundRobinBuilder,
/// };
///
/// let child = PolicyConfig::new(Arc::new(RoundRobinBuilder), Arc::new(()));
/// let failures = FailurePercentageEjection::new()
///     .with_threshold(50)?
///     .with_enforcement_percentage(100)?;
/// let config = OutlierDetectionConfig::new(child)
///     .with_interval(Duration::from_secs(5))
///     .with_failure_percentage(failures);
/// let policy = PolicyConfig::new(Arc::new(OutlierDetectionBuilder), Arc::new(config));
/// # Ok::<(), rgrpc::ServiceConfigError>(())
/// ```
///
/// [`OutlierDetectionBuilder`](super::OutlierDetectionBuilder) describes the policy. Source: gRFC
/// A50, `OutlierDetectionLoadBalancingConfig`.
#[derive(Clone, Debug)]
pub struct OutlierDetectionConfig {
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
pub struct SuccessRateEjection {
    /// The factor of the standard deviation, in thousandths.
    pub(super) stdev_factor: u32,
    pub(super) scope: EjectionScope,
}

/// Ejection of endpoints with a high share of failures (`failurePercentageEjection`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentageEjection {
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
    /// Creates a config with this child policy and the default times. Without an algorithm, no
    /// endpoint is ejected.
    #[must_use]
    pub fn new(child_policy: PolicyConfig) -> Self {
        Self {
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
            success_rate: None,
            failure_percentage: None,
            child_policy,
        }
    }

    /// Sets the interval in which calls are counted. Default: 10 s. The minimum is 1 ms, and the
    /// maximum is that of all times here, about 10,000 years.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.min(MAX_TIME);
        self
    }

    /// Sets the time of an endpoint's first ejection; the following ones take a multiple of it.
    /// Default: 30 s.
    #[must_use]
    pub fn with_base_ejection_time(mut self, time: Duration) -> Self {
        self.base_ejection_time = time.min(MAX_TIME);
        self
    }

    /// Sets the maximum time of an ejection; if the base time is longer, that one is the maximum.
    /// Default: 300 s.
    #[must_use]
    pub fn with_max_ejection_time(mut self, time: Duration) -> Self {
        self.max_ejection_time = time.min(MAX_TIME);
        self
    }

    /// Sets the share of all endpoints, in percent, at which no further one is ejected. Default:
    /// 10.
    ///
    /// # Errors
    /// It is more than 100. The error names the field of the JSON config.
    pub fn with_max_ejection_percent(mut self, percent: u32) -> Result<Self, ServiceConfigError> {
        self.max_ejection_percent = percentage("maxEjectionPercent", percent)?;
        Ok(self)
    }

    /// Adds the algorithm that ejects endpoints with a low success rate. Default: none.
    #[must_use]
    pub const fn with_success_rate(mut self, ejection: SuccessRateEjection) -> Self {
        self.success_rate = Some(ejection);
        self
    }

    /// Adds the algorithm that ejects endpoints with a high share of failures. Default: none.
    #[must_use]
    pub const fn with_failure_percentage(mut self, ejection: FailurePercentageEjection) -> Self {
        self.failure_percentage = Some(ejection);
        self
    }

    pub(super) fn parse(
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Self, ServiceConfigError> {
        let config = config.object()?;
        let default = Self::new(registry.parse(&config.required("childPolicy")?)?);
        let success_rate = config.field("successRateEjection");
        let failure_percentage = config.field("failurePercentageEjection");
        Ok(Self {
            interval: time(&config, "interval", default.interval)?,
            base_ejection_time: time(&config, "baseEjectionTime", default.base_ejection_time)?,
            max_ejection_time: time(&config, "maxEjectionTime", default.max_ejection_time)?,
            max_ejection_percent: number(
                &config,
                "maxEjectionPercent",
                default.max_ejection_percent,
                100,
            )?,
            success_rate: success_rate
                .map(|ejection| SuccessRateEjection::parse(&ejection))
                .transpose()?,
            failure_percentage: failure_percentage
                .map(|ejection| FailurePercentageEjection::parse(&ejection))
                .transpose()?,
            child_policy: default.child_policy,
        })
    }

    /// Returns true if an algorithm is configured, so that calls are counted.
    pub(super) fn is_counting(&self) -> bool {
        self.success_rate.is_some() || self.failure_percentage.is_some()
    }
}

impl SuccessRateEjection {
    /// Creates the default algorithm.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stdev_factor: 1900,
            scope: EjectionScope {
                enforcement_percentage: 100,
                minimum_hosts: 5,
                request_volume: 100,
            },
        }
    }

    /// Sets the number of standard deviations, in thousandths, by which the success rate of an
    /// outlier is below the mean. Default: 1900.
    #[must_use]
    pub const fn with_stdev_factor(mut self, thousandths: u32) -> Self {
        self.stdev_factor = thousandths;
        self
    }

    /// Sets the probability that an outlier is ejected, in percent. Default: 100.
    ///
    /// # Errors
    /// It is more than 100. The error names the field of the JSON config.
    pub fn with_enforcement_percentage(mut self, percent: u32) -> Result<Self, ServiceConfigError> {
        let name = "successRateEjection.enforcementPercentage";
        self.scope.enforcement_percentage = percentage(name, percent)?;
        Ok(self)
    }

    /// Sets the minimum number of endpoints with enough calls. With fewer, none is ejected.
    /// Default: 5.
    #[must_use]
    pub const fn with_minimum_hosts(mut self, hosts: u32) -> Self {
        self.scope.minimum_hosts = hosts;
        self
    }

    /// Sets the number of calls in an interval that are enough to judge an endpoint. Default: 100.
    #[must_use]
    pub const fn with_request_volume(mut self, calls: u32) -> Self {
        self.scope.request_volume = calls;
        self
    }

    fn parse(ejection: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let ejection = ejection.object()?;
        let default = Self::new();
        Ok(Self {
            stdev_factor: number(&ejection, "stdevFactor", default.stdev_factor, u32::MAX)?,
            scope: EjectionScope::parse(&ejection, default.scope)?,
        })
    }
}

impl Default for SuccessRateEjection {
    fn default() -> Self {
        Self::new()
    }
}

impl FailurePercentageEjection {
    /// Creates the default algorithm, which ejects nothing: the [enforcement
    /// percentage](Self::with_enforcement_percentage) is 0.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            threshold: 85,
            scope: EjectionScope {
                enforcement_percentage: 0,
                minimum_hosts: 5,
                request_volume: 50,
            },
        }
    }

    /// Sets the share of failures, in percent, above which an endpoint is an outlier. Default: 85.
    ///
    /// # Errors
    /// It is more than 100. The error names the field of the JSON config.
    pub fn with_threshold(mut self, percent: u32) -> Result<Self, ServiceConfigError> {
        self.threshold = percentage("failurePercentageEjection.threshold", percent)?;
        Ok(self)
    }

    /// Sets the probability that an outlier is ejected, in percent. Default: 0.
    ///
    /// # Errors
    /// It is more than 100. The error names the field of the JSON config.
    pub fn with_enforcement_percentage(mut self, percent: u32) -> Result<Self, ServiceConfigError> {
        let name = "failurePercentageEjection.enforcementPercentage";
        self.scope.enforcement_percentage = percentage(name, percent)?;
        Ok(self)
    }

    /// Sets the minimum number of endpoints with enough calls. With fewer, none is ejected.
    /// Default: 5.
    #[must_use]
    pub const fn with_minimum_hosts(mut self, hosts: u32) -> Self {
        self.scope.minimum_hosts = hosts;
        self
    }

    /// Sets the number of calls in an interval that are enough to judge an endpoint. Default: 50.
    #[must_use]
    pub const fn with_request_volume(mut self, calls: u32) -> Self {
        self.scope.request_volume = calls;
        self
    }

    fn parse(ejection: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let ejection = ejection.object()?;
        let default = Self::new();
        Ok(Self {
            threshold: number(&ejection, "threshold", default.threshold, 100)?,
            scope: EjectionScope::parse(&ejection, default.scope)?,
        })
    }
}

impl Default for FailurePercentageEjection {
    fn default() -> Self {
        Self::new()
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

fn time(
    object: &ConfigObject<'_>,
    name: &str,
    default: Duration,
) -> Result<Duration, ServiceConfigError> {
    match object.field(name) {
        Some(duration) => duration.duration(),
        None => Ok(default),
    }
}

fn percentage(name: &str, percent: u32) -> Result<u32, ServiceConfigError> {
    if percent > 100 {
        let problem = format!("a whole number of at most 100 is expected, got {percent}");
        return Err(ServiceConfigError::new(name, problem));
    }
    Ok(percent)
}
