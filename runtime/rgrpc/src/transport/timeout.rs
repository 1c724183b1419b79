//! `grpc-timeout` ("PROTOCOL-HTTP2", Timeout; grpc-go `internal/grpcutil/encode_duration.go`).
//! Engines write it with a request, and the parser of a request reads it.

use std::time::Duration;

/// The largest number that the header can carry: eight digits.
const MAX_VALUE: u128 = 99_999_999;

const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60 * 1_000_000_000),
    (b'H', 3_600 * 1_000_000_000),
];

/// Encodes the header's value in the finest unit that needs at most eight digits. The number is
/// rounded up, so that the server never gives up before the client.
pub(crate) fn encode_timeout(timeout: Duration) -> String {
    let nanos = timeout.as_nanos();
    for (unit, size) in UNITS {
        let value = nanos.div_ceil(size);
        if value <= MAX_VALUE {
            return format!("{value}{}", char::from(unit));
        }
    }
    format!("{MAX_VALUE}H")
}

/// Parses a header's value. Returns `None` if it is not one to eight digits and a unit.
pub(crate) fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (&unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let duration = match unit {
        b'n' => Duration::from_nanos(number),
        b'u' => Duration::from_micros(number),
        b'm' => Duration::from_millis(number),
        b'S' => Duration::from_secs(number),
        b'M' => Duration::from_secs(number * 60),
        b'H' => Duration::from_secs(number * 3_600),
        _ => return None,
    };
    Some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_sent_in_the_finest_unit_that_fits_rounded_up() {
        for (nanos, expected) in [
            (0, "0n"),
            (1, "1n"),
            (99_999_999, "99999999n"),
            (100_000_000, "100000u"),
            (100_000_001, "100001u"),
            (99_999_999_001, "100000m"),
            (99_999_999_000_001, "100000S"),
            (99_999_999 * 1_000_000_000, "99999999S"),
            (99_999_999 * 1_000_000_000 + 1, "1666667M"),
        ] {
            assert_eq!(encode_timeout(Duration::from_nanos(nanos)), expected);
        }
        assert_eq!(encode_timeout(Duration::MAX), "99999999H");
    }

    #[test]
    fn every_unit_is_parsed() {
        for (value, seconds) in [("2S", 2.0), ("3M", 180.0), ("1H", 3_600.0), ("5m", 0.005)] {
            let parsed = parse_timeout(value.as_bytes()).expect(value);
            assert!((parsed.as_secs_f64() - seconds).abs() < 1e-9, "{value}");
        }
        assert_eq!(parse_timeout(b"7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse_timeout(b"0n"), Some(Duration::ZERO));
        assert!(parse_timeout(b"99999999H").is_some());
    }

    #[test]
    fn malformed_timeouts_are_refused() {
        for value in [
            "",
            "S",
            "1",
            "1s",
            "1 S",
            "-1S",
            "+1S",
            "123456789n",
            "1.5S",
        ] {
            assert_eq!(parse_timeout(value.as_bytes()), None, "{value:?}");
        }
    }
}
