//! A child policy for each endpoint: what all policies are built on that use several endpoints at
//! once. Called by them, on the channel's task.
//!
//! What happens to one child costs no more than a look-up, however many there are; an update costs
//! one for each endpoint. A new picker is as large as the number of children that it has: the
//! policy makes one for all that happens at once, when it is woken for it.
//!
//! Source: gRFC A61; grpc-go's package `balancer/endpointsharding`.

mod change;
mod child;
mod control;
mod picker;
#[cfg(test)]
mod tests;

pub use change::EndpointsChange;
pub use child::{EndpointChild, EndpointId};
pub use picker::RoundRobinPicker;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::control::ShardControl;
use super::{
    Balancer, BalancerUpdate, BalancerWaker, ChannelControl, ChildBalancer,
    ConnectivityStateEvaluator, FailingPicker, LoadReport, PickFirst, Picker, SubConnId,
    SubConnIndex, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::resolver::{Endpoint, EndpointKey};
use crate::status::Status;

/// A child policy for each endpoint, kept as long as the endpoint is in the updates: what policies
/// are built on that use several endpoints at once.
///
/// Such a policy hands on to it what it is called with. When children have published, the sharding
/// has the policy [woken](Balancer::wake), once for all that happens at once: then, and after each
/// update, the policy publishes anew if [`take_change`](Self::take_change) says that it has to. It
/// does so with the sharding's own [`state`](Self::state) and [`picker`](Self::picker) or with a
/// picker that it makes of the [`children`](Self::children). [`BaseBalancer`](super::BaseBalancer)
/// is one that does this.
///
/// ```text
///   Balancer of a policy        EndpointSharding                  ChildBalancer, one an endpoint
///   update ───────────────────► matches endpoints and children ─► update
///   subconn_state ────────────► finds the child ────────────────► subconn_state
///                               counts the states ◄────────────── update_state
///   wake ─────────────────────► those who want to be woken ─────► wake
///   publishes a picker ◄─────── take_change
/// ```
///
/// The children are `pick_first` with regard to health, unless said otherwise: several addresses of
/// an endpoint are one backend, and one connection to it is enough.
///
/// Source: gRFC A61; grpc-go's package `balancer/endpointsharding`.
pub struct EndpointSharding {
    new_child: Box<dyn Fn() -> Box<dyn Balancer> + Send>,
    /// Whether children that are idle are told to connect.
    reconnects: bool,
    /// How often the children's backends are to report their load.
    load_reports: Option<Duration>,
    children: BTreeMap<EndpointId, EndpointChild>,
    by_endpoint: HashMap<EndpointKey, EndpointId>,
    subconns: SubConnIndex<EndpointId>,
    states: ConnectivityStateEvaluator,
    /// When children want to be woken.
    timers: BTreeSet<(Instant, EndpointId)>,
    next_id: u64,
    /// Why there are no children, if not because there are no endpoints.
    absence: Option<Status>,
    /// What has changed since the policy asked.
    change: EndpointsChange,
    /// What children ask to be woken by. That of the channel does not tell who has asked.
    waker: Option<BalancerWaker>,
}

impl EndpointSharding {
    /// With children that are [leaves](PickFirst::leaf) of `pick_first`, which are told to connect
    /// whenever they are idle. Their config, in each update, is a
    /// [`PickFirstConfig`](super::PickFirstConfig).
    #[must_use]
    pub fn new() -> Self {
        Self::with_children(|| Box::new(PickFirst::leaf()))
    }

    /// With children that this makes, which are told to connect whenever they are idle.
    #[must_use]
    pub fn with_children(new_child: impl Fn() -> Box<dyn Balancer> + Send + 'static) -> Self {
        Self {
            new_child: Box::new(new_child),
            reconnects: true,
            load_reports: None,
            children: BTreeMap::new(),
            by_endpoint: HashMap::new(),
            subconns: SubConnIndex::default(),
            states: ConnectivityStateEvaluator::new(),
            timers: BTreeSet::new(),
            next_id: 0,
            absence: None,
            change: EndpointsChange::None,
            waker: None,
        }
    }

    /// Leaves children idle until they are told to connect, by [`exit_idle`](Self::exit_idle),
    /// [`exit_idle_child`](Self::exit_idle_child) or by a pick of their own picker.
    #[must_use]
    pub fn without_reconnecting(mut self) -> Self {
        self.reconnects = false;
        self
    }

    /// Has the backends report their load this often. See
    /// [`SubConnOptions::load_reports`](super::SubConnOptions::load_reports).
    #[must_use]
    pub fn with_load_reports(mut self, interval: Duration) -> Self {
        self.load_reports = Some(interval);
        self
    }

    /// The children, in the order in which their endpoints first came up.
    pub fn children(&self) -> impl ExactSizeIterator<Item = &EndpointChild> {
        self.children.values()
    }

    /// The children whose state is that of all.
    pub fn best_children(&self) -> impl Iterator<Item = &EndpointChild> {
        let state = self.state();
        self.children().filter(move |child| child.state() == state)
    }

    /// The child of this name.
    #[must_use]
    pub fn child(&self, id: EndpointId) -> Option<&EndpointChild> {
        self.children.get(&id)
    }

    /// The child of the endpoint with these addresses.
    #[must_use]
    pub fn child_of(&self, endpoint: &EndpointKey) -> Option<&EndpointChild> {
        self.child(*self.by_endpoint.get(endpoint)?)
    }

    /// The child that holds this connection.
    #[must_use]
    pub fn child_with(&self, subconn: SubConnId) -> Option<&EndpointChild> {
        self.child(*self.subconns.get(subconn)?)
    }

    /// The best state that a child has; TRANSIENT_FAILURE without children. See
    /// [`ConnectivityStateEvaluator`].
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.states.state()
    }

    /// The children whose state is that of all, each in turn, beginning anywhere. Without children,
    /// calls fail.
    pub fn picker(&self, control: &mut dyn ChannelControl) -> Arc<dyn Picker> {
        if self.children.is_empty() {
            let absence = self.absence.clone();
            let status = absence.unwrap_or_else(|| no_endpoints(control.target()));
            return Arc::new(FailingPicker::new(status));
        }
        let best = self.best_children();
        let pickers = best.map(|child| Arc::clone(child.picker())).collect();
        RoundRobinPicker::of(pickers, control.random())
    }

    /// There are new endpoints: those that are known keep their children, and the children of those
    /// that are gone are dropped. The children are updated with their endpoint and the config of
    /// the update, beginning anywhere, so that not every client connects to the same one first.
    ///
    /// Counts as a change of the [best](EndpointsChange::Best), whatever comes of it, which the
    /// policy publishes at once: it is not woken for it.
    ///
    /// # Errors
    /// There are no endpoints, which leaves no children, or a child has returned an error: the
    /// first one is returned.
    pub fn update(
        &mut self,
        mut update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        rotate(&mut update.endpoints, control.random());
        let mut result = Ok(());
        let mut old = std::mem::take(&mut self.by_endpoint);
        for endpoint in update.endpoints {
            let key = EndpointKey::from(&endpoint);
            if self.by_endpoint.contains_key(&key) {
                continue;
            }
            let id = old.remove(&key).unwrap_or_else(|| self.add_child());
            self.by_endpoint.insert(key, id);
            let child_result = self.update_child(id, endpoint, &update.config, control);
            result = result.and(child_result);
        }
        old.into_values().for_each(|id| self.remove_child(id));
        self.change = EndpointsChange::Best;
        if self.children.is_empty() {
            self.absence = None;
            return Err(no_endpoints(control.target()));
        }
        result
    }

    /// What has changed since this was last asked: whether the policy has to publish anew.
    pub fn take_change(&mut self) -> EndpointsChange {
        std::mem::replace(&mut self.change, EndpointsChange::None)
    }

    /// See [`Balancer::resolver_error`]. Without children, calls fail with this error from now on.
    pub fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        if self.children.is_empty() {
            // Its code is about resolving, not about the calls that fail because of it.
            self.absence = Some(error.retold(error.message().to_owned()));
            return self.note(EndpointsChange::Best, control);
        }
        self.call_each(control, |child, control| {
            child.resolver_error(error, control)
        });
    }

    /// See [`Balancer::subconn_state`].
    pub fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.call_with(subconn, control, |child, control| {
            child.subconn_state(subconn, state, control)
        });
    }

    /// See [`Balancer::load_report`].
    pub fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.call_with(subconn, control, |child, control| {
            child.load_report(subconn, report, control)
        });
    }

    /// See [`Balancer::exit_idle`]: all children are told to.
    pub fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.call_each(control, ChildBalancer::exit_idle);
    }

    /// Tells one child to connect, if it is idle.
    pub fn exit_idle_child(&mut self, id: EndpointId, control: &mut dyn ChannelControl) {
        self.call_and_note(id, control, ChildBalancer::exit_idle);
    }

    /// See [`Balancer::wake_at`].
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// See [`Balancer::wake`]: wakes all children if one has asked for it, else those whose time
    /// has come.
    pub fn wake(&mut self, control: &mut dyn ChannelControl) {
        if self.waker.as_ref().is_some_and(BalancerWaker::begin) {
            return self.call_each(control, ChildBalancer::wake);
        }
        let now = control.now();
        let due = self.timers.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<_> = due.map(|(_, id)| *id).collect();
        for id in due {
            self.call_and_note(id, control, ChildBalancer::wake);
        }
    }

    fn add_child(&mut self) -> EndpointId {
        let id = EndpointId::new(self.next_id);
        self.next_id += 1;
        let child = EndpointChild::new(id, (self.new_child)());
        self.states.record(None, Some(child.state()));
        self.children.insert(id, child);
        id
    }

    fn remove_child(&mut self, id: EndpointId) {
        if let Some(child) = self.children.remove(&id) {
            self.states.record(Some(child.state()), None);
            if let Some(at) = child.wake_at {
                self.timers.remove(&(at, id));
            }
        }
    }

    fn update_child(
        &mut self,
        id: EndpointId,
        endpoint: Endpoint,
        config: &Arc<dyn Any + Send + Sync>,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        if let Some(child) = self.children.get_mut(&id) {
            child.endpoint = endpoint.clone();
        }
        let update = BalancerUpdate::new(vec![endpoint], Arc::clone(config));
        let mut result = Ok(());
        self.call(id, control, |child, control| {
            let (published, child_result) = child.update(update, control);
            result = child_result;
            published
        });
        result
    }

    fn call_each(
        &mut self,
        control: &mut dyn ChannelControl,
        mut what: impl FnMut(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        let ids: Vec<_> = self.children.keys().copied().collect();
        for id in ids {
            self.call_and_note(id, control, &mut what);
        }
    }

    fn call_with(
        &mut self,
        subconn: SubConnId,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        if let Some(id) = self.subconns.get(subconn) {
            self.call_and_note(*id, control, what);
        }
    }

    /// Calls one child, and has the policy woken if that has changed something.
    fn call_and_note(
        &mut self,
        id: EndpointId,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        let change = self.call(id, control, what);
        self.note(change, control);
    }

    /// Keeps a change for the policy, and has it woken for the first one.
    fn note(&mut self, change: EndpointsChange, control: &dyn ChannelControl) {
        if self.change == EndpointsChange::None && change != EndpointsChange::None {
            control.waker().wake();
        }
        self.change = self.change.max(change);
    }

    /// Calls one child, and keeps the counts and the timers. `what` says whether it has published.
    fn call(
        &mut self,
        id: EndpointId,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) -> EndpointsChange {
        let Some(child) = self.children.get_mut(&id) else {
            return EndpointsChange::None;
        };
        let waker = self.waker.get_or_insert_with(|| {
            let above = control.waker();
            BalancerWaker::new(move || above.wake())
        });
        let mut control = ShardControl {
            above: control,
            subconns: &mut self.subconns,
            waker,
            id,
            load_reports: self.load_reports,
        };
        let from = child.state();
        let mut published = what(&mut child.balancer, &mut control);
        if published && self.reconnects && child.state() == ConnectivityState::Idle {
            published |= child.balancer.exit_idle(&mut control);
        }
        let to = child.state();

        let wake_at = child.balancer.wake_at();
        if let Some(at) = std::mem::replace(&mut child.wake_at, wake_at) {
            self.timers.remove(&(at, id));
        }
        self.timers.extend(wake_at.map(|at| (at, id)));

        let before = self.states.state();
        self.states.record(Some(from), Some(to));
        let after = self.states.state();
        EndpointsChange::of(published, [from, to], [before, after])
    }
}

impl Default for EndpointSharding {
    fn default() -> Self {
        Self::new()
    }
}

/// Has the list begin at an element that `random`, in [0, 1), chooses.
fn rotate<T>(list: &mut [T], random: f64) {
    // Rounded down.
    let start = (random * list.len() as f64) as usize;
    list.rotate_left(start.min(list.len()));
}

fn no_endpoints(target: &str) -> Status {
    Status::unavailable(format!(
        "name resolution of {target} has found no endpoints"
    ))
}
