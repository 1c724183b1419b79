//! `weighted_round_robin`: connects to every endpoint, and distributes calls by the load that the
//! backends report.
//!
//! ```text
//!   trailers of calls, or reports out of band
//!        │ weight()
//!        ▼
//!   LatestWeight ── read by the policy ───► WeightHistory ──► Scheduler ── swapped in ──► picker
//!   (atomic, one for each        once a second     blackout,        order of picks
//!    endpoint)                                   expiration
//! ```
//!
//! When a call ends, its report is only stored. The channel's task does the rest, once in each
//! `weightUpdatePeriod`. The time of a report is the time at which the policy reads it, because it
//! could not be used before.
//!
//! Source: gRFC A58; grpc-go's package `weightedroundrobin`.

mod config;
mod picker;
mod policy;
mod scheduler;
#[cfg(test)]
mod tests;
mod weight;

pub use config::WeightedRoundRobinConfig;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::policy::WeightedEndpoints;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerEvent, BalancerOptions, BalancerRegistry, BalancerUpdate,
    ChannelControl, GracefulSwitch, PolicyConfig, handle_events,
};
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// Builds the policy `weighted_round_robin`: calls use all READY and healthy endpoints, in
/// proportion to the number of calls per second that each could serve by its own reports. Until two
/// endpoints have reported, it works like `round_robin`.
///
/// ```json
/// {"loadBalancingConfig": [{"weighted_round_robin": {"blackoutPeriod": "5s"}}]}
/// ```
///
/// [`WeightedRoundRobinConfig`] documents the fields. An endpoint without a weight gets the mean of
/// the others.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRoundRobinBuilder;

impl BalancerBuilder for WeightedRoundRobinBuilder {
    fn name(&self) -> &str {
        "weighted_round_robin"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        _registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        Ok(Arc::new(WeightedRoundRobinConfig::parse(config)?))
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::<WeightedRoundRobin>::default()
    }
}

/// Replaces the child policy when the kind or the interval of load reports changes. A subchannel's
/// reports are fixed when it is created, so a change needs new subchannels. They are used when they
/// are READY.
#[derive(Default)]
struct WeightedRoundRobin(GracefulSwitch);

/// Builds the child policy for one kind of reports. The kind is its name.
struct WeightedEndpointsBuilder {
    name: String,
    load_reports: Option<Duration>,
}

impl WeightedEndpointsBuilder {
    fn new(load_reports: Option<Duration>) -> Self {
        let name = match load_reports {
            None => "reports by calls".to_owned(),
            Some(interval) => format!("reports each {interval:?}"),
        };
        Self { name, load_reports }
    }
}

impl BalancerBuilder for WeightedEndpointsBuilder {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(WeightedEndpoints::new(self.load_reports))
    }
}

impl WeightedRoundRobin {
    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        event.deliver(&mut self.0, control);
    }
}

impl Balancer for WeightedRoundRobin {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<WeightedRoundRobinConfig>()?;
        let builder = WeightedEndpointsBuilder::new(config.load_reports());
        let config = PolicyConfig::new(Arc::new(builder), Arc::clone(&update.config));
        let update = update.with_config(Arc::new(config));
        self.0.update(update, control)
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        self.0.wake_at()
    }
}
