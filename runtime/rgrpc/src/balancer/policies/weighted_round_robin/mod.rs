//! `weighted_round_robin`: keeps a connection to every endpoint, and gives each its share of the
//! calls by the load that it reports.
//!
//! ```text
//!   trailers of calls, or reports out of band
//!        │ weight()
//!        ▼
//!   LatestWeight ── taken by the policy ──► WeightHistory ──► Scheduler ── swapped in ──► picker
//!   (atomic, one an endpoint)  once a second   blackout,        whose turn it is
//!                                              expiration
//! ```
//!
//! Calls only leave their report behind as they end; all else is done by the channel's task, each
//! `weightUpdatePeriod`. A report counts as made when the policy takes it: before that it could not
//! be used.
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
    Balancer, BalancerBuilder, BalancerRegistry, BalancerUpdate, ChannelControl, GracefulSwitch,
    LoadReport, PolicyConfig, SubConnId, SubConnState,
};
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// The policy `weighted_round_robin`: calls go to all endpoints that are ready and healthy, to each
/// in proportion to the calls a second that it could serve, by its own reports. As long as fewer
/// than two endpoints have reported, it is `round_robin`.
///
/// ```json
/// {"loadBalancingConfig": [{"weighted_round_robin": {"blackoutPeriod": "5s"}}]}
/// ```
///
/// See [`WeightedRoundRobinConfig`] for its fields. Endpoints that have no weight are given the
/// mean of the others.
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

    fn build(&self) -> Box<dyn Balancer> {
        Box::<WeightedRoundRobin>::default()
    }
}

/// Holds the policy proper. Whether connections report out of band, and how often, is fixed as they
/// are made: when that changes, there are new ones, which are used once they are ready.
#[derive(Default)]
struct WeightedRoundRobin(GracefulSwitch);

/// Builds the policy proper for one kind of reports, after which it is named.
struct ReportedBy {
    name: String,
    load_reports: Option<Duration>,
}

impl ReportedBy {
    fn new(load_reports: Option<Duration>) -> Self {
        let name = match load_reports {
            None => "reports by calls".to_owned(),
            Some(interval) => format!("reports each {interval:?}"),
        };
        Self { name, load_reports }
    }
}

impl BalancerBuilder for ReportedBy {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(WeightedEndpoints::new(self.load_reports))
    }
}

impl Balancer for WeightedRoundRobin {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<WeightedRoundRobinConfig>()?;
        let builder = ReportedBy::new(config.load_reports());
        let config = PolicyConfig::new(Arc::new(builder), update.config);
        let update = BalancerUpdate::new(update.endpoints, Arc::new(config));
        self.0.update(update, control)
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        self.0.resolver_error(error, control);
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.0.subconn_state(subconn, state, control);
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.0.exit_idle(control);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.0.load_report(subconn, report, control);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.0.wake_at()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.0.wake(control);
    }
}
