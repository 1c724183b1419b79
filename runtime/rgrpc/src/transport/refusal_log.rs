//! The log of the connections that a server refuses. The tasks of its connections write to
//! it, and it to the log at most once a second.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::io::Address;
use crate::lock::lock;

/// The least time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Logs the connections that a server has refused, at most one a second at level warn. So a flood
/// of bad handshakes does not become a flood of lines. The others are logged at level debug, and
/// counted in the next line.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<RateLimit>);

impl RefusalLog {
    /// Logs that a connection of this client was refused.
    pub(crate) fn refused(&self, peer: &Address, reason: &dyn fmt::Display) {
        let permit = lock(&self.0).permit(Instant::now());
        match permit {
            Some(0) => tracing::warn!(%peer, %reason, "a connection was refused"),
            Some(suppressed) => tracing::warn!(
                %peer, %reason, suppressed,
                "a connection was refused, as were others since the last such line"
            ),
            None => tracing::debug!(%peer, %reason, "a connection was refused"),
        }
    }
}

/// Permits one event a second, and counts the others.
#[derive(Debug, Default)]
struct RateLimit {
    last: Option<Instant>,
    suppressed: u64,
}

impl RateLimit {
    /// Returns the number of suppressed events since the last permitted one, if an event at this
    /// time passes.
    fn permit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + INTERVAL) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_a_second_passes_with_the_number_of_those_before_it() {
        let begun = Instant::now();
        let mut limit = RateLimit::default();
        for (millis, permit) in [
            (0, Some(0)),
            (0, None),
            (500, None),
            (999, None),
            (1_000, Some(3)),
            (1_999, None),
            (2_500, Some(1)),
            (3_500, Some(0)),
            (9_000, Some(0)),
        ] {
            let now = begun + Duration::from_millis(millis);
            assert_eq!(limit.permit(now), permit, "{millis} ms");
        }
    }
}
