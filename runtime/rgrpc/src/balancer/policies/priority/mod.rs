//! `priority_experimental`: a list of children, and calls use the first usable one.
//!
//! The [`HierarchyPath`](crate::balancer::HierarchyPath) of an endpoint names its child. A child is
//! built when all children of higher priority have failed, or have not become READY within 10
//! seconds. When one of these is READY again, the child is deactivated: it gets no calls, and is
//! dropped after 15 minutes. Until then it can be used again at once.
//!
//! [`choose`] decides which child to use, after each change. [`FailoverTimer`] measures the 10
//! seconds.
//!
//! Source: gRFC A56, A115; grpc-go `internal/xds/balancer/priority`.

mod choice;
mod config;
mod failover_timer;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::choice::{ChildView, Choice, LowerPriorities, choose};
pub use self::config::{PriorityChild, PriorityConfig};
use self::failover_timer::FailoverTimer;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerEvent, BalancerOptions, BalancerRegistry, BalancerUpdate,
    ChannelControl, ChildBalancer, FailingPicker, GracefulSwitch, WithoutResolveNow, call_failure,
    handle_events, hierarchy,
};
use crate::connectivity_state::ConnectivityState;
use crate::extensions::Extensions;
use crate::resolver::Endpoint;
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// The time after which a deactivated child is dropped.
const DEACTIVATION_TIME: Duration = Duration::from_secs(15 * 60);

/// Builds the policy `priority_experimental`: a list of children, and calls use the first usable
/// one.
///
/// The first name in an endpoint's [`HierarchyPath`](crate::balancer::HierarchyPath) is the name of
/// its child. The config:
///
/// ```text
/// {
///     "priorities": ["near", "far"],
///     "children": {
///         "near": {"config": [{"round_robin": {}}]},
///         "far": {"config": [{"round_robin": {}}], "ignoreReresolutionRequests": true}
///     }
/// }
/// ```
///
/// The first child that is READY or IDLE is used. The policy waits for a connecting child for 10 s
/// after it was built or was READY last, and then builds the next child. If all children have
/// failed, the first connecting one is used, or else the last one. `ignoreReresolutionRequests`
/// (default: false) ignores the child's requests to the resolver to resolve again.
///
/// A child that is not needed, because one of higher priority is READY, is dropped after 15
/// minutes. A child that the config no longer contains is dropped at once (gRFC A115).
///
/// Source: gRFC A56; grpc-go `internal/xds/balancer/priority`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriorityBuilder;

impl BalancerBuilder for PriorityBuilder {
    fn name(&self) -> &str {
        "priority_experimental"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        Ok(Arc::new(PriorityConfig::parse(config, registry)?))
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(Priority::default())
    }
}

#[derive(Default)]
struct Priority {
    /// The children in the config, from the highest priority to the lowest.
    priorities: Vec<PriorityChild>,
    /// The endpoints of each child, by its name.
    endpoints: HashMap<String, Vec<Endpoint>>,
    /// The attributes of the last update.
    attributes: Arc<Extensions>,
    /// The built children, by name.
    children: BTreeMap<String, Child>,
    /// The child whose state was published last.
    current: Option<String>,
}

impl Priority {
    /// Chooses the child to use, builds children for that if necessary, and publishes the result.
    ///
    /// # Errors
    /// A new child could not use its endpoints.
    fn choose_and_publish(&mut self, control: &mut dyn ChannelControl) -> Result<(), Status> {
        let mut result = Ok(());
        let (index, lower) = loop {
            let children = self.priorities.iter();
            let children = children.map(|priority| self.children.get(&priority.name));
            match choose(children.map(|child| child.map(Child::view))) {
                Some(Choice::Build(index)) => result = result.and(self.build(index, control)),
                Some(Choice::Use(index, lower)) => break (index, lower),
                None => {
                    self.current = None;
                    let status =
                        Status::unavailable("priority: the policy's config has no priorities");
                    let picker = Arc::new(FailingPicker::new(status));
                    control.update_state(ConnectivityState::TransientFailure, picker);
                    return result;
                }
            }
        };
        let drop_at = control.now() + DEACTIVATION_TIME;
        for (place, priority) in self.priorities.iter().enumerate() {
            let Some(child) = self.children.get_mut(&priority.name) else {
                continue;
            };
            match lower {
                LowerPriorities::Deactivate if place > index => {
                    child.drop_at.get_or_insert(drop_at);
                }
                LowerPriorities::Keep if place > index => {}
                _ => child.drop_at = None,
            }
        }
        self.publish(index, control);
        result
    }

    /// Builds the child at this index.
    fn build(&mut self, index: usize, control: &mut dyn ChannelControl) -> Result<(), Status> {
        let priority = &self.priorities[index];
        let endpoints = self.endpoints.get(&priority.name);
        let mut child = Child::new(control.now());
        let result = child.update(
            priority,
            endpoints.cloned().unwrap_or_default(),
            &self.attributes,
            control,
        );
        self.children.insert(priority.name.clone(), child);
        result
    }

    /// Publishes the state of the child at this index, if it is another child than before or has a
    /// new state.
    fn publish(&mut self, index: usize, control: &mut dyn ChannelControl) {
        let name = &self.priorities[index].name;
        let Some(child) = self.children.get_mut(name) else {
            return;
        };
        let has_unpublished_state = std::mem::take(&mut child.has_unpublished_state);
        if has_unpublished_state || self.current.as_ref() != Some(name) {
            self.current = Some(name.clone());
            child.balancer.publish(control);
        }
    }

    /// Chooses again after an event other than an update.
    fn choose_again_if(&mut self, is_needed: bool, control: &mut dyn ChannelControl) {
        if is_needed && self.choose_and_publish(control).is_err() {
            // The channel would do this after an update with an error.
            control.resolve_now();
        }
    }

    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        let now = control.now();
        match event {
            BalancerEvent::ResolverError(error) if self.children.is_empty() => {
                let picker = Arc::new(FailingPicker::new(call_failure(error)));
                control.update_state(ConnectivityState::TransientFailure, picker);
            }
            BalancerEvent::Wake => {
                let is_kept = |child: &Child| child.drop_at.is_none_or(|drop_at| drop_at > now);
                self.children.retain(|_, child| is_kept(child));
            }
            _ => {}
        }
        let mut changed = false;
        for child in self.children.values_mut() {
            changed |= match event {
                BalancerEvent::ExitIdle if child.drop_at.is_some() => false,
                BalancerEvent::Wake => child.handle(event, control) | child.timer.expire(now),
                _ => child.handle(event, control),
            };
        }
        self.choose_again_if(changed, control);
    }
}

/// A built child.
struct Child {
    balancer: ChildBalancer,
    ignores_reresolution_requests: bool,
    timer: FailoverTimer,
    /// The time at which the deactivated child is dropped. `None`: the child is active.
    drop_at: Option<Instant>,
    /// The child has published a state that the policy has not published.
    has_unpublished_state: bool,
}

impl Child {
    fn new(now: Instant) -> Self {
        Self {
            balancer: ChildBalancer::new(Box::new(GracefulSwitch::new())),
            ignores_reresolution_requests: false,
            timer: FailoverTimer::start(now),
            drop_at: None,
            has_unpublished_state: false,
        }
    }

    fn view(&self) -> ChildView {
        ChildView {
            state: self.balancer.state(),
            has_time: self.timer.is_pending(),
        }
    }

    /// Passes an event on to the child. Returns true if the child has published.
    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) -> bool {
        self.call(control, |child, control| child.handle(event, control))
    }

    /// Calls the child. Returns true if the child has published.
    fn call(
        &mut self,
        control: &mut dyn ChannelControl,
        call: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) -> bool {
        let from = self.balancer.state();
        let published = if self.ignores_reresolution_requests {
            call(&mut self.balancer, &mut WithoutResolveNow(&mut *control))
        } else {
            call(&mut self.balancer, control)
        };
        if published {
            let to = self.balancer.state();
            self.timer.observe(from, to, control.now());
            self.has_unpublished_state = true;
        }
        published
    }

    fn update(
        &mut self,
        priority: &PriorityChild,
        endpoints: Vec<Endpoint>,
        attributes: &Arc<Extensions>,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        self.ignores_reresolution_requests = priority.ignore_reresolution_requests;
        let update = BalancerUpdate::new(endpoints, Arc::new(priority.policy.clone()))
            .with_attributes(Arc::clone(attributes));
        let mut result = Ok(());
        self.call(control, |balancer, control| {
            let (published, updated) = balancer.update(update, control);
            result = updated;
            published
        });
        // An error would make the channel resolve again.
        result.or_else(|error| match self.ignores_reresolution_requests {
            true => Ok(()),
            false => Err(error),
        })
    }
}

impl Balancer for Priority {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<PriorityConfig>()?;
        self.priorities.clone_from(&config.priorities);
        self.attributes = Arc::clone(&update.attributes);
        self.endpoints = hierarchy::group(update.endpoints);
        let mut old = std::mem::take(&mut self.children);
        let mut result = Ok(());
        for priority in &self.priorities {
            if let Some(mut child) = old.remove(&priority.name) {
                let endpoints = self.endpoints.get(&priority.name);
                let endpoints = endpoints.cloned().unwrap_or_default();
                result = result.and(child.update(priority, endpoints, &self.attributes, control));
                self.children.insert(priority.name.clone(), child);
            }
        }
        // The choice comes after the updates of all children, since it depends on all of them.
        result.and(self.choose_and_publish(control))
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        let children = self.children.values();
        let times = children.flat_map(|child| {
            let own = [child.timer.deadline(), child.drop_at];
            own.into_iter().chain([child.balancer.wake_at()])
        });
        times.flatten().min()
    }
}
