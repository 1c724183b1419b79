use std::sync::Arc;

use super::plan::Plan;
use super::throttle::RetryThrottle;
use crate::call::CallOptions;
use crate::service_config::{MethodConfig, MethodConfigs, ServiceConfig};

/// How many attempts a call makes at most by default, whatever its policy says.
pub(super) const DEFAULT_MAX_CALL_ATTEMPTS: u32 = 5;

/// What a channel's service config means for its calls.
#[derive(Debug)]
pub(super) struct CallConfig {
    methods: MethodConfigs,
    throttle: Option<Arc<RetryThrottle>>,
}

/// Which of a service config's retry and hedging policies a channel takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retries {
    Disabled,
    /// Policies that allow more attempts are cut to this many.
    AtMost(u32),
}

impl CallConfig {
    pub(super) fn new(config: ServiceConfig, retries: Retries) -> Self {
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

    /// What it says about this method, if anything.
    pub(super) fn method(&self, method: &str) -> Option<&MethodConfig> {
        self.methods.get(method)
    }

    /// Completes the options of a call of this method; returns by what its attempts are governed.
    pub(super) fn configure(&self, method: &str, options: &mut CallOptions) -> Plan {
        let config = self.method(method);
        if let Some(config) = config {
            apply(config, options);
        }
        let policy = config.and_then(|config| config.attempts.clone());
        Plan::new(policy, self.throttle.clone())
    }
}

/// The earlier deadline and the smaller limits hold; what the call itself says about waiting goes
/// before what the config says.
fn apply(config: &MethodConfig, options: &mut CallOptions) {
    if let Some(timeout) = config.timeout {
        options.timeout(timeout);
    }
    if let Some(wait_for_ready) = config.wait_for_ready {
        options.default_wait_for_ready(wait_for_ready);
    }
    if let Some(bytes) = config.max_request_message_bytes {
        options.limit_send_message_size(bytes);
    }
    if let Some(bytes) = config.max_response_message_bytes {
        options.limit_receive_message_size(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::retry::{Failure, Next};
    use super::*;
    use crate::status::Status;
    use crate::transport::Delivery;

    const METHOD: &str = "/a.B/C";
    const MIB: usize = 1024 * 1024;

    fn config(fields: &str, retries: Retries) -> CallConfig {
        let json = format!(
            r#"{{"methodConfig": [{{"name": [{{"service": "a.B"}}], {fields}}}],
                "retryThrottling": {{"maxTokens": 2, "tokenRatio": 1}}}}"#
        );
        CallConfig::new(ServiceConfig::parse(&json).expect("valid"), retries)
    }

    /// What becomes of the options of a call.
    fn configured(fields: &str, mut options: CallOptions) -> CallOptions {
        config(fields, Retries::Disabled).configure(METHOD, &mut options);
        options
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_deadlines_holds() {
        for (own, expected) in [(None, 2), (Some(1), 1), (Some(3), 2)] {
            let mut options = CallOptions::new();
            if let Some(seconds) = own {
                options.timeout(Duration::from_secs(seconds));
            }
            let options = configured(r#""timeout": "2s""#, options);
            let left = options.deadline().map(|at| at - Instant::now());
            assert_eq!(left, Some(Duration::from_secs(expected)), "{own:?}");
        }
    }

    #[test]
    fn a_call_waits_for_ready_as_it_says_itself_else_as_the_config_says() {
        for (own, config, expected) in [
            (None, true, true),
            (None, false, false),
            (Some(true), false, true),
            (Some(false), true, false),
        ] {
            let mut options = CallOptions::new();
            if let Some(wait) = own {
                options.set_wait_for_ready(wait);
            }
            let options = configured(&format!(r#""waitForReady": {config}"#), options);
            assert_eq!(options.wait_for_ready(), expected, "{own:?} {config}");
        }
    }

    #[test]
    fn the_smaller_of_two_limits_holds_and_either_replaces_the_default() {
        for (own, config, expected) in [
            (None, 5 * MIB, 5 * MIB),
            (None, 1, 1),
            (Some(2), 1, 1),
            (Some(1), 2, 1),
        ] {
            let mut options = CallOptions::new();
            if let Some(bytes) = own {
                options.set_max_receive_message_size(bytes);
                options.set_max_send_message_size(bytes);
            }
            let fields = format!(
                r#""maxRequestMessageBytes": {config}, "maxResponseMessageBytes": {config}"#
            );
            let options = configured(&fields, options);
            assert_eq!(options.max_send_message_size(), expected);
            assert_eq!(options.max_receive_message_size(), expected);
        }
    }

    #[test]
    fn other_methods_keep_their_options() {
        let mut options = CallOptions::new();
        config(r#""waitForReady": true"#, Retries::Disabled).configure("/a.X/C", &mut options);
        assert!(!options.wait_for_ready());
    }

    #[test]
    fn policies_are_cut_to_the_channels_maximum_or_dropped() {
        for (retries, attempts) in [
            (Retries::Disabled, 1),
            (Retries::AtMost(2), 2),
            (Retries::AtMost(5), 5),
            (Retries::AtMost(9), 7),
        ] {
            let config = config(
                r#""retryPolicy": {
                    "maxAttempts": 7, "initialBackoff": "1s", "maxBackoff": "1s",
                    "backoffMultiplier": 1, "retryableStatusCodes": [14]
                }"#,
                retries,
            );
            // Enough for all.
            let config = CallConfig {
                throttle: None,
                ..config
            };
            let plan = config.configure(METHOD, &mut CallOptions::new());
            let Plan::Retry(mut made) = plan else {
                panic!("a plan of retries");
            };
            let failure = Failure {
                status: Status::unavailable(""),
                delivery: Delivery::Possible,
                is_final: false,
            };
            while let Next::After(_) = made.failed(&failure, 0.5) {}
            assert_eq!(made.previous() + 1, attempts, "{retries:?}");
        }
    }

    #[test]
    fn hedging_is_cut_to_the_channels_maximum_or_dropped() {
        let now = Instant::now();
        for (retries, attempts) in [
            (Retries::Disabled, 0),
            (Retries::AtMost(2), 2),
            (Retries::AtMost(9), 7),
        ] {
            let config = config(r#""hedgingPolicy": {"maxAttempts": 7}"#, retries);
            let made = match config.configure(METHOD, &mut CallOptions::new()) {
                Plan::Retry(_) => 0,
                Plan::Hedge(mut hedges) => {
                    hedges.start(now);
                    std::iter::from_fn(|| hedges.begin(now)).count()
                }
            };
            assert_eq!(made, attempts, "{retries:?}");
        }
    }

    #[test]
    fn without_retries_nothing_is_throttled() {
        for (retries, throttled) in [(Retries::Disabled, false), (Retries::AtMost(5), true)] {
            let config = config(r#""timeout": null"#, retries);
            assert_eq!(config.throttle.is_some(), throttled);
        }
    }
}
