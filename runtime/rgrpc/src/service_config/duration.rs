//! `google.protobuf.Duration` as JSON: a number of seconds and an `s`.
//!
//! Called by the parser of service configs, and by those of policies' configs.

use std::time::Duration;

/// The maximum of `google.protobuf.Duration`, in seconds: about 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

/// A duration with a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignedDuration {
    negative: bool,
    magnitude: Duration,
}

impl SignedDuration {
    /// Parses a text such as `-1.5s`: up to nine decimals, with digits before or after the point.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('s')?;
        let (negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let has_digits = !whole.is_empty() || !decimals.is_empty();
        if !has_digits || !digits(whole) || !digits(decimals) || decimals.len() > 9 {
            return None;
        }
        let seconds = match whole {
            "" => 0,
            whole => whole.parse().ok().filter(|whole| *whole <= MAX_SECONDS)?,
        };
        let nanos = format!("{decimals:0<9}").parse().ok()?;
        Some(Self {
            negative,
            magnitude: Duration::new(seconds, nanos),
        })
    }

    /// The duration, or `None` if it is negative.
    pub(super) fn non_negative(self) -> Option<Duration> {
        (!self.negative || self.magnitude.is_zero()).then_some(self.magnitude)
    }

    /// The duration, or `None` if it is negative or zero.
    pub(super) fn positive(self) -> Option<Duration> {
        self.non_negative().filter(|duration| !duration.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_with_up_to_nine_decimals() {
        for (text, negative, seconds, nanos) in [
            ("1s", false, 1, 0),
            ("0s", false, 0, 0),
            ("-0s", true, 0, 0),
            ("1.5s", false, 1, 500_000_000),
            ("0.000000001s", false, 0, 1),
            (".25s", false, 0, 250_000_000),
            ("3.s", false, 3, 0),
            ("-2.1s", true, 2, 100_000_000),
            ("007s", false, 7, 0),
            ("315576000000s", false, 315_576_000_000, 0),
        ] {
            let expected = SignedDuration {
                negative,
                magnitude: Duration::new(seconds, nanos),
            };
            assert_eq!(SignedDuration::parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for text in [
            "",
            "s",
            "1",
            "1ms",
            "1 s",
            " 1s",
            ".s",
            "-s",
            "-.s",
            "+1s",
            "--1s",
            "1.-5s",
            "1.2.3s",
            "1e3s",
            "0x1s",
            "1.0000000001s",
            "315576000001s",
            "99999999999999999999s",
            "٣s",
            "1S",
        ] {
            assert_eq!(SignedDuration::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn negative_durations_and_zero_can_be_excluded() {
        for (text, non_negative, positive) in [
            ("1s", true, true),
            ("0s", true, false),
            ("-0s", true, false),
            ("-1s", false, false),
        ] {
            let duration = SignedDuration::parse(text).expect(text);
            assert_eq!(duration.non_negative().is_some(), non_negative, "{text}");
            assert_eq!(duration.positive().is_some(), positive, "{text}");
        }
    }
}
