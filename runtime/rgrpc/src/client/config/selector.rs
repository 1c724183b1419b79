//! The place of a config selector and of a typed policy in the state of a resolver.
//!
//! Set by users' resolvers, as attributes of their state; read by the channel's task, which publishes
//! the selector for calls.

use std::sync::Arc;

use crate::balancer::PolicyConfig;
use crate::call::ConfigSelector;
use crate::resolver::ResolverState;

/// The config selector of a resolver's state, as an attribute of it.
#[derive(Clone)]
pub(in crate::client) struct SelectorAttribute(pub(in crate::client) Arc<dyn ConfigSelector>);

impl ResolverState {
    /// Sets the selector of the config of each call. Default: none, and the method configs of the
    /// service config apply.
    ///
    /// With a selector they are ignored, while the rest of the service config applies: the policy,
    /// retry throttling, health checks. A channel that
    /// [ignores](crate::ClientConnBuilder::disable_service_config) service configs ignores the
    /// selector too.
    ///
    /// Source: gRFC A31; grpc-go `internal/resolver.SetConfigSelector`.
    #[must_use]
    pub fn with_config_selector(self, selector: impl ConfigSelector) -> Self {
        self.with_attribute(SelectorAttribute(Arc::new(selector)))
    }

    /// Sets the balancing policy with its config, without JSON. Default: the service config's.
    ///
    /// It takes the place of the `loadBalancingConfig` of the service config. The policy need not be
    /// [registered](crate::ClientConnBuilder::balancer). A channel that
    /// [ignores](crate::ClientConnBuilder::disable_service_config) service configs ignores it too.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use rgrpc::balancer::{PickFirstBuilder, PickFirstConfig, PolicyConfig};
    /// use rgrpc::resolver::ResolverState;
    ///
    /// let mut config = PickFirstConfig::default();
    /// config.shuffle_address_list = true;
    /// let policy = PolicyConfig::new(Arc::new(PickFirstBuilder), Arc::new(config));
    /// let state = ResolverState::new(Vec::new()).with_policy(policy);
    /// ```
    ///
    /// Source: grpc-go `serviceconfig.LoadBalancingConfig`.
    #[must_use]
    pub fn with_policy(self, policy: PolicyConfig) -> Self {
        self.with_attribute(policy)
    }
}
