//! Chooses the service config of a channel.
//!
//! Called by the channel's task with each answer of the resolver.

use std::sync::Arc;

use super::call_config::{CallConfig, Retries};
use super::selector::SelectorAttribute;
use crate::balancer::{BalancerRegistry, PolicyConfig};
use crate::extensions::Extensions;
use crate::resolver::ResolverError;
use crate::service_config::{FieldLog, ServiceConfig, ServiceConfigError};
use crate::status::Status;

/// The service config of the resolver, if it has found one, and the default one.
///
/// Source: gRFC A21; grpc-go `ClientConn.updateResolverStateAndUnlock`.
#[derive(Clone)]
pub(in crate::client) struct ServiceConfigs {
    registry: BalancerRegistry,
    retries: Retries,
    /// The resolver's are not looked at.
    ignores_resolver: bool,
    default: ChannelConfig,
    /// The resolver's config in use, and its text.
    found: Option<(String, ChannelConfig)>,
}

/// A service config, as the channel uses it.
#[derive(Clone, Debug)]
pub(in crate::client) struct ChannelConfig {
    pub(in crate::client) calls: Arc<CallConfig>,
    pub(in crate::client) policy: PolicyConfig,
    /// The maximum number of connections of a subchannel.
    pub(in crate::client) max_connections: usize,
    /// The service whose health backends are asked for, if any.
    pub(in crate::client) health_service: Option<Arc<str>>,
}

impl ServiceConfigs {
    /// With a default config, as JSON.
    pub(in crate::client) fn new(
        registry: BalancerRegistry,
        retries: Retries,
        ignores_resolver: bool,
        default: Option<&str>,
    ) -> Result<Self, ServiceConfigError> {
        let default = read(default.unwrap_or("{}"), &registry, retries)?;
        Ok(Self {
            registry,
            retries,
            ignores_resolver,
            default,
            found: None,
        })
    }

    /// The one that holds as long as the resolver has found none.
    pub(in crate::client) fn default_config(&self) -> &ChannelConfig {
        &self.default
    }

    /// The config of a resolver's state: its service config, policy and selector, as far as it has
    /// them and the channel does not ignore them. An invalid service config changes nothing if there
    /// is a good one of before.
    pub(in crate::client) fn choose(
        &mut self,
        found: Option<Result<String, ResolverError>>,
        attributes: &Extensions,
    ) -> Result<ChannelConfig, Status> {
        let mut config = self.choose_service_config(found)?.clone();
        if self.ignores_resolver {
            return Ok(config);
        }
        if let Some(policy) = attributes.get::<PolicyConfig>() {
            config.policy = policy.clone();
        }
        if let Some(SelectorAttribute(selector)) = attributes.get() {
            let calls = config.calls.with_selector(Arc::clone(selector));
            config.calls = Arc::new(calls);
        }
        Ok(config)
    }

    /// The resolver has found a service config, or none, or could not find out.
    fn choose_service_config(
        &mut self,
        found: Option<Result<String, ResolverError>>,
    ) -> Result<&ChannelConfig, Status> {
        let Some(found) = found.filter(|_| !self.ignores_resolver) else {
            self.found = None;
            return Ok(&self.default);
        };
        let problem = match found {
            Ok(json) => match self.parse(json) {
                Ok(()) => None,
                Err(error) => Some(format!("the service config is invalid: {error}")),
            },
            Err(error) => Some(format!("the service config is not available: {error}")),
        };
        match (&self.found, problem) {
            (Some((_, config)), None) => Ok(config),
            (Some((_, config)), Some(problem)) => {
                tracing::warn!(problem, "the previous service config stays in use");
                Ok(config)
            }
            (None, problem) => Err(Status::unavailable(problem.unwrap_or_default())),
        }
    }

    fn parse(&mut self, json: String) -> Result<(), ServiceConfigError> {
        let is_known = matches!(&self.found, Some((text, _)) if *text == json);
        if !is_known {
            let config = read(&json, &self.registry, self.retries)?;
            self.found = Some((json, config));
        }
        Ok(())
    }
}

fn read(
    json: &str,
    registry: &BalancerRegistry,
    retries: Retries,
) -> Result<ChannelConfig, ServiceConfigError> {
    let log = FieldLog::default();
    let config = ServiceConfig::parse_logged(json, &log)?;
    let policy = registry.policy(&config, &log)?;
    warn_of_unknown_fields(&log);
    let max_connections = config.max_connections_per_subchannel.unwrap_or(1);
    Ok(ChannelConfig {
        max_connections: usize::try_from(max_connections).unwrap_or(usize::MAX),
        policy,
        health_service: config.health_service.as_deref().map(Arc::from),
        calls: Arc::new(CallConfig::new(config, retries)),
    })
}

/// The largest number of unknown fields that are named: a service config is not always the user's
/// own.
const MAX_UNKNOWN_FIELDS: usize = 10;

fn warn_of_unknown_fields(log: &FieldLog) {
    let unknown = log.unknown();
    for field in unknown.iter().take(MAX_UNKNOWN_FIELDS) {
        tracing::warn!(%field, "the service config has an unknown field");
    }
    if let Some(more @ 1..) = unknown.len().checked_sub(MAX_UNKNOWN_FIELDS) {
        tracing::warn!(more, "the service config has more unknown fields");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::{Balancer, BalancerBuilder, BalancerOptions, PickFirstBuilder};

    /// Another policy than the default one.
    struct Other;

    impl BalancerBuilder for Other {
        fn name(&self) -> &str {
            "other"
        }

        fn build(&self, options: &BalancerOptions) -> Box<dyn Balancer> {
            PickFirstBuilder.build(options)
        }
    }

    fn configs(default: Option<&str>, ignores_resolver: bool) -> ServiceConfigs {
        let mut registry = BalancerRegistry::default();
        registry.register(Arc::new(Other));
        ServiceConfigs::new(registry, Retries::Disabled, ignores_resolver, default).expect("valid")
    }

    fn policy(json: &str) -> String {
        format!(r#"{{"loadBalancingConfig": [{{"{json}": {{}}}}]}}"#)
    }

    fn unknown(json: &str) -> Vec<String> {
        let log = FieldLog::default();
        let config = ServiceConfig::parse_logged(json, &log).expect(json);
        let registry = BalancerRegistry::default();
        registry.policy(&config, &log).expect(json);
        log.unknown().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unknown_fields_are_named_with_their_path_and_the_nearest_known_name() {
        let json = r#"{
            "methodConfigs": [],
            "methodConfig": [
                {"name": [{"service": "a.B"}], "timeOut": "1s", "waitForReady": true},
                {"name": [{"service": "a.C", "methods": "D"}], "retryPolicy": {
                    "maxAttempts": 2, "initialBackoff": "1s", "max_backoff": "1s",
                    "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [14],
                    "absent": null
                }},
                {"timeout": "for no method"}
            ],
            "loadBalancingConfig": [
                {"unheard_of": {"whatever": 1}},
                {"outlier_detection_experimental": {
                    "childPolicy": [{"pick_first": {"shuffleAddresses": true}}],
                    "interval": "1s",
                    "completely different": 1
                }}
            ]
        }"#;
        assert_eq!(
            unknown(json),
            [
                "methodConfigs is unknown and ignored; the nearest known name is methodConfig",
                "loadBalancingConfig[1].outlier_detection_experimental.completely different is \
                 unknown and ignored",
                "loadBalancingConfig[1].outlier_detection_experimental.childPolicy[0].pick_first.\
                 shuffleAddresses is unknown and ignored; the nearest known name is \
                 shuffleAddressList",
                "methodConfig[0].timeOut is unknown and ignored; the nearest known name is timeout",
                "methodConfig[1].name[0].methods is unknown and ignored; the nearest known name is \
                 method",
                "methodConfig[1].retryPolicy.max_backoff is unknown and ignored; the nearest known \
                 name is maxBackoff",
            ]
        );
    }

    #[test]
    fn no_field_that_is_documented_is_unknown() {
        let policies = [
            r#"{"pick_first": {"shuffleAddressList": true}}"#,
            r#"{"round_robin": {}}"#,
            r#"{"least_request_experimental": {"choiceCount": 2}}"#,
            r#"{"weighted_round_robin": {"enableOobLoadReport": true, "oobReportingPeriod": "1s",
                "blackoutPeriod": "1s", "weightExpirationPeriod": "1s", "weightUpdatePeriod": "1s",
                "errorUtilizationPenalty": 1}}"#,
            r#"{"outlier_detection_experimental": {"interval": "1s", "baseEjectionTime": "1s",
                "maxEjectionTime": "1s", "maxEjectionPercent": 1,
                "successRateEjection": {"stdevFactor": 1, "enforcementPercentage": 1,
                    "minimumHosts": 1, "requestVolume": 1},
                "failurePercentageEjection": {"threshold": 1, "enforcementPercentage": 1,
                    "minimumHosts": 1, "requestVolume": 1},
                "childPolicy": [{"round_robin": {}}]}}"#,
            r#"{"priority_experimental": {"children": {"a": {"config": [{"round_robin": {}}],
                "ignoreReresolutionRequests": true}}, "priorities": ["a"]}}"#,
            r#"{"random_subsetting_experimental": {"subsetSize": 1,
                "childPolicy": [{"round_robin": {}}]}}"#,
            r#"{"ring_hash_experimental": {"minRingSize": 1, "maxRingSize": 2,
                "requestHashHeader": "x"}}"#,
            r#"{"weighted_target_experimental": {"targets": {"a": {"weight": 1,
                "childPolicy": [{"round_robin": {}}]}}}}"#,
        ];
        for policy in policies {
            let json = format!(
                r#"{{
                    "loadBalancingConfig": [{policy}],
                    "loadBalancingPolicy": "round_robin",
                    "healthCheckConfig": {{"serviceName": "a"}},
                    "connectionScaling": {{"maxConnectionsPerSubchannel": 2}},
                    "retryThrottling": {{"maxTokens": 10, "tokenRatio": 1}},
                    "methodConfig": [
                        {{"name": [{{"service": "a.B", "method": "C"}}], "timeout": "1s",
                          "waitForReady": true, "maxRequestMessageBytes": 1,
                          "maxResponseMessageBytes": 1,
                          "hedgingPolicy": {{"maxAttempts": 2, "hedgingDelay": "1s",
                            "nonFatalStatusCodes": []}}}}
                    ]
                }}"#
            );
            assert_eq!(unknown(&json), [""; 0], "{policy}");
        }
    }

    fn chosen(configs: &mut ServiceConfigs, found: Option<Result<String, Status>>) -> String {
        let found = found.map(|found| found.map_err(ResolverError::from));
        match configs.choose(found, &Extensions::new()) {
            Ok(config) => config.policy.name().to_owned(),
            Err(status) => format!("{}: {}", status.code(), status.message()),
        }
    }

    #[test]
    fn the_resolvers_config_goes_before_the_default_one() {
        let default = policy("other");
        let mut configs = configs(Some(&default), false);
        assert_eq!(chosen(&mut configs, None), "other");
        let found = Some(Ok(policy("pick_first")));
        assert_eq!(chosen(&mut configs, found), "pick_first");
        assert_eq!(chosen(&mut configs, None), "other", "it has none now");
    }

    #[test]
    fn without_any_the_policy_is_pick_first() {
        assert_eq!(chosen(&mut configs(None, false), None), "pick_first");
    }

    #[test]
    fn a_channel_that_ignores_the_resolver_keeps_the_default_one() {
        let mut configs = configs(None, true);
        let found = Some(Ok(policy("other")));
        assert_eq!(chosen(&mut configs, found), "pick_first");
        assert_eq!(chosen(&mut configs, Some(Ok("{".to_owned()))), "pick_first");
    }

    #[test]
    fn an_invalid_config_fails_the_channel_if_there_was_none_before_and_is_ignored_else() {
        let mut configs = configs(None, false);
        for found in [Ok("[]".to_owned()), Err(Status::internal("no answer"))] {
            let text = chosen(&mut configs, Some(found));
            assert!(
                text.starts_with("UNAVAILABLE: the service config "),
                "{text}"
            );
        }
        chosen(&mut configs, Some(Ok(policy("other"))));
        for found in [Ok("[]".to_owned()), Err(Status::internal("no answer"))] {
            assert_eq!(chosen(&mut configs, Some(found)), "other");
        }
    }

    #[test]
    fn a_config_that_has_not_changed_is_not_read_again() {
        let mut configs = configs(None, false);
        let mut calls = || {
            let found = Some(Ok(policy("other")));
            let chosen = configs.choose(found, &Extensions::new()).expect("valid");
            Arc::clone(&chosen.calls)
        };
        // Its retry throttle goes on.
        assert!(Arc::ptr_eq(&calls(), &calls()));
    }
}
