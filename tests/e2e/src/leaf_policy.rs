//! A load balancing policy that regards the health of its one backend.

use std::any::Any;
use std::sync::Arc;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BalancerRegistry, PickFirst, PickFirstBuilder,
};
use rgrpc::{ConfigValue, ServiceConfigError};

/// The policy `leaf`: what `round_robin` and the like have for each of their endpoints, alone.
#[derive(Clone, Copy, Debug)]
pub struct LeafPolicy;

impl BalancerBuilder for LeafPolicy {
    fn name(&self) -> &str {
        "leaf"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        PickFirstBuilder.parse_config(config, registry)
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(PickFirst::leaf())
    }
}
