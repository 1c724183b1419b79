//! The kinds of policies that a channel has, by name. A policy's config is parsed with the registry, in
//! which a policy with children finds theirs. The channel's task and resolvers call it.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{Balancer, BalancerOptions};
use crate::resolver::ResolverOptions;
use crate::service_config::{ConfigValue, FieldLog, ServiceConfig, ServiceConfigError, parse_json};

/// A kind of load balancing policy, which service configs refer to by name.
///
/// Source: grpc-go `balancer.Builder`, `balancer.ConfigParser`.
pub trait BalancerBuilder: Send + Sync + 'static {
    /// The name in `loadBalancingConfig`, such as `round_robin`.
    fn name(&self) -> &str;

    /// Parses the policy's config, the value beside its name. Policies with children parse theirs
    /// with the registry. Default: ignores all fields and returns `()`.
    ///
    /// # Errors
    /// The config is invalid. The whole service config is then rejected.
    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        _registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        config.object()?;
        Ok(Arc::new(()))
    }

    /// Builds an instance of the policy. It does nothing before its first
    /// [`update`](Balancer::update).
    fn build(&self, options: &BalancerOptions) -> Box<dyn Balancer>;
}

/// The policies of a channel, by name.
#[derive(Clone)]
pub struct BalancerRegistry {
    builders: HashMap<String, Arc<dyn BalancerBuilder>>,
}

impl BalancerRegistry {
    /// Creates a registry without policies.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            builders: HashMap::new(),
        }
    }

    /// Adds a policy. It replaces an earlier one of the same name.
    pub fn register(&mut self, builder: Arc<dyn BalancerBuilder>) {
        self.builders.insert(builder.name().to_owned(), builder);
    }

    /// The policy with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn BalancerBuilder>> {
        self.builders.get(name)
    }

    /// The policy that a service config chooses. Default: `pick_first`. `log` records the fields
    /// that are read.
    pub(crate) fn policy(
        &self,
        config: &ServiceConfig,
        log: &FieldLog,
    ) -> Result<PolicyConfig, ServiceConfigError> {
        if let Some(list) = config.load_balancing(log) {
            return self.parse(&list);
        }
        let name = config.load_balancing_policy();
        let builder = self.get(name).ok_or_else(|| {
            ServiceConfigError::new(
                "loadBalancingPolicy",
                format!("the policy {name:?} is not known"),
            )
        })?;
        let empty = serde_json::Value::Object(serde_json::Map::new());
        let config = builder.parse_config(&ConfigValue::root(&empty), self)?;
        Ok(PolicyConfig::new(Arc::clone(builder), config))
    }

    /// Parses a `loadBalancingConfig`, or the `childPolicy` of a policy: a list of objects with one
    /// field each, a policy's name with its config. Chooses the first known policy.
    ///
    /// # Errors
    /// The value is not such a list, none of its policies is known, or the config of the chosen one
    /// is invalid.
    ///
    /// Source: gRFC A24.
    pub fn parse(&self, list: &ConfigValue<'_>) -> Result<PolicyConfig, ServiceConfigError> {
        let mut names = Vec::new();
        for entry in list.items()? {
            let (name, config) = entry.object()?.only_field()?;
            if let Some(builder) = self.get(name) {
                let parsed = builder.parse_config(&config, self)?;
                return Ok(PolicyConfig::new(Arc::clone(builder), parsed));
            }
            names.push(name);
        }
        Err(list.error(if names.is_empty() {
            "a policy is expected, got an empty list".to_owned()
        } else {
            format!("none of these policies is known: {}", names.join(", "))
        }))
    }

    /// [Parses](Self::parse) a list from a JSON document, for the tests of policies.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rgrpc::balancer::{BalancerRegistry, PickFirstBuilder, PickFirstConfig};
    ///
    /// let mut registry = BalancerRegistry::empty();
    /// registry.register(Arc::new(PickFirstBuilder));
    /// let json = r#"[{"unheard_of": {}}, {"pick_first": {"shuffleAddressList": true}}]"#;
    /// let policy = registry.parse_json(json)?;
    /// assert_eq!(policy.name(), "pick_first");
    /// let config = policy.config().downcast_ref::<PickFirstConfig>();
    /// assert!(config.is_some_and(|config| config.shuffle_address_list));
    /// # Ok::<(), rgrpc::ServiceConfigError>(())
    /// ```
    ///
    /// # Errors
    /// The text is not JSON, or an error of [`parse`](Self::parse).
    pub fn parse_json(&self, json: &str) -> Result<PolicyConfig, ServiceConfigError> {
        self.parse(&ConfigValue::root(&parse_json(json)?))
    }
}

impl fmt::Debug for BalancerRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.builders.keys()).finish()
    }
}

impl ResolverOptions {
    /// The policies of the channel: a resolver finds a policy among them by name, or parses a
    /// policy's config.
    ///
    /// Source: gRFC A52; grpc-go's global registry `balancer.Get`.
    #[must_use]
    pub fn balancers(&self) -> BalancerRegistry {
        self.values.get().cloned().unwrap_or_default()
    }

    pub(crate) fn set_balancers(&mut self, registry: BalancerRegistry) {
        self.values.insert(registry);
    }
}

/// A policy and its parsed config: an entry of `loadBalancingConfig`.
#[derive(Clone)]
pub struct PolicyConfig {
    builder: Arc<dyn BalancerBuilder>,
    config: Arc<dyn Any + Send + Sync>,
}

impl PolicyConfig {
    /// Combines a policy with a config of the type that its
    /// [`parse_config`](BalancerBuilder::parse_config) returns.
    pub fn new(builder: Arc<dyn BalancerBuilder>, config: Arc<dyn Any + Send + Sync>) -> Self {
        Self { builder, config }
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.builder.name()
    }

    /// The parsed config, for the policy's [updates](Balancer::update).
    #[must_use]
    pub fn config(&self) -> &Arc<dyn Any + Send + Sync> {
        &self.config
    }

    /// Builds a new instance of the policy. A parent policy has the options from its
    /// [`ChannelControl`](super::ChannelControl::build_options).
    #[must_use]
    pub fn build(&self, options: &BalancerOptions) -> Box<dyn Balancer> {
        self.builder.build(options)
    }
}

impl fmt::Debug for PolicyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyConfig").field(&self.name()).finish()
    }
}
