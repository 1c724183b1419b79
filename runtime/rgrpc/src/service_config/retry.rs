//! The retry policy of a method, and the retry throttling of a channel (gRFC A6).
//!
//! Parsed with the service config or made by a config selector; read by the scheduler of each call
//! and by the channel's token bucket.

use std::time::Duration;

use super::ServiceConfigError;
use super::json::{ConfigObject, ConfigValue};
use crate::status::Code;

/// The `retryPolicy` of a method: the failures that are retried, the number of attempts, and the
/// backoff.
///
/// ```
/// use std::time::Duration;
///
/// use rgrpc::{Code, RetryPolicy};
///
/// let policy = RetryPolicy::new(4, [Code::Unavailable])?
///     .with_backoff(Duration::from_millis(100), Duration::from_secs(1), 2.0)?;
/// assert_eq!(policy.max_attempts(), 4);
///
/// let error = RetryPolicy::new(1, [Code::Unavailable]).expect_err("one attempt is no retry");
/// assert_eq!(error.to_string(), "maxAttempts: at least 2 is expected, got 1");
/// # Ok::<(), rgrpc::ServiceConfigError>(())
/// ```
///
/// Source: gRFC A6, "Retry Policy"; grpc-go `serviceconfig.RetryPolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
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
    /// Creates a policy: at most `max_attempts` attempts, the first included, while they fail with
    /// one of these codes. The channel's
    /// [maximum](crate::ClientConnBuilder::max_call_attempts) applies too. The backoff is that of
    /// gRFC A44: 25 ms, doubled after each retry, at most 250 ms.
    ///
    /// # Errors
    /// `max_attempts` is less than 2, or there is no code. The error names the field of the service
    /// config.
    pub fn new(
        max_attempts: u32,
        retryable_codes: impl IntoIterator<Item = Code>,
    ) -> Result<Self, ServiceConfigError> {
        check_max_attempts(max_attempts)?;
        let retryable_codes = CodeSet::of(retryable_codes);
        if retryable_codes.is_empty() {
            return Err(ServiceConfigError::new(RETRYABLE_CODES, NO_CODE));
        }
        Ok(Self {
            max_attempts,
            initial_backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            backoff_multiplier: 2.0,
            retryable_codes,
        })
    }

    /// Sets the backoff before the first retry, the factor by which it grows after each, and its
    /// maximum. Each is taken with a jitter of 20 %.
    ///
    /// # Errors
    /// A duration is zero, or the multiplier is not a number above 0. The error names the field of
    /// the service config.
    pub fn with_backoff(
        mut self,
        initial: Duration,
        max: Duration,
        multiplier: f64,
    ) -> Result<Self, ServiceConfigError> {
        for (name, backoff) in [("initialBackoff", initial), ("maxBackoff", max)] {
            if backoff.is_zero() {
                return Err(ServiceConfigError::new(
                    name,
                    "more than 0s is expected, got 0s",
                ));
            }
        }
        if !(multiplier > 0.0 && multiplier.is_finite()) {
            return Err(ServiceConfigError::new(
                "backoffMultiplier",
                format!("more than 0 is expected, got {multiplier}"),
            ));
        }
        self.initial_backoff = initial;
        self.max_backoff = max;
        self.backoff_multiplier = multiplier;
        Ok(self)
    }

    /// The maximum number of attempts, the first included (`maxAttempts`).
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The backoff before the first retry (`initialBackoff`).
    #[must_use]
    pub const fn initial_backoff(&self) -> Duration {
        self.initial_backoff
    }

    /// The maximum backoff (`maxBackoff`).
    #[must_use]
    pub const fn max_backoff(&self) -> Duration {
        self.max_backoff
    }

    /// The factor by which the backoff grows after each retry (`backoffMultiplier`).
    #[must_use]
    pub const fn backoff_multiplier(&self) -> f64 {
        self.backoff_multiplier
    }

    /// Returns whether an attempt that fails with this code is retried (`retryableStatusCodes`).
    #[must_use]
    pub const fn retries(&self, code: Code) -> bool {
        self.retryable_codes.contains(code)
    }

    pub(super) fn parse(policy: &ConfigValue<'_>) -> Result<Self, ServiceConfigError> {
        let policy = policy.object()?;
        Ok(Self {
            max_attempts: parse_max_attempts(&policy.required("maxAttempts")?)?,
            initial_backoff: parse_backoff(&policy, "initialBackoff")?,
            max_backoff: parse_backoff(&policy, "maxBackoff")?,
            backoff_multiplier: parse_multiplier(&policy.required("backoffMultiplier")?)?,
            retryable_codes: parse_retryable(&policy.required(RETRYABLE_CODES)?)?,
        })
    }
}

/// The name of the field of retryable codes.
const RETRYABLE_CODES: &str = "retryableStatusCodes";

/// The problem of a policy that retries nothing.
const NO_CODE: &str = "at least one status code is expected";

/// Checks the number of attempts of a policy that is not from JSON.
pub(super) fn check_max_attempts(attempts: u32) -> Result<(), ServiceConfigError> {
    if attempts < 2 {
        return Err(ServiceConfigError::new(
            "maxAttempts",
            format!("at least 2 is expected, got {attempts}"),
        ));
    }
    Ok(())
}

fn parse_retryable(codes: &ConfigValue<'_>) -> Result<CodeSet, ServiceConfigError> {
    match CodeSet::parse(codes)? {
        set if set.is_empty() => Err(codes.error(NO_CODE)),
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
    backoff
        .signed_duration()?
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
    /// The set of these codes.
    pub(super) fn of(codes: impl IntoIterator<Item = Code>) -> Self {
        Self(codes.into_iter().fold(0, |set, code| set | bit(code)))
    }

    pub(crate) const fn contains(self, code: Code) -> bool {
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

const fn bit(code: Code) -> u32 {
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
    fn a_policy_that_is_made_without_json_is_checked_alike() {
        let new = |attempts, codes: &[Code]| {
            let policy = RetryPolicy::new(attempts, codes.iter().copied());
            policy.map_err(|error| error.to_string())
        };
        let second = Duration::from_secs(1);
        let backoff = |initial, max, multiplier| {
            let policy = new(2, &[Code::Aborted]).expect("valid");
            let policy = policy.with_backoff(initial, max, multiplier);
            policy.map_err(|error| error.to_string())
        };
        let made = new(3, &[Code::Unavailable]).expect("valid");
        let made = made.with_backoff(second / 10, 2 * second, 1.5);
        assert_eq!(made, Ok(policy("maxAttempts", "3").expect("valid")));
        let zero = Duration::ZERO;
        for (made, expected) in [
            (
                new(1, &[Code::Aborted]),
                "maxAttempts: at least 2 is expected, got 1",
            ),
            (
                new(2, &[]),
                "retryableStatusCodes: at least one status code is expected",
            ),
            (
                backoff(zero, second, 1.0),
                "initialBackoff: more than 0s is expected, got 0s",
            ),
            (
                backoff(second, zero, 1.0),
                "maxBackoff: more than 0s is expected, got 0s",
            ),
            (
                backoff(second, second, 0.0),
                "backoffMultiplier: more than 0 is expected, got 0",
            ),
            (
                backoff(second, second, f64::NAN),
                "backoffMultiplier: more than 0 is expected, got NaN",
            ),
        ] {
            assert_eq!(made.expect_err(expected), expected);
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
