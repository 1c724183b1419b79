//! The service config as it concerns the calls of a channel.
//!
//! Created by the channel's task for each new service config; read by every call, on its caller's
//! task.

use std::fmt;
use std::sync::Arc;

use super::retry_throttle::RetryThrottle;
use crate::call::ConfigSelector;
use crate::service_config::{AttemptPolicy, MethodConfig, MethodConfigs, ServiceConfig};

/// The default maximum number of attempts of a call, whatever its policy says.
pub(in crate::client) const DEFAULT_MAX_CALL_ATTEMPTS: u32 = 5;

/// The default maximum number of transparent retries of a call that servers refuse.
///
/// A server that ends each connection after a few requests, such as nginx with a low
/// `keepalive_requests`, refuses what is above its last stream, and so may the next ones while many
/// calls share the connection. Ten attempts with their pauses take 2.3 seconds.
pub(in crate::client) const DEFAULT_MAX_TRANSPARENT_RETRIES: u16 = 10;

/// The methods' configs and the throttle of a service config, or the selector in place of the
/// former.
#[derive(Clone)]
pub(in crate::client) struct CallConfig {
    methods: Arc<MethodConfigs>,
    throttle: Option<Arc<RetryThrottle>>,
    retries: Retries,
    selector: Option<Arc<dyn ConfigSelector>>,
}

/// The channel's say on the retry and hedging policies of a service config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Retries {
    Disabled,
    /// Policies that allow more attempts are cut to this many.
    AtMost(u32),
}

impl Retries {
    /// Cuts a policy to what the channel allows.
    pub(in crate::client) fn limit(self, attempts: &mut Option<AttemptPolicy>) {
        match (self, attempts) {
            (Self::Disabled, policy) => *policy = None,
            (Self::AtMost(most), Some(policy)) => policy.limit(most),
            (Self::AtMost(_), None) => {}
        }
    }
}

impl CallConfig {
    pub(in crate::client) fn new(config: ServiceConfig, retries: Retries) -> Self {
        let ServiceConfig {
            mut methods,
            retry_throttling,
            ..
        } = config;
        for method in methods.iter_mut() {
            retries.limit(&mut method.attempts);
        }
        let throttling = retry_throttling.filter(|_| retries != Retries::Disabled);
        Self {
            methods: Arc::new(methods),
            retries,
            selector: None,
            throttle: throttling.map(|throttling| Arc::new(RetryThrottle::new(throttling))),
        }
    }

    /// The same config with this selector of each call's config.
    pub(in crate::client) fn with_selector(&self, selector: Arc<dyn ConfigSelector>) -> Self {
        Self {
            selector: Some(selector),
            ..self.clone()
        }
    }

    /// The selector of each call's config, if the resolver has given one.
    pub(in crate::client) fn selector(&self) -> Option<&Arc<dyn ConfigSelector>> {
        self.selector.as_ref()
    }

    /// The channel's say on retry and hedging policies.
    pub(in crate::client) fn retries(&self) -> Retries {
        self.retries
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

impl fmt::Debug for CallConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallConfig")
            .field("methods", &self.methods)
            .field("throttle", &self.throttle)
            .field("has_selector", &self.selector.is_some())
            .finish_non_exhaustive()
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
