//! The builder of a policy, and a policy with its config.
//!
//! The registry calls `parse_config` when a service config is parsed, on the channel's task or in
//! `ClientConnBuilder::build`. The channel and policies with children call `build`, on the
//! channel's task.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Balancer, BalancerRegistry};
use crate::resolver::ChannelInfo;
use crate::service_config::{ConfigValue, ServiceConfigError};

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

/// The options of a channel that concern its balancers.
///
/// Source: grpc-go `balancer.BuildOptions`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BalancerOptions {
    /// The properties of the channel.
    pub channel: ChannelInfo,
}

impl BalancerOptions {
    /// Creates the options of a channel.
    #[must_use]
    pub const fn new(channel: ChannelInfo) -> Self {
        Self { channel }
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
