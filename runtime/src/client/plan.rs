use std::sync::Arc;

use super::hedging::Hedges;
use super::retry::Attempts;
use super::throttle::RetryThrottle;
use crate::service_config::AttemptPolicy;

/// By what the attempts at a call are governed.
#[derive(Debug)]
pub(super) enum Plan {
    /// One at a time. Without a policy there are transparent retries alone.
    Retry(Attempts),
    /// Several at once.
    Hedge(Hedges),
}

impl Plan {
    pub(super) fn new(policy: Option<AttemptPolicy>, throttle: Option<Arc<RetryThrottle>>) -> Self {
        match policy {
            None => Self::Retry(Attempts::new(None, throttle)),
            Some(AttemptPolicy::Retry(policy)) => {
                Self::Retry(Attempts::new(Some(policy), throttle))
            }
            Some(AttemptPolicy::Hedging(policy)) => Self::Hedge(Hedges::new(policy, throttle)),
        }
    }

    /// Sets the maximum number of retries of a refused call. For a copy of a hedged call it is 1,
    /// as there are others.
    pub(super) fn limit_transparent(mut self, max: u16) -> Self {
        if let Self::Retry(attempts) = &mut self {
            attempts.limit_transparent(max);
        }
        self
    }
}
