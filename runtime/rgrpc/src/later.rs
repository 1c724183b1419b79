//! The time at which a wait ends.
//!
//! Users, service configs and peers set waits and timeouts, and one such as [`Duration::MAX`], a usual
//! way to say "never", is more than an [`Instant`] can express.

use std::time::Duration;

use tokio::time::Instant;

/// About a century.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The time at which a wait from now on ends, for a timer: at most about a century later.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    now + wait.min(FAR)
}

/// The time at which a timeout from now on passes. `None`, never, if it cannot be expressed.
#[inline]
pub(crate) fn deadline(now: Instant, timeout: Duration) -> Option<Instant> {
    now.checked_add(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_cannot_be_expressed_never_ends() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(later(now, second), now + second);
        assert_eq!(later(now, Duration::MAX), now + FAR);
        assert_eq!(deadline(now, second), Some(now + second));
        assert_eq!(deadline(now, Duration::MAX), None);
    }
}
