//! The hedging policy of a method (gRFC A6).
//!
//! Parsed with the service config or made by a config selector; read by the scheduler of each call.

use std::time::Duration;

use super::ServiceConfigError;
use super::json::ConfigValue;
use super::retry::{CodeSet, check_max_attempts, parse_max_attempts};
use crate::status::Code;

/// The `hedgingPolicy` of a method: the number of hedges, and the delay between them.
///
/// Source: gRFC A6, "Hedging Policy".
#[derive(Clone, Debug, PartialEq)]
pub struct HedgingPolicy {
    /// The maximum number of attempts, the first included; at least 2.
    pub(crate) max_attempts: u32,
    /// The time between one attempt and the next.
    pub(crate) delay: Duration,
    /// The status codes that do not end the call: the other attempts continue.
    pub(crate) non_fatal_codes: CodeSet,
}

impl HedgingPolicy {
    /// Creates a policy: at most `max_attempts` attempts, the first included, all at once, until
    /// one succeeds or fails with any code. The channel's
    /// [maximum](crate::ClientConnBuilder::max_call_attempts) applies too.
    ///
    /// # Errors
    /// `max_attempts` is less than 2. The error names the field of the service config.
    pub fn new(max_attempts: u32) -> Result<Self, ServiceConfigError> {
        check_max_attempts(max_attempts)?;
        Ok(Self {
            max_attempts,
            delay: Duration::ZERO,
            non_fatal_codes: CodeSet::default(),
        })
    }

    /// Sets the time between one attempt and the next. Default: 0, all attempts at once.
    #[must_use]
    pub const fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the status codes that do not end the call: the other attempts continue. Default: none.
    #[must_use]
    pub fn with_non_fatal_codes(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.non_fatal_codes = CodeSet::of(codes);
        self
    }

    /// The maximum number of attempts, the first included (`maxAttempts`).
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The time between one attempt and the next (`hedgingDelay`).
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    /// Returns whether the other attempts continue when one fails with this code
    /// (`nonFatalStatusCodes`).
    #[must_use]
    pub const fn continues_after(&self, code: Code) -> bool {
        self.non_fatal_codes.contains(code)
    }

    pub(super) fn parse(policy: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let policy = policy.object()?;
        Ok(Self {
            max_attempts: parse_max_attempts(&policy.required("maxAttempts")?)?,
            delay: match policy.field("hedgingDelay") {
                Some(delay) => delay
                    .signed_duration()?
                    .non_negative()
                    .ok_or_else(|| delay.expected("at least 0s"))?,
                None => Duration::ZERO,
            },
            non_fatal_codes: match policy.field("nonFatalStatusCodes") {
                Some(codes) => CodeSet::parse(&codes)?,
                None => CodeSet::default(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn policy(json: &str) -> Result<HedgingPolicy, String> {
        let value = json::parse(json).expect("JSON");
        HedgingPolicy::parse(&ConfigValue::root(&value)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_that_is_made_without_json_is_checked_alike() {
        let made = HedgingPolicy::new(3)
            .expect("valid")
            .with_delay(Duration::from_millis(500))
            .with_non_fatal_codes([Code::Unavailable]);
        let json = r#"{"maxAttempts": 3, "hedgingDelay": "0.5s", "nonFatalStatusCodes": [14]}"#;
        assert_eq!(made, policy(json).expect("valid"));
        let error = HedgingPolicy::new(0).expect_err("no attempt").to_string();
        assert_eq!(error, "maxAttempts: at least 2 is expected, got 0");
    }

    #[test]
    fn only_the_number_of_attempts_is_required() {
        for (json, delay, fatal) in [
            (r#"{"maxAttempts": 3}"#, 0, true),
            (
                r#"{"maxAttempts": 3, "hedgingDelay": null, "nonFatalStatusCodes": null}"#,
                0,
                true,
            ),
            (
                r#"{"maxAttempts": 3, "hedgingDelay": "0s", "nonFatalStatusCodes": []}"#,
                0,
                true,
            ),
            (
                r#"{"maxAttempts": "3", "hedgingDelay": "0.5s", "nonFatalStatusCodes": ["unavailable"]}"#,
                500,
                false,
            ),
        ] {
            let policy = policy(json).expect(json);
            assert_eq!(policy.max_attempts, 3, "{json}");
            assert_eq!(policy.delay, Duration::from_millis(delay), "{json}");
            let is_fatal = !policy.non_fatal_codes.contains(Code::Unavailable);
            assert_eq!(is_fatal, fatal, "{json}");
            assert!(!policy.non_fatal_codes.contains(Code::Internal), "{json}");
        }
    }

    #[test]
    fn each_field_of_a_policy_is_checked() {
        for (json, expected) in [
            ("1", "an object is expected, got 1"),
            ("{}", "maxAttempts: this field is required"),
            (
                r#"{"maxAttempts": 1}"#,
                "maxAttempts: at least 2 is expected, got 1",
            ),
            (
                r#"{"maxAttempts": 2, "hedgingDelay": 1}"#,
                "hedgingDelay: a string is expected, got 1",
            ),
            (
                r#"{"maxAttempts": 2, "hedgingDelay": "-1s"}"#,
                r#"hedgingDelay: at least 0s is expected, got "-1s""#,
            ),
            (
                r#"{"maxAttempts": 2, "nonFatalStatusCodes": 14}"#,
                "nonFatalStatusCodes: a list is expected, got 14",
            ),
            (
                r#"{"maxAttempts": 2, "nonFatalStatusCodes": [14, "BUSY"]}"#,
                r#"nonFatalStatusCodes[1]: a status code is expected, got "BUSY""#,
            ),
        ] {
            assert_eq!(policy(json), Err(expected.to_owned()), "{json}");
        }
    }
}
