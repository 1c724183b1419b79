//! `weighted_target_experimental`: children with names and weights, of which each call takes one at
//! random.
//!
//! Endpoints are dealt to the children by their [`HierarchyPath`](crate::balancer::HierarchyPath).
//! Among the children that are READY each gets as much of the calls as its weight is of the sum of
//! theirs. A child that the config no longer names is dropped at once; one whose policy is another
//! now is replaced [gracefully](crate::balancer::GracefulSwitch).
//!
//! Source: gRFC A28; grpc-go's package `balancer/weightedtarget`.

mod config;
mod picker;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use self::config::WeightedTargetConfig;
use self::picker::WeightedPicker;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerRegistry, BalancerUpdate, ChannelControl, ChildBalancer,
    ConnectivityStateEvaluator, FailingPicker, GracefulSwitch, LoadReport, Picker, QueuingPicker,
    SubConnId, SubConnState, hierarchy,
};
use crate::connectivity_state::ConnectivityState;
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// Builds the policy `weighted_target_experimental`: children with names and weights, of which each
/// call takes one at random.
///
/// An endpoint is for the child that the first name of its
/// [`HierarchyPath`](crate::balancer::HierarchyPath) names. The config:
///
/// ```text
/// {"targets": {
///     "a": {"weight": 3, "childPolicy": [{"round_robin": {}}]},
///     "b": {"weight": 1, "childPolicy": [{"round_robin": {}}]}
/// }}
/// ```
///
/// Calls go to the children that are READY, to each as often as its `weight` is of the sum of
/// theirs (default: 0, no calls as long as one with a weight is READY). Without a READY one they
/// wait while one connects, then have one that is idle connect, else fail as one of the children
/// says.
///
/// Source: gRFC A28; grpc-go's package `balancer/weightedtarget`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedTargetBuilder;

impl BalancerBuilder for WeightedTargetBuilder {
    fn name(&self) -> &str {
        "weighted_target_experimental"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        Ok(Arc::new(WeightedTargetConfig::parse(config, registry)?))
    }

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(WeightedTarget::default())
    }
}

#[derive(Default)]
struct WeightedTarget {
    targets: BTreeMap<String, Target>,
}

struct Target {
    weight: u32,
    child: ChildBalancer,
    /// As what it counts: one that has failed stays failed until it is ready.
    counts_as: ConnectivityState,
}

impl Target {
    fn new() -> Self {
        let child = ChildBalancer::new(Box::new(GracefulSwitch::new()));
        Self {
            weight: 0,
            counts_as: child.state(),
            child,
        }
    }

    /// The child may have published another state.
    fn look(&mut self) {
        let (from, to) = (self.counts_as, self.child.state());
        self.counts_as = match (from, to) {
            (ConnectivityState::TransientFailure, ConnectivityState::Connecting) => from,
            _ => to,
        };
    }
}

impl WeightedTarget {
    /// Calls each child, and publishes when one of them has.
    fn with_each(
        &mut self,
        control: &mut dyn ChannelControl,
        mut what: impl FnMut(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        let mut published = false;
        for target in self.targets.values_mut() {
            if what(&mut target.child, control) {
                target.look();
                published = true;
            }
        }
        if published {
            self.publish(control);
        }
    }

    fn publish(&self, control: &mut dyn ChannelControl) {
        let mut evaluator = ConnectivityStateEvaluator::new();
        for target in self.targets.values() {
            evaluator.record(None, Some(target.counts_as));
        }
        let state = evaluator.state();
        let best = self.targets.values();
        let best = best.filter(|target| target.counts_as == state);
        let pickers: Vec<_> = best
            .map(|target| (target.weight, Arc::clone(target.child.picker())))
            .collect();
        let picker: Arc<dyn Picker> = if pickers.is_empty() {
            Arc::new(FailingPicker::new(no_targets()))
        } else if state == ConnectivityState::Connecting {
            Arc::new(QueuingPicker)
        } else {
            Arc::new(WeightedPicker::new(pickers))
        };
        control.update_state(state, picker);
    }
}

fn no_targets() -> Status {
    Status::unavailable("weighted_target: the policy's config has no targets")
}

impl Balancer for WeightedTarget {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let targets = &update.config::<WeightedTargetConfig>()?.targets;
        let mut endpoints = hierarchy::group(update.endpoints.clone());
        self.targets.retain(|name, _| targets.contains_key(name));
        let mut result = Ok(());
        for (name, config) in targets {
            let target = self.targets.entry(name.clone()).or_insert_with(Target::new);
            target.weight = config.weight;
            let endpoints = endpoints.remove(name).unwrap_or_default();
            let update = BalancerUpdate::new(endpoints, Arc::new(config.policy.clone()));
            let (published, updated) = target.child.update(update, control);
            if published {
                target.look();
            }
            result = result.and(updated);
        }
        self.publish(control);
        result
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        if self.targets.is_empty() {
            // Its code is about resolving, not about the calls that fail because of it.
            let status = error.retold(error.message().to_owned());
            let picker = Arc::new(FailingPicker::new(status));
            control.update_state(ConnectivityState::TransientFailure, picker);
        }
        self.with_each(control, |child, control| {
            child.resolver_error(error, control)
        });
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.with_each(control, |child, control| {
            child.subconn_state(subconn, state, control)
        });
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.with_each(control, ChildBalancer::exit_idle);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.with_each(control, |child, control| {
            child.load_report(subconn, report, control)
        });
    }

    fn wake_at(&self) -> Option<Instant> {
        let targets = self.targets.values();
        targets.filter_map(|target| target.child.wake_at()).min()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.with_each(control, ChildBalancer::wake);
    }
}
