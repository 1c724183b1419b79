//! Which service config holds for a channel.

use std::sync::Arc;

use super::call_config::{CallConfig, Retries};
use crate::balancer::{BalancerRegistry, PolicyConfig};
use crate::service_config::{ServiceConfig, ServiceConfigError};
use crate::status::Status;

/// Decides which service config holds: the one that the resolver has found, or the default one.
///
/// Source: gRFC A21; grpc-go `ClientConn.updateResolverStateAndUnlock`.
pub(super) struct ServiceConfigs {
    registry: BalancerRegistry,
    retries: Retries,
    /// The resolver's are not looked at.
    ignores_resolver: bool,
    default: ChannelConfig,
    /// The one of the resolver that holds, and its text.
    found: Option<(String, ChannelConfig)>,
}

/// What a service config means for a channel.
#[derive(Clone, Debug)]
pub(super) struct ChannelConfig {
    pub(super) calls: Arc<CallConfig>,
    pub(super) policy: PolicyConfig,
    /// How many connections a subchannel may have.
    pub(super) max_connections: usize,
    /// Which service's health backends are asked for, if any.
    pub(super) health_service: Option<Arc<str>>,
}

impl ServiceConfigs {
    /// With a default config, as JSON.
    pub(super) fn new(
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
    pub(super) fn default_config(&self) -> &ChannelConfig {
        &self.default
    }

    /// The resolver has found a config, or none, or could not find out. An invalid one changes
    /// nothing if there is a good one of before.
    pub(super) fn choose(
        &mut self,
        found: Option<Result<String, Status>>,
    ) -> Result<&ChannelConfig, Status> {
        let Some(found) = found.filter(|_| !self.ignores_resolver) else {
            self.found = None;
            return Ok(&self.default);
        };
        let problem = match found {
            Ok(json) => match self.read_anew(json) {
                Ok(()) => None,
                Err(error) => Some(format!("the service config is invalid: {error}")),
            },
            Err(status) => Some(format!(
                "the service config could not be had: {}",
                status.message()
            )),
        };
        match (&self.found, problem) {
            (Some((_, config)), None) => Ok(config),
            (Some((_, config)), Some(problem)) => {
                tracing::warn!(problem, "the service config of before holds");
                Ok(config)
            }
            (None, problem) => Err(Status::unavailable(problem.unwrap_or_default())),
        }
    }

    fn read_anew(&mut self, json: String) -> Result<(), ServiceConfigError> {
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
    let config = ServiceConfig::parse(json)?;
    let max_connections = config.max_connections_per_subchannel.unwrap_or(1);
    Ok(ChannelConfig {
        max_connections: usize::try_from(max_connections).unwrap_or(usize::MAX),
        policy: registry.policy(&config)?,
        health_service: config.health_service.as_deref().map(Arc::from),
        calls: Arc::new(CallConfig::new(config, retries)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::{Balancer, BalancerBuilder, PickFirstBuilder};

    /// Another policy than the default one.
    struct Other;

    impl BalancerBuilder for Other {
        fn name(&self) -> &str {
            "other"
        }

        fn build(&self) -> Box<dyn Balancer> {
            PickFirstBuilder.build()
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

    fn chosen(configs: &mut ServiceConfigs, found: Option<Result<String, Status>>) -> String {
        match configs.choose(found) {
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
            let chosen = configs.choose(found).expect("valid");
            Arc::clone(&chosen.calls)
        };
        // Its retry throttle goes on.
        assert!(Arc::ptr_eq(&calls(), &calls()));
    }
}
