//! `priority_experimental`: a list of children, of which the first that can be used is.
//!
//! Endpoints are dealt to the children by their [`HierarchyPath`](crate::balancer::HierarchyPath).
//! A child is built when all before it have failed, or have not become ready within ten seconds;
//! when one before it is READY again it goes on for a quarter of an hour without being given calls,
//! so that it is there when that one fails again.
//!
//! Which child is used is [`choose`]'s decision, made anew whenever something has changed;
//! [`FailoverTimer`] is the ten seconds.
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

use self::choice::{ChildView, Choice, Lower, choose};
use self::config::{PriorityChild, PriorityConfig};
use self::failover_timer::FailoverTimer;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerRegistry, BalancerUpdate, ChannelControl, ChildBalancer,
    FailingPicker, GracefulSwitch, LoadReport, SubConnId, SubConnState, WithoutResolveNow,
    hierarchy,
};
use crate::connectivity_state::ConnectivityState;
use crate::resolver::Endpoint;
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// For how long a child is kept that one before it has taken the place of.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);

/// Builds the policy `priority_experimental`: a list of children, of which the first that can be
/// used is.
///
/// An endpoint is for the child that the first name of its
/// [`HierarchyPath`](crate::balancer::HierarchyPath) names. The config:
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
/// The first child that is READY or IDLE is used. A child that connects is waited for, for 10 s
/// from when it was built or was READY last; then the next one is built. When all have failed, the
/// first that connects is used, else the last. `ignoreReresolutionRequests` (default: false) keeps
/// the child from having the resolver look again.
///
/// A child that is not needed any more, because one before it is READY, is dropped 15 minutes
/// later; one that the config no longer names is dropped at once (gRFC A115).
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

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(Priority::default())
    }
}

#[derive(Default)]
struct Priority {
    /// The children that the config names, the one to be used first at the beginning.
    priorities: Vec<PriorityChild>,
    /// The endpoints of each child, by its name.
    endpoints: HashMap<String, Vec<Endpoint>>,
    /// The children that were built, by name.
    children: BTreeMap<String, Child>,
    /// Whose state was published last.
    current: Option<String>,
}

impl Priority {
    /// Looks which child is to be used, builds those that are needed for it, and publishes what is
    /// new.
    ///
    /// # Errors
    /// A child that was built could not use its endpoints.
    fn settle(&mut self, control: &mut dyn ChannelControl) -> Result<(), Status> {
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
        let drop_at = control.now() + KEPT_FOR;
        for (place, priority) in self.priorities.iter().enumerate() {
            let Some(child) = self.children.get_mut(&priority.name) else {
                continue;
            };
            match lower {
                Lower::Retire if place > index => {
                    child.drop_at.get_or_insert(drop_at);
                }
                Lower::Leave if place > index => {}
                _ => child.drop_at = None,
            }
        }
        self.publish(index, control);
        result
    }

    /// Builds a child.
    fn build(&mut self, index: usize, control: &mut dyn ChannelControl) -> Result<(), Status> {
        let priority = &self.priorities[index];
        let endpoints = self.endpoints.get(&priority.name);
        let mut child = Child::new(control.now());
        let result = child.update(priority, endpoints.cloned().unwrap_or_default(), control);
        self.children.insert(priority.name.clone(), child);
        result
    }

    /// Publishes the state of a child, if it is not the one of before or has a new one.
    fn publish(&mut self, index: usize, control: &mut dyn ChannelControl) {
        let name = &self.priorities[index].name;
        let Some(child) = self.children.get_mut(name) else {
            return;
        };
        let has_news = std::mem::take(&mut child.has_news);
        if has_news || self.current.as_ref() != Some(name) {
            self.current = Some(name.clone());
            child.balancer.publish(control);
        }
    }

    /// Settles after something that was no update.
    fn settle_if(&mut self, is_needed: bool, control: &mut dyn ChannelControl) {
        if is_needed && self.settle(control).is_err() {
            // As the channel would do when the error was an update's.
            control.resolve_now();
        }
    }

    /// Calls each child that was built.
    fn with_each(
        &mut self,
        control: &mut dyn ChannelControl,
        mut what: impl FnMut(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        let mut published = false;
        for child in self.children.values_mut() {
            published |= child.call(control, &mut what);
        }
        self.settle_if(published, control);
    }
}

/// A child that was built.
struct Child {
    balancer: ChildBalancer,
    ignores_resolve_now: bool,
    timer: FailoverTimer,
    /// When it is dropped, unless it is needed before.
    drop_at: Option<Instant>,
    /// It has published what the priority policy has not.
    has_news: bool,
}

impl Child {
    fn new(now: Instant) -> Self {
        Self {
            balancer: ChildBalancer::new(Box::new(GracefulSwitch::new())),
            ignores_resolve_now: false,
            timer: FailoverTimer::start(now),
            drop_at: None,
            has_news: false,
        }
    }

    fn view(&self) -> ChildView {
        ChildView {
            state: self.balancer.state(),
            has_time: self.timer.is_pending(),
        }
    }

    /// Calls the child; says whether it has published something.
    fn call(
        &mut self,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) -> bool {
        let from = self.balancer.state();
        let published = if self.ignores_resolve_now {
            what(&mut self.balancer, &mut WithoutResolveNow(&mut *control))
        } else {
            what(&mut self.balancer, control)
        };
        if published {
            let to = self.balancer.state();
            self.timer.observe(from, to, control.now());
            self.has_news = true;
        }
        published
    }

    fn update(
        &mut self,
        priority: &PriorityChild,
        endpoints: Vec<Endpoint>,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        self.ignores_resolve_now = priority.ignore_reresolution_requests;
        let update = BalancerUpdate::new(endpoints, Arc::new(priority.policy.clone()));
        let mut result = Ok(());
        self.call(control, |balancer, control| {
            let (published, updated) = balancer.update(update, control);
            result = updated;
            published
        });
        // An error has the channel resolve again.
        result.or_else(|error| match self.ignores_resolve_now {
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
        self.endpoints = hierarchy::group(update.endpoints);
        let mut old = std::mem::take(&mut self.children);
        let mut result = Ok(());
        for priority in &self.priorities {
            if let Some(mut child) = old.remove(&priority.name) {
                let endpoints = self.endpoints.get(&priority.name);
                let endpoints = endpoints.cloned().unwrap_or_default();
                result = result.and(child.update(priority, endpoints, control));
                self.children.insert(priority.name.clone(), child);
            }
        }
        // All have been updated: a choice before would be by half of the truth.
        result.and(self.settle(control))
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        if self.children.is_empty() {
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
        let mut published = false;
        let children = self.children.values_mut();
        for child in children.filter(|child| child.drop_at.is_none()) {
            published |= child.call(control, ChildBalancer::exit_idle);
        }
        self.settle_if(published, control);
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
        let children = self.children.values();
        let times = children.flat_map(|child| {
            let own = [child.timer.deadline(), child.drop_at];
            own.into_iter().chain([child.balancer.wake_at()])
        });
        times.flatten().min()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        let now = control.now();
        let is_kept = |child: &Child| child.drop_at.is_none_or(|drop_at| drop_at > now);
        self.children.retain(|_, child| is_kept(child));
        let mut changed = false;
        for child in self.children.values_mut() {
            changed |= child.call(control, ChildBalancer::wake);
            changed |= child.timer.expire(now);
        }
        self.settle_if(changed, control);
    }
}
