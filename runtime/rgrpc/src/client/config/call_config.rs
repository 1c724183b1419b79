//! The service config as it concerns the calls of a channel.
//!
//! Created by the channel's task for each new service config; read by every call, on its caller's
//! task.

use std::sync::Arc;

use super::retry_throttle::RetryThrottle;
use crate::service_config::{MethodConfig, MethodConfigs, ServiceConfig};

/// The default maximum number of attempts of a call, whatever its policy says.
pub(in crate::client) const DEFAULT_MAX_CALL_ATTEMPTS: u32 = 5;

/// The default maximum number of transparent retries of a call that servers refuse.
///
/// A server that ends each connection after a few requests, such as nginx with a low
/// `keepalive_requests`, refuses what is above its last stream, and so may the next ones while many
/// calls share the connection. Ten attempts with their pauses take 2.3 seconds.
pub(in crate::client) const DEFAULT_MAX_TRANSPARENT_RETRIES: u16 = 10;

/// The methods' configs and the throttle of a service config.
#[derive(Debug)]
pub(in crate::client) struct CallConfig {
    methods: MethodConfigs,
    throttle: Option<Arc<RetryThrottle>>,
}

/// The channel's say on the retry and hedging policies of a service config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Retries {
    Disabled,
    /// Policies that allow more attempts are cut to this many.
    AtMost(u32),
}

impl CallConfig {
    pub(in crate::client) fn new(config: ServiceConfig, retries: Retries) -> Self {
        let ServiceConfig {
            mut methods,
            retry_throttling,
            ..
        } = config;
        for method in methods.iter_mut() {
            match (retries, &mut method.attempts) {
                (Retries::Disabled, policy) => *policy = None,
                (Retries::AtMost(most), Some(policy)) => policy.limit(most),
                (Retries::AtMost(_), None) => {}
            }
        }
        let throttling = retry_throttling.filter(|_| retries != Retries::Disabled);
        Self {
            methods,
            throttle: throttling.map(|throttling| Arc::new(RetryThrottle::new(throttling))),
        }
    }

    /// The config of this method, if there is one.
    pub(in crate::client) fn method(&self, method: &str) -> Option<&MethodConfig> {
        self.methods.get(method)
    }

    /// The throttle of retries and hedges, if there is one.
    pub(in crate::client) fn throttle(&self) -> Option<&Arc<RetryThrottle>> {
        self.throttle.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_retries_nothing_is_throttled() {
        for (retries, throttled) in [(Retries::Disabled, false), (Retries::AtMost(5), true)] {
            let json = r#"{"retryThrottling": {"maxTokens": 2, "tokenRatio": 1}}"#;
            let config = CallConfig::new(ServiceConfig::parse(json).expect("valid"), retries);
            assert_eq!(config.throttle().is_some(), throttled);
        }
    }
}
