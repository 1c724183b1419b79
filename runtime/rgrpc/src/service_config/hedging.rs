use std::time::Duration;

use super::ServiceConfigError;
use super::json::ConfigValue;
use super::method::parse_duration;
use super::retry::{CodeSet, parse_max_attempts};

/// The `hedgingPolicy` of a method: the number of hedges, and the delay between them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HedgingPolicy {
    /// The maximum number of attempts, the first included; at least 2.
    pub(crate) max_attempts: u32,
    /// The time between one attempt and the next.
    pub(crate) delay: Duration,
    /// The status codes that do not end the call: the other attempts continue.
    pub(crate) non_fatal_codes: CodeSet,
}

impl HedgingPolicy {
    pub(super) fn parse(policy: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let policy = policy.object()?;
        Ok(Self {
            max_attempts: parse_max_attempts(&policy.required("maxAttempts")?)?,
            delay: match policy.field("hedgingDelay") {
                Some(delay) => parse_duration(&delay)?
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
    use crate::status::Code;

    fn policy(json: &str) -> Result<HedgingPolicy, String> {
        let value = json::parse(json).expect("JSON");
        HedgingPolicy::parse(&ConfigValue::root(&value)).map_err(|error| error.to_string())
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
