//! `random_subsetting_experimental`: gives its child a random subset of the endpoints.
//!
//! With many clients and many servers, a connection for each pair is too many. Each channel uses a
//! subset, chosen by rendezvous hashing with the channel's own seed. All channels together load the
//! servers evenly, and an added or removed endpoint changes at most one member of a subset.
//!
//! Source: gRFC A68; grpc-go's package `balancer/randomsubsetting`.

mod config;
mod subset;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use tokio::time::Instant;

pub use self::config::RandomSubsettingConfig;
use self::subset::subset;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerEvent, BalancerOptions, BalancerRegistry, BalancerUpdate,
    ChannelControl, GracefulSwitch, handle_events,
};
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// Builds the policy `random_subsetting_experimental`: gives its child a random subset of the
/// endpoints.
///
/// The config, with two required fields:
///
/// ```text
/// {"subsetSize": 20, "childPolicy": [{"round_robin": {}}]}
/// ```
///
/// The child gets `subsetSize` (at least 1) of the endpoints, or all if there are not more. Each
/// channel has its own choice. It is stable: an added or removed endpoint changes at most one
/// member.
///
/// Source: gRFC A68; grpc-go's package `balancer/randomsubsetting`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomSubsettingBuilder;

impl BalancerBuilder for RandomSubsettingBuilder {
    fn name(&self) -> &str {
        "random_subsetting_experimental"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        Ok(Arc::new(RandomSubsettingConfig::parse(config, registry)?))
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(RandomSubsetting {
            seed: None,
            child: GracefulSwitch::new(),
        })
    }
}

struct RandomSubsetting {
    /// The seed of the hash. Drawn at the first update.
    seed: Option<u64>,
    child: GracefulSwitch,
}

impl RandomSubsetting {
    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        event.deliver(&mut self.child, control);
    }
}

impl Balancer for RandomSubsetting {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<RandomSubsettingConfig>()?;
        let seed = *self.seed.get_or_insert_with(|| {
            // A random number of as many bits as an `f64` provides.
            (control.random() * 2_f64.powi(64)) as u64
        });
        let (size, policy) = (config.subset_size, Arc::new(config.child_policy.clone()));
        let mut update = update.with_config(policy);
        update.endpoints = subset(update.endpoints, size, seed);
        self.child.update(update, control)
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        self.child.wake_at()
    }
}
