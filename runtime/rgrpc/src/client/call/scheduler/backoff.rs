//! The delay of a retry by its policy: a pure function.
//!
//! Asked by the scheduler after a failed attempt, on the task that polls the call.
//!
//! Source: gRFC A6, "Exponential Backoff".

use std::time::Duration;

use crate::service_config::RetryPolicy;

/// The spread of a delay, in either direction.
const JITTER: f64 = 0.2;

/// The delay after this many delays. `random` is in [0, 1).
pub(super) fn backoff(policy: &RetryPolicy, delays: u32, random: f64) -> Duration {
    let factor = policy.backoff_multiplier.powf(f64::from(delays));
    let seconds =
        (policy.initial_backoff.as_secs_f64() * factor).min(policy.max_backoff.as_secs_f64());
    Duration::from_secs_f64(seconds * (1.0 + JITTER * (2.0 * random - 1.0)))
}
