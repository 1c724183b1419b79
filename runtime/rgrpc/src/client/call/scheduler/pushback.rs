//! The pushback of a server: its trailer `grpc-retry-pushback-ms`.
//!
//! Read by the scheduler from the trailers of a failed attempt, on the task that polls the call.
//!
//! Source: gRFC A6, "Pushback".

use std::time::Duration;

use crate::metadata::Metadata;

/// The trailer by which a server says when to try again, in milliseconds, or not to.
const TRAILER: &str = "grpc-retry-pushback-ms";

/// A server's demand on the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    None,
    After(Duration),
    /// No attempt follows: the server says so, or says something that cannot be understood.
    Stop,
}

impl Pushback {
    pub(super) fn read(trailers: &Metadata) -> Self {
        let mut values = trailers.get_all(TRAILER);
        let (first, more) = (values.next(), values.next());
        let Some(value) = first else {
            return Self::None;
        };
        let milliseconds = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .and_then(|milliseconds| u64::try_from(milliseconds).ok());
        match (milliseconds, more) {
            (Some(milliseconds), None) => Self::After(Duration::from_millis(milliseconds)),
            _ => Self::Stop,
        }
    }
}
