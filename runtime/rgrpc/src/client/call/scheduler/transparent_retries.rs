//! Transparent retries: another attempt at a call that no server has processed.
//!
//! Asked by the scheduler after a failed attempt, on the task that polls the call.
//!
//! A call that never left this side may be retried as often as its deadline allows, one that a
//! server has provably not processed (REFUSED_STREAM, or above the last stream of a GOAWAY) up to a
//! bound. Neither counts as an attempt. The first one follows at once. Pauses grow after that, so
//! that a server that refuses for ever is not hammered.
//!
//! Source: gRFC A6, "Transparent Retries", where the bound is 1.

use std::time::Duration;

use crate::status::Status;
use crate::transport::Delivery;

/// The number of retries without a pause of a call that was not sent: a connection that goes away
/// takes with it all calls that wait for their turn, which is no reason to slow them down.
const NOT_SENT_AT_ONCE: u16 = 10;

/// The first pause; they double.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The transparent retries of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransparentRetries {
    max: u16,
    refused: u16,
    not_sent: u16,
}

impl TransparentRetries {
    /// None so far, and at most this many after refusals.
    pub(super) fn at_most(max: u16) -> Self {
        Self {
            max,
            refused: 0,
            not_sent: 0,
        }
    }

    /// An attempt has failed having got this far. Returns the pause before the retry; `None`
    /// if there is none. `random` is in [0, 1).
    pub(super) fn after(&mut self, delivery: Delivery, random: f64) -> Option<Duration> {
        let without_effect = match delivery {
            Delivery::NotSent => {
                let before = self.not_sent;
                self.not_sent = before.saturating_add(1);
                before.saturating_sub(NOT_SENT_AT_ONCE)
            }
            Delivery::Refused if self.refused < self.max => {
                self.refused += 1;
                self.refused - 1
            }
            Delivery::Refused | Delivery::Possible => return None,
        };
        Some(pause(without_effect, random))
    }

    /// The last failure of a call that was refused once more than is allowed.
    pub(super) fn refused(&self, status: Status) -> Status {
        let text = format!(
            "{} (servers refused it {} times without processing it; \
             the channel's max_transparent_retries is {})",
            status.message(),
            u32::from(self.refused) + 1,
            self.max,
        );
        status.with_message(text)
    }
}

/// The time to wait after this many retries; spread by half, so that calls that were refused
/// together do not come back together.
fn pause(before: u16, random: f64) -> Duration {
    let Some(doublings) = before.checked_sub(1) else {
        return Duration::ZERO;
    };
    let factor = 1 << u32::from(doublings).min(16);
    (FIRST_PAUSE * factor).min(MAX_PAUSE).mul_f64(0.5 + random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::DEFAULT_MAX_TRANSPARENT_RETRIES;

    fn pauses(delivery: Delivery, times: usize) -> Vec<Option<u128>> {
        let mut retries = TransparentRetries::at_most(DEFAULT_MAX_TRANSPARENT_RETRIES);
        (0..times)
            .map(|_| retries.after(delivery, 0.5).map(|pause| pause.as_millis()))
            .collect()
    }

    #[test]
    fn a_refused_call_is_retried_up_to_the_bound_with_growing_pauses() {
        let expected = [0, 5, 10, 20, 40, 80, 160, 320, 640, 1_000].map(Some);
        assert_eq!(pauses(Delivery::Refused, 10), expected);
        assert_eq!(pauses(Delivery::Refused, 12)[10..], [None, None]);
    }

    #[test]
    fn a_call_that_was_not_sent_is_retried_without_a_bound_and_later_with_pauses() {
        let pauses = pauses(Delivery::NotSent, 1_000);
        assert_eq!(pauses[..11], [Some(0); 11]);
        assert_eq!(pauses[11..14], [Some(5), Some(10), Some(20)]);
        assert_eq!(pauses[20..], [Some(1_000); 980]);
    }

    #[test]
    fn a_call_that_may_have_been_processed_is_not_retried() {
        assert_eq!(pauses(Delivery::Possible, 1), [None]);
    }

    #[test]
    fn pauses_are_spread_by_half() {
        assert_eq!(pause(1, 0.0), Duration::from_micros(2_500));
        assert_eq!(pause(1, 1.0), Duration::from_micros(7_500));
    }

    #[test]
    fn the_bound_can_be_that_of_grpc_go_or_none() {
        for max in [0, 1, 3] {
            let mut retries = TransparentRetries::at_most(max);
            let made = (0..9).filter(|_| retries.after(Delivery::Refused, 0.0).is_some());
            assert_eq!(made.count(), usize::from(max));
        }
    }
}
