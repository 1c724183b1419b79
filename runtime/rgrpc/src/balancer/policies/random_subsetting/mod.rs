//! `random_subsetting_experimental`: lets its child have some of the endpoints, chosen at random.
//!
//! Where there are many clients and many servers, a connection from each to each is too many. Each
//! channel takes a subset, by rendezvous hashing with a seed of its own: the subsets of all
//! channels together load the servers evenly, and an endpoint that comes or goes changes one place
//! of a subset at most.
//!
//! Source: gRFC A68; grpc-go's package `balancer/randomsubsetting`.

mod config;
mod subset;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use tokio::time::Instant;

use self::config::RandomSubsettingConfig;
use self::subset::subset;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerRegistry, BalancerUpdate, ChannelControl, GracefulSwitch,
    LoadReport, SubConnId, SubConnState,
};
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// Builds the policy `random_subsetting_experimental`: lets its child have some of the endpoints,
/// chosen at random.
///
/// The config; both fields are required:
///
/// ```text
/// {"subsetSize": 20, "childPolicy": [{"round_robin": {}}]}
/// ```
///
/// The child gets `subsetSize` of the endpoints, at least 1, or all when there are no more. The
/// choice is the channel's own, and as steady as the endpoints are: one that comes or goes changes
/// one place at most.
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

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(RandomSubsetting {
            seed: None,
            child: GracefulSwitch::new(),
        })
    }
}

struct RandomSubsetting {
    /// Drawn at the first update.
    seed: Option<u64>,
    child: GracefulSwitch,
}

impl Balancer for RandomSubsetting {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<RandomSubsettingConfig>()?;
        let seed = *self.seed.get_or_insert_with(|| {
            // As many bits as there are.
            (control.random() * 2_f64.powi(64)) as u64
        });
        let (size, policy) = (config.subset_size, Arc::new(config.child_policy.clone()));
        let endpoints = subset(update.endpoints, size, seed);
        self.child
            .update(BalancerUpdate::new(endpoints, policy), control)
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        self.child.resolver_error(error, control);
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.child.subconn_state(subconn, state, control);
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.child.exit_idle(control);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.child.load_report(subconn, report, control);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.child.wake_at()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.child.wake(control);
    }
}
