use std::time::Duration;

use super::ServiceConfigError;
use super::json::{ConfigObject, ConfigValue};
use super::method::parse_duration;
use crate::status::Code;

/// The `retryPolicy` of a method: the failures that are retried, the number of attempts, and the
/// backoff.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RetryPolicy {
    /// The maximum number of attempts, the first included; at least 2.
    pub(crate) max_attempts: u32,
    pub(crate) initial_backoff: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) backoff_multiplier: f64,
    pub(crate) retryable_codes: CodeSet,
}

/// The `retryThrottling` of a channel: stops retries while too many calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryThrottling {
    /// The size of the token bucket, in thousandths of a token.
    pub(crate) max_tokens: u32,
    /// The refill for each success, in thousandths of a token.
    pub(crate) token_ratio: u32,
}

/// A set of status codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CodeSet(u32);

impl RetryPolicy {
    pub(super) fn parse(policy: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let policy = policy.object()?;
        Ok(Self {
            max_attempts: parse_max_attempts(&policy.required("maxAttempts")?)?,
            initial_backoff: parse_backoff(&policy, "initialBackoff")?,
            max_backoff: parse_backoff(&policy, "maxBackoff")?,
            backoff_multiplier: parse_multiplier(&policy.required("backoffMultiplier")?)?,
            retryable_codes: parse_retryable(&policy.required("retryableStatusCodes")?)?,
        })
    }
}

fn parse_retryable(codes: &ConfigValue<'_>) -> Result<CodeSet, ServiceConfigError> {
    match CodeSet::parse(codes)? {
        set if set.is_empty() => Err(codes.error("at least one status code is expected")),
        set => Ok(set),
    }
}

pub(super) fn parse_max_attempts(attempts: &ConfigValue<'_>) -> Result<u32, ServiceConfigError> {
    match attempts.whole_number()? {
        0 | 1 => Err(attempts.expected("at least 2")),
        // The channel's maximum is far below.
        many => Ok(u32::try_from(many).unwrap_or(u32::MAX)),
    }
}

fn parse_backoff(policy: &ConfigObject<'_>, name: &str) -> Result<Duration, ServiceConfigError> {
    let backoff = policy.required(name)?;
    parse_duration(&backoff)?
        .positive()
        .ok_or_else(|| backoff.expected("more than 0s"))
}

fn parse_multiplier(multiplier: &ConfigValue<'_>) -> Result<f64, ServiceConfigError> {
    let number = multiplier.number()?;
    if number > 0.0 {
        Ok(number)
    } else {
        Err(multiplier.expected("more than 0"))
    }
}

impl RetryThrottling {
    pub(super) fn parse(throttling: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let throttling = throttling.object()?;
        let max = throttling.required("maxTokens")?;
        let ratio = throttling.required("tokenRatio")?;
        let max_tokens = max.number()?;
        if !(max_tokens > 0.0 && max_tokens <= 1000.0) {
            return Err(max.expected("more than 0 and at most 1000"));
        }
        let token_ratio = thousandths(ratio.number()?);
        if token_ratio == 0 {
            return Err(ratio.expected("at least 0.001"));
        }
        Ok(Self {
            max_tokens: thousandths(max_tokens),
            token_ratio,
        })
    }
}

/// Converts to thousandths. Further decimals are ignored (gRFC A6); a negative number is 0.
fn thousandths(number: f64) -> u32 {
    // Three decimals are not always exact in binary: 0.009 × 1000 is a little less than 9. The
    // conversion saturates.
    (number * 1000.0 + 1e-6) as u32
}

impl CodeSet {
    pub(crate) fn contains(self, code: Code) -> bool {
        self.0 & bit(code) != 0
    }

    fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Parses a list of code names, in any case, and code numbers.
    pub(super) fn parse(codes: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let mut set = Self::default();
        for code in codes.items()? {
            let found = match code.text() {
                Ok(name) => Code::ALL
                    .into_iter()
                    .find(|code| code.name().eq_ignore_ascii_case(name)),
                Err(_) => Code::ALL
                    .into_iter()
                    .find(|known| code.whole_number() == Ok(*known as u64)),
            };
            let found = found.ok_or_else(|| code.expected("a status code"))?;
            set.0 |= bit(found);
        }
        Ok(set)
    }
}

fn bit(code: Code) -> u32 {
    1 << code.to_i32()
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    const VALID: [(&str, &str); 5] = [
        ("maxAttempts", "3"),
        ("initialBackoff", r#""0.1s""#),
        ("maxBackoff", r#""2s""#),
        ("backoffMultiplier", "1.5"),
        ("retryableStatusCodes", r#"["UNAVAILABLE"]"#),
    ];

    /// Parses the valid policy with another value for one of its fields.
    fn policy(name: &str, value: &str) -> Result<RetryPolicy, String> {
        let fields = VALID.map(|(field, valid)| {
            let value = if field == name { value } else { valid };
            format!("{field:?}: {value}")
        });
        let value = json::parse(&format!("{{{}}}", fields.join(", "))).expect("JSON");
        RetryPolicy::parse(&ConfigValue::root(&value)).map_err(|error| error.to_string())
    }

    fn throttling(json: &str) -> Result<(u32, u32), String> {
        let value = json::parse(json).expect(json);
        RetryThrottling::parse(&ConfigValue::root(&value))
            .map(|throttling| (throttling.max_tokens, throttling.token_ratio))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_is_parsed() {
        let policy = policy("maxAttempts", "3").expect("valid");
        assert_eq!(policy.max_attempts, 3);
        assert_eq!(policy.initial_backoff, Duration::from_millis(100));
        assert_eq!(policy.max_backoff, Duration::from_secs(2));
        assert!((policy.backoff_multiplier - 1.5).abs() < f64::EPSILON);
        assert!(policy.retryable_codes.contains(Code::Unavailable));
        assert!(!policy.retryable_codes.contains(Code::Internal));
    }

    #[test]
    fn codes_are_names_in_any_case_or_numbers() {
        let set =
            |codes| policy("retryableStatusCodes", codes).map(|policy| policy.retryable_codes);
        for (codes, expected) in [
            (r#"["CANCELLED"]"#, &[Code::Cancelled][..]),
            (
                r#"["unavailable", 8]"#,
                &[Code::Unavailable, Code::ResourceExhausted],
            ),
            (r#"[14, "UNAVAILABLE", 14]"#, &[Code::Unavailable]),
            ("[16, 0]", &[Code::Unauthenticated, Code::Ok]),
        ] {
            let set = set(codes).expect(codes);
            for code in Code::ALL {
                assert_eq!(
                    set.contains(code),
                    expected.contains(&code),
                    "{codes}: {code}"
                );
            }
        }
    }

    #[test]
    fn each_field_of_a_policy_is_checked() {
        for (name, value, problem) in [
            ("maxAttempts", "1", "at least 2 is expected, got 1"),
            ("maxAttempts", "0", "at least 2 is expected, got 0"),
            (
                "maxAttempts",
                "-1",
                "a whole number of at least 0 is expected, got -1",
            ),
            ("maxAttempts", "null", "this field is required"),
            (
                "initialBackoff",
                r#""0s""#,
                r#"more than 0s is expected, got "0s""#,
            ),
            (
                "initialBackoff",
                r#""-1s""#,
                r#"more than 0s is expected, got "-1s""#,
            ),
            ("initialBackoff", "null", "this field is required"),
            (
                "maxBackoff",
                r#""0.0s""#,
                r#"more than 0s is expected, got "0.0s""#,
            ),
            ("maxBackoff", "null", "this field is required"),
            ("backoffMultiplier", "0", "more than 0 is expected, got 0"),
            ("backoffMultiplier", "-2", "more than 0 is expected, got -2"),
            (
                "backoffMultiplier",
                r#""x""#,
                r#"a number is expected, got "x""#,
            ),
            ("backoffMultiplier", "null", "this field is required"),
            (
                "retryableStatusCodes",
                "[]",
                "at least one status code is expected",
            ),
            ("retryableStatusCodes", "null", "this field is required"),
            ("retryableStatusCodes", "14", "a list is expected, got 14"),
        ] {
            let expected = Err(format!("{name}: {problem}"));
            assert_eq!(policy(name, value), expected, "{name}: {value}");
        }
        for code in [r#""BUSY""#, "17", "-1", "1.5", "true", "[]"] {
            let error = policy("retryableStatusCodes", &format!("[1, {code}]")).expect_err(code);
            let expected = "retryableStatusCodes[1]: a status code is expected";
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn throttling_is_kept_in_thousandths_of_a_token() {
        for (json, expected) in [
            (r#"{"maxTokens": 10, "tokenRatio": 0.1}"#, (10_000, 100)),
            (
                r#"{"maxTokens": 1000, "tokenRatio": 0.5466}"#,
                (1_000_000, 546),
            ),
            (r#"{"maxTokens": 0.5, "tokenRatio": 2}"#, (500, 2_000)),
            (r#"{"maxTokens": 1, "tokenRatio": 0.009}"#, (1_000, 9)),
            (
                r#"{"maxTokens": 1, "tokenRatio": 1e300}"#,
                (1_000, u32::MAX),
            ),
        ] {
            assert_eq!(throttling(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn each_field_of_throttling_is_checked() {
        for (json, expected) in [
            (
                r#"{"maxTokens": 0, "tokenRatio": 1}"#,
                "maxTokens: more than 0 and at most 1000 is expected, got 0",
            ),
            (
                r#"{"maxTokens": 1001, "tokenRatio": 1}"#,
                "maxTokens: more than 0 and at most 1000 is expected, got 1001",
            ),
            (
                r#"{"maxTokens": 1, "tokenRatio": 0}"#,
                "tokenRatio: at least 0.001 is expected, got 0",
            ),
            (
                r#"{"maxTokens": 1, "tokenRatio": -1}"#,
                "tokenRatio: at least 0.001 is expected, got -1",
            ),
            (
                r#"{"maxTokens": 1, "tokenRatio": 0.0009}"#,
                "tokenRatio: at least 0.001 is expected, got 0.0009",
            ),
            (r#"{"tokenRatio": 1}"#, "maxTokens: this field is required"),
            (r#"{"maxTokens": 1}"#, "tokenRatio: this field is required"),
        ] {
            assert_eq!(throttling(json), Err(expected.to_owned()), "{json}");
        }
    }
}
