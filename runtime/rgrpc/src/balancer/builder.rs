use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Balancer, BalancerRegistry};
use crate::service_config::{ConfigValue, ServiceConfigError};

/// A load balancing policy that a service config can name.
///
/// Source: grpc-go `balancer.Builder`, `balancer.ConfigParser`.
pub trait BalancerBuilder: Send + Sync + 'static {
    /// The name in `loadBalancingConfig`, as `round_robin`.
    fn name(&self) -> &str;

    /// Reads the policy's config: what stands beside its name. Policies of others find those in the
    /// registry. Default: no field is looked at, and the config is `()`.
    ///
    /// # Errors
    /// The config is invalid; the service config is then refused as a whole.
    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        _registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        config.object()?;
        Ok(Arc::new(()))
    }

    /// The policy, for a channel or a part of its endpoints. Does nothing before its first
    /// [`update`](Balancer::update).
    fn build(&self) -> Box<dyn Balancer>;
}

/// A policy, and its config: an entry of `loadBalancingConfig` that was read.
#[derive(Clone)]
pub struct PolicyConfig {
    builder: Arc<dyn BalancerBuilder>,
    config: Arc<dyn Any + Send + Sync>,
}

impl PolicyConfig {
    /// A policy with a config that its [`parse_config`](BalancerBuilder::parse_config) could have
    /// made.
    pub fn new(builder: Arc<dyn BalancerBuilder>, config: Arc<dyn Any + Send + Sync>) -> Self {
        Self { builder, config }
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.builder.name()
    }

    /// What the policy is to be [updated](Balancer::update) with.
    #[must_use]
    pub fn config(&self) -> &Arc<dyn Any + Send + Sync> {
        &self.config
    }

    /// A new instance of the policy.
    #[must_use]
    pub fn build(&self) -> Box<dyn Balancer> {
        self.builder.build()
    }
}

impl fmt::Debug for PolicyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyConfig").field(&self.name()).finish()
    }
}
