//! `weighted_target_experimental`: named children with weights, and each call uses a random one.
//!
//! The [`HierarchyPath`](crate::balancer::HierarchyPath) of an endpoint names its child. Each READY
//! child gets a share of the calls in proportion to its weight. A child that the config no longer
//! contains is dropped at once. A child with another policy in the config is replaced
//! [gracefully](crate::balancer::GracefulSwitch).
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

pub use self::config::WeightedTargetConfig;
use self::picker::WeightedPicker;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerEvent, BalancerOptions, BalancerRegistry, BalancerUpdate,
    ChannelControl, ChildBalancer, ConnectivityStateEvaluator, FailingPicker, GracefulSwitch,
    Picker, QueuingPicker, call_failure, handle_events, hierarchy,
};
use crate::connectivity_state::ConnectivityState;
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// Builds the policy `weighted_target_experimental`: named children with weights, and each call
/// uses a random one.
///
/// The first name in an endpoint's [`HierarchyPath`](crate::balancer::HierarchyPath) is the name of
/// its child. The config:
///
/// ```text
/// {"targets": {
///     "a": {"weight": 3, "childPolicy": [{"round_robin": {}}]},
///     "b": {"weight": 1, "childPolicy": [{"round_robin": {}}]}
/// }}
/// ```
///
/// Calls use the READY children in proportion to `weight`. Default: 0, no calls as long as a child
/// with a weight is READY. Without a READY child, calls wait if a child is connecting; otherwise
/// they connect an idle child, or else fail with the status of a child.
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

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
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
    /// The state that the child counts as: a failed child counts as failed until it is READY.
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

    /// Updates the state after the child has published.
    fn update_state(&mut self) {
        let (from, to) = (self.counts_as, self.child.state());
        self.counts_as = match (from, to) {
            (ConnectivityState::TransientFailure, ConnectivityState::Connecting) => from,
            _ => to,
        };
    }
}

impl WeightedTarget {
    /// Passes an event on to each child, and publishes if one of them has.
    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        if let BalancerEvent::ResolverError(error) = event
            && self.targets.is_empty()
        {
            let picker = Arc::new(FailingPicker::new(call_failure(error)));
            control.update_state(ConnectivityState::TransientFailure, picker);
        }
        let mut published = false;
        for target in self.targets.values_mut() {
            if target.child.handle(event, control) {
                target.update_state();
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
            let update = update.for_child(endpoints, Arc::new(config.policy.clone()));
            let (published, updated) = target.child.update(update, control);
            if published {
                target.update_state();
            }
            result = result.and(updated);
        }
        self.publish(control);
        result
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        let targets = self.targets.values();
        targets.filter_map(|target| target.child.wake_at()).min()
    }
}
