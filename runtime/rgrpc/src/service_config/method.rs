//! The config of a method.
//!
//! Parsed with the service config or made by a config selector; read when a call begins, on the
//! caller's task.

use std::sync::Arc;
use std::time::Duration;

use super::json::{ConfigObject, ConfigValue};
use super::{HedgingPolicy, RetryPolicy, ServiceConfigError};

/// The configuration of a method's calls: an entry of `methodConfig` in a service config.
///
/// [`ClientConn::method_config`](crate::ClientConn::method_config) returns the one that applies to
/// a method. A [`ConfigSelector`](crate::ConfigSelector) makes one for a call, without JSON:
///
/// ```
/// use std::time::Duration;
///
/// use rgrpc::{Code, MethodConfig, RetryPolicy};
///
/// let retries = RetryPolicy::new(3, [Code::Unavailable])?;
/// let config = MethodConfig::new()
///     .with_timeout(Duration::from_secs(2))
///     .with_retry_policy(retries);
/// assert_eq!(config.max_attempts(), 3);
/// # Ok::<(), rgrpc::ServiceConfigError>(())
/// ```
///
/// Source: `doc/service_config.md` of the gRPC documents; grpc-go `MethodConfig`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodConfig {
    /// The maximum timeout of a call. A call's own deadline applies too.
    pub(crate) timeout: Option<Duration>,
    /// The default of calls that do not set wait-for-ready.
    pub(crate) wait_for_ready: Option<bool>,
    /// The maximum size of a sent message, in bytes. The call's own limit applies too.
    pub(crate) max_request_message_bytes: Option<usize>,
    /// The maximum size of a received message, in bytes. The call's own limit applies too.
    pub(crate) max_response_message_bytes: Option<usize>,
    /// The retry or hedging policy. `None`: a call is one attempt.
    pub(crate) attempts: Option<AttemptPolicy>,
}

/// The policy for further attempts: `retryPolicy` or `hedgingPolicy`. Shared with the calls.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttemptPolicy {
    /// Each attempt starts after the one before has failed.
    Retry(Arc<RetryPolicy>),
    /// Each attempt starts a delay after the one before, even if that has not failed.
    Hedging(Arc<HedgingPolicy>),
}

impl MethodConfig {
    /// Creates a config that sets nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum timeout of a call. Default: none.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the default of calls that do not set wait-for-ready themselves. Default: they do not
    /// wait.
    #[must_use]
    pub const fn with_wait_for_ready(mut self, wait_for_ready: bool) -> Self {
        self.wait_for_ready = Some(wait_for_ready);
        self
    }

    /// Sets the maximum size of a sent message, in bytes. Default: the call's own limit.
    #[must_use]
    pub const fn with_max_request_message_bytes(mut self, bytes: usize) -> Self {
        self.max_request_message_bytes = Some(bytes);
        self
    }

    /// Sets the maximum size of a received message, in bytes. Default: the call's own limit.
    #[must_use]
    pub const fn with_max_response_message_bytes(mut self, bytes: usize) -> Self {
        self.max_response_message_bytes = Some(bytes);
        self
    }

    /// Sets the retry policy. It replaces a retry or hedging policy that was set before. Default:
    /// none.
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.attempts = Some(AttemptPolicy::Retry(Arc::new(policy)));
        self
    }

    /// Sets the hedging policy. It replaces a retry or hedging policy that was set before. Default:
    /// none.
    #[must_use]
    pub fn with_hedging_policy(mut self, policy: HedgingPolicy) -> Self {
        self.attempts = Some(AttemptPolicy::Hedging(Arc::new(policy)));
        self
    }

    /// The maximum timeout of a call (`timeout`). The call's own deadline applies too. `None`: only
    /// the call's own deadline applies.
    #[must_use]
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The default of calls that do not set wait-for-ready themselves (`waitForReady`). `None`:
    /// they do not wait.
    #[must_use]
    pub const fn wait_for_ready(&self) -> Option<bool> {
        self.wait_for_ready
    }

    /// The maximum size of a sent message, in bytes (`maxRequestMessageBytes`). The call's own
    /// limit applies too. `None`: only the call's own limit applies.
    #[must_use]
    pub const fn max_request_message_bytes(&self) -> Option<usize> {
        self.max_request_message_bytes
    }

    /// The maximum size of a received message, in bytes (`maxResponseMessageBytes`). The call's own
    /// limit applies too. `None`: only the call's own limit applies.
    #[must_use]
    pub const fn max_response_message_bytes(&self) -> Option<usize> {
        self.max_response_message_bytes
    }

    /// The retry policy (`retryPolicy`), if there is one.
    #[must_use]
    pub fn retry_policy(&self) -> Option<&RetryPolicy> {
        match &self.attempts {
            Some(AttemptPolicy::Retry(policy)) => Some(policy),
            _ => None,
        }
    }

    /// The hedging policy (`hedgingPolicy`), if there is one.
    #[must_use]
    pub fn hedging_policy(&self) -> Option<&HedgingPolicy> {
        match &self.attempts {
            Some(AttemptPolicy::Hedging(policy)) => Some(policy),
            _ => None,
        }
    }

    /// Returns true if the method has a `retryPolicy`: failed calls are retried.
    #[must_use]
    pub const fn has_retry_policy(&self) -> bool {
        matches!(self.attempts, Some(AttemptPolicy::Retry(_)))
    }

    /// Returns true if the method has a `hedgingPolicy`: calls without an early response are
    /// hedged.
    #[must_use]
    pub const fn has_hedging_policy(&self) -> bool {
        matches!(self.attempts, Some(AttemptPolicy::Hedging(_)))
    }

    /// The maximum number of attempts of a call by the policy, the first included. 1 without a
    /// policy.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        match &self.attempts {
            None => 1,
            Some(AttemptPolicy::Retry(policy)) => policy.max_attempts,
            Some(AttemptPolicy::Hedging(policy)) => policy.max_attempts,
        }
    }

    pub(super) fn parse(config: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let config = config.object()?;
        let size = |name| {
            config
                .field(name)
                .map(|bytes| parse_size(&bytes))
                .transpose()
        };
        Ok(Self {
            timeout: match config.field("timeout") {
                // grpc-go ignores a negative timeout.
                Some(timeout) => timeout.signed_duration()?.non_negative(),
                None => None,
            },
            wait_for_ready: config
                .field("waitForReady")
                .map(|flag| flag.flag())
                .transpose()?,
            max_request_message_bytes: size("maxRequestMessageBytes")?,
            max_response_message_bytes: size("maxResponseMessageBytes")?,
            attempts: AttemptPolicy::parse(&config)?,
        })
    }
}

impl AttemptPolicy {
    fn parse(config: &ConfigObject<'_>) -> Result<Option<Self>, ServiceConfigError> {
        Ok(
            match (config.field("retryPolicy"), config.field("hedgingPolicy")) {
                (None, None) => None,
                (Some(policy), None) => Some(Self::Retry(RetryPolicy::parse(&policy)?.into())),
                (None, Some(policy)) => Some(Self::Hedging(HedgingPolicy::parse(&policy)?.into())),
                (Some(_), Some(hedging)) => {
                    return Err(
                        hedging.error("a method with a retryPolicy cannot have a hedgingPolicy")
                    );
                }
            },
        )
    }

    /// Lowers the maximum number of attempts to `attempts`, if it is higher.
    pub(crate) fn limit(&mut self, attempts: u32) {
        match self {
            Self::Retry(policy) if policy.max_attempts > attempts => {
                Arc::make_mut(policy).max_attempts = attempts;
            }
            Self::Hedging(policy) if policy.max_attempts > attempts => {
                Arc::make_mut(policy).max_attempts = attempts;
            }
            _ => {}
        }
    }
}

fn parse_size(bytes: &ConfigValue<'_>) -> Result<usize, ServiceConfigError> {
    // A size that this machine cannot address is no limit.
    bytes
        .whole_number()
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn parse(json: &str) -> Result<MethodConfig, String> {
        let value = json::parse(json).expect(json);
        MethodConfig::parse(&ConfigValue::root(&value)).map_err(|error| error.to_string())
    }

    #[test]
    fn each_field_is_parsed_by_its_type() {
        let none = MethodConfig::default;
        for (json, expected) in [
            ("{}", none()),
            (r#"{"timeout": null, "waitForReady": null}"#, none()),
            (r#"{"hedgingPolicy": null, "of the future": []}"#, none()),
            (
                r#"{"timeout": "1.5s"}"#,
                MethodConfig {
                    timeout: Some(Duration::from_millis(1500)),
                    ..none()
                },
            ),
            (
                r#"{"timeout": "0s"}"#,
                MethodConfig {
                    timeout: Some(Duration::ZERO),
                    ..none()
                },
            ),
            (r#"{"timeout": "-1s"}"#, none()),
            (
                r#"{"waitForReady": false}"#,
                MethodConfig {
                    wait_for_ready: Some(false),
                    ..none()
                },
            ),
            (
                r#"{"maxRequestMessageBytes": 1, "maxResponseMessageBytes": "2"}"#,
                MethodConfig {
                    max_request_message_bytes: Some(1),
                    max_response_message_bytes: Some(2),
                    ..none()
                },
            ),
            (
                r#"{"maxRequestMessageBytes": 18446744073709551615}"#,
                MethodConfig {
                    max_request_message_bytes: Some(usize::MAX),
                    ..none()
                },
            ),
        ] {
            assert_eq!(parse(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn a_field_of_another_type_is_an_error() {
        for (json, expected) in [
            (r#"{"timeout": 1}"#, "timeout: a string is expected, got 1"),
            (
                r#"{"timeout": "1m"}"#,
                r#"timeout: a number of seconds such as "1.5s" is expected, got "1m""#,
            ),
            (
                r#"{"waitForReady": "true"}"#,
                r#"waitForReady: true or false is expected, got "true""#,
            ),
            (
                r#"{"maxRequestMessageBytes": -1}"#,
                "maxRequestMessageBytes: a whole number of at least 0 is expected, got -1",
            ),
            (
                r#"{"maxResponseMessageBytes": 1.5}"#,
                "maxResponseMessageBytes: a whole number of at least 0 is expected, got 1.5",
            ),
            (
                r#"{"retryPolicy": []}"#,
                "retryPolicy: an object is expected, got a list",
            ),
        ] {
            assert_eq!(parse(json), Err(expected.to_owned()), "{json}");
        }
    }
}
