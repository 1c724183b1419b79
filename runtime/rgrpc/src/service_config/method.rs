use std::sync::Arc;
use std::time::Duration;

use super::duration::SignedDuration;
use super::json::{ConfigObject, ConfigValue};
use super::{HedgingPolicy, RetryPolicy, ServiceConfigError};

/// How a method is to be called, as a service config says: an entry of its `methodConfig`.
///
/// [`ClientConn::method_config`](crate::ClientConn::method_config) tells which one holds.
///
/// Source: `doc/service_config.md` of the gRPC documents; grpc-go `MethodConfig`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodConfig {
    /// A bound on calls, besides their own.
    pub(crate) timeout: Option<Duration>,
    /// What calls do that do not say it themselves.
    pub(crate) wait_for_ready: Option<bool>,
    /// The largest message to send, in bytes, besides the call's own limit.
    pub(crate) max_request_message_bytes: Option<usize>,
    /// The largest message to receive, in bytes, besides the call's own limit.
    pub(crate) max_response_message_bytes: Option<usize>,
    /// Whether and how a call may be more than one attempt.
    pub(crate) attempts: Option<AttemptPolicy>,
}

/// What governs the attempts at a call: `retryPolicy` or `hedgingPolicy`. Shared with the calls.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttemptPolicy {
    /// One after the other, each after the last has failed.
    Retry(Arc<RetryPolicy>),
    /// Each a while after the last, whether that has failed or not.
    Hedging(Arc<HedgingPolicy>),
}

impl MethodConfig {
    /// `timeout`: bounds calls, besides their own deadlines. `None`: it does not.
    #[must_use]
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// `waitForReady`: whether calls wait for a connection that do not say it themselves. `None`:
    /// they do not.
    #[must_use]
    pub const fn wait_for_ready(&self) -> Option<bool> {
        self.wait_for_ready
    }

    /// `maxRequestMessageBytes`: the largest message to send, besides the call's own limit. `None`:
    /// that alone holds.
    #[must_use]
    pub const fn max_request_message_bytes(&self) -> Option<usize> {
        self.max_request_message_bytes
    }

    /// `maxResponseMessageBytes`: the largest message to receive, besides the call's own limit.
    /// `None`: that alone holds.
    #[must_use]
    pub const fn max_response_message_bytes(&self) -> Option<usize> {
        self.max_response_message_bytes
    }

    /// Whether a `retryPolicy` has failed calls retried.
    #[must_use]
    pub const fn has_retry_policy(&self) -> bool {
        matches!(self.attempts, Some(AttemptPolicy::Retry(_)))
    }

    /// Whether a `hedgingPolicy` has further copies of calls sent that are not answered soon.
    #[must_use]
    pub const fn has_hedging_policy(&self) -> bool {
        matches!(self.attempts, Some(AttemptPolicy::Hedging(_)))
    }

    /// How many attempts a call makes at most by its policy, the first included; 1 without one.
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
                // A negative one is none, as in grpc-go.
                Some(timeout) => parse_duration(&timeout)?.not_negative(),
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
                    return Err(hedging.error("a method with a retryPolicy can have none"));
                }
            },
        )
    }

    /// Cuts the policy to this many attempts.
    pub(crate) fn limit(&mut self, attempts: u32) {
        let max_attempts = match self {
            Self::Retry(policy) => &mut Arc::make_mut(policy).max_attempts,
            Self::Hedging(policy) => &mut Arc::make_mut(policy).max_attempts,
        };
        *max_attempts = attempts.min(*max_attempts);
    }
}

fn parse_size(bytes: &ConfigValue<'_>) -> Result<usize, ServiceConfigError> {
    // More than this machine can address is no limit.
    bytes
        .whole_number()
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

pub(super) fn parse_duration(
    duration: &ConfigValue<'_>,
) -> Result<SignedDuration, ServiceConfigError> {
    SignedDuration::parse(duration.text()?)
        .ok_or_else(|| duration.expected(r#"a number of seconds such as "1.5s""#))
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
    fn each_field_is_read_by_its_type() {
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
