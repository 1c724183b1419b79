//! `grpc-timeout`: the server never gives up before the client, and not much after it.

use std::time::Duration;

use super::Choices;
use crate::transport::timeout::{encode_timeout, parse_timeout};

/// The maximum timeout on the wire: 99,999,999 hours.
const LONGEST: Duration = Duration::from_secs(99_999_999 * 3_600);

/// Parses the octets as a value, and takes them as a duration to send.
pub fn timeout(data: &[u8]) {
    if let Some(timeout) = parse_timeout(data) {
        let text = encode_timeout(timeout);
        assert_eq!(
            parse_timeout(text.as_bytes()),
            Some(timeout),
            "{text} is another timeout than what it was made of"
        );
    }
    let mut choices = Choices::new(data);
    let seconds = u64::from(choices.word()) << (choices.octet() % 32);
    let timeout = Duration::new(seconds, choices.word() % 1_000_000_000);
    let text = encode_timeout(timeout);
    assert!((2..=9).contains(&text.len()), "{text}");
    let sent = parse_timeout(text.as_bytes()).expect("a value of ours");
    assert!(sent >= timeout.min(LONGEST), "{text} for {timeout:?}");
    let excess = sent.saturating_sub(timeout);
    assert!(excess <= timeout / 10_000, "{text} for {timeout:?}");
}
