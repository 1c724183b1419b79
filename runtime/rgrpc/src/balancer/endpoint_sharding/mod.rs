//! A child policy for each endpoint: the base of all policies over several endpoints. Those
//! policies call it, on the channel's task.
//!
//! Each `child` calls the channel through a `control`, which records its subchannels. The sharding
//! reports the kind of each `change` to the policy above it, and has the `picker` of `round_robin`.
//!
//! A change of one child takes one look-up, independent of the number of children. An update takes
//! one look-up for each endpoint. A new picker takes time in proportion to its children, so the
//! policy builds one for several changes, when it is woken.
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

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::control::ShardControl;
use super::{
    Balancer, BalancerEvent, BalancerUpdate, BalancerWaker, ChannelControl, ChildBalancer,
    ConnectivityStateEvaluator, FailingPicker, LoadReport, PickFirst, Picker, SubConnId,
    SubConnIndex, SubConnState, call_failure,
};
use crate::connectivity_state::ConnectivityState;
use crate::resolver::{Endpoint, EndpointKey};
use crate::status::Status;

/// A child policy for each endpoint: the base of policies over several endpoints. A child lives as
/// long as the updates contain its endpoint.
///
/// Such a policy passes its own calls on to the sharding. When children have published, the
/// sharding [wakes](Balancer::wake) the policy, once for several changes. When woken, and after
/// each update, the policy publishes again if [`take_change`](Self::take_change) requires it:
/// either the sharding's own [`state`](Self::state) and [`picker`](Self::picker), or a picker that
/// it builds from the [`children`](Self::children). [`BaseBalancer`](super::BaseBalancer) is such a
/// policy.
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
/// By default the children are health-aware `pick_first` policies: the addresses of an endpoint are
/// one backend, and one connection to it is enough.
///
/// Source: gRFC A61; grpc-go's package `balancer/endpointsharding`.
pub struct EndpointSharding {
    new_child: Box<dyn Fn() -> Box<dyn Balancer> + Send>,
    /// True if idle children connect at once.
    reconnects: bool,
    /// The interval of the load reports of the children's backends.
    load_reports: Option<Duration>,
    children: BTreeMap<EndpointId, EndpointChild>,
    by_endpoint: HashMap<EndpointKey, EndpointId>,
    subconns: SubConnIndex<EndpointId>,
    states: ConnectivityStateEvaluator,
    /// The times at which children need to be woken.
    timers: BTreeSet<(Instant, EndpointId)>,
    next_id: u64,
    /// The resolver's error, if it is the reason that there are no children.
    resolver_error: Option<Status>,
    /// The changes since the policy asked last.
    change: EndpointsChange,
    /// The waker for children. The channel's waker does not tell who has used it.
    waker: Option<BalancerWaker>,
}

impl EndpointSharding {
    /// Creates a sharding with [leaves](PickFirst::leaf) of `pick_first` as children, which connect
    /// whenever they are idle. The config of each update is a
    /// [`PickFirstConfig`](super::PickFirstConfig).
    #[must_use]
    pub fn new() -> Self {
        Self::with_children(|| Box::new(PickFirst::leaf()))
    }

    /// Creates a sharding with children from `new_child`, which connect whenever they are idle.
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
            resolver_error: None,
            change: EndpointsChange::None,
            waker: None,
        }
    }

    /// Keeps children idle until they connect by [`exit_idle`](Self::exit_idle), by
    /// [`exit_idle_child`](Self::exit_idle_child) or by a pick of their own picker.
    #[must_use]
    pub fn without_reconnecting(mut self) -> Self {
        self.reconnects = false;
        self
    }

    /// Sets the interval of the backends' load reports. See
    /// [`SubConnOptions::load_reports`](super::SubConnOptions::load_reports).
    #[must_use]
    pub fn with_load_reports(mut self, interval: Duration) -> Self {
        self.load_reports = Some(interval);
        self
    }

    /// The children, in the order in which their endpoints were added.
    pub fn children(&self) -> impl ExactSizeIterator<Item = &EndpointChild> {
        self.children.values()
    }

    /// The children whose state equals the aggregate state.
    pub fn best_children(&self) -> impl Iterator<Item = &EndpointChild> {
        let state = self.state();
        self.children().filter(move |child| child.state() == state)
    }

    /// The child with this id.
    #[must_use]
    pub fn child(&self, id: EndpointId) -> Option<&EndpointChild> {
        self.children.get(&id)
    }

    /// The child of the endpoint with these addresses.
    #[must_use]
    pub fn child_of(&self, endpoint: &EndpointKey) -> Option<&EndpointChild> {
        self.child(*self.by_endpoint.get(endpoint)?)
    }

    /// The child that has created this subchannel.
    #[must_use]
    pub fn child_with(&self, subconn: SubConnId) -> Option<&EndpointChild> {
        self.child(*self.subconns.get(subconn)?)
    }

    /// The aggregate state of the children. TRANSIENT_FAILURE without children. See
    /// [`ConnectivityStateEvaluator`].
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.states.state()
    }

    /// Creates a picker that uses the children with the aggregate state in turn, from a random one
    /// on. Without children, calls fail.
    pub fn picker(&self, control: &mut dyn ChannelControl) -> Arc<dyn Picker> {
        if self.children.is_empty() {
            let resolver_error = self.resolver_error.clone();
            let status = resolver_error.unwrap_or_else(|| no_endpoints(control.target()));
            return Arc::new(FailingPicker::new(status));
        }
        let best = self.best_children();
        let pickers = best.map(|child| Arc::clone(child.picker())).collect();
        RoundRobinPicker::of(pickers, control.random())
    }

    /// Applies new endpoints. Known endpoints keep their children, and the children of removed
    /// endpoints are dropped. The children get their endpoint and the config of the update, from a
    /// random one on, so that not every client connects to the same one first.
    ///
    /// The update counts as a change of the kind [`Best`](EndpointsChange::Best). The policy
    /// publishes at once and is not woken for it.
    ///
    /// # Errors
    /// There are no endpoints, and all children are dropped; or a child has returned an error, the
    /// first of which is returned.
    pub fn update(
        &mut self,
        mut update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        rotate(&mut update.endpoints, control.random());
        let mut result = Ok(());
        let mut old = std::mem::take(&mut self.by_endpoint);
        for endpoint in std::mem::take(&mut update.endpoints) {
            let key = EndpointKey::from(&endpoint);
            if self.by_endpoint.contains_key(&key) {
                continue;
            }
            let id = old.remove(&key).unwrap_or_else(|| self.add_child());
            self.by_endpoint.insert(key, id);
            let child_result = self.update_child(id, endpoint, &update, control);
            result = result.and(child_result);
        }
        old.into_values().for_each(|id| self.remove_child(id));
        self.change = EndpointsChange::Best;
        if self.children.is_empty() {
            self.resolver_error = None;
            return Err(no_endpoints(control.target()));
        }
        result
    }

    /// Returns the changes since the last call, so that the policy knows if it has to publish
    /// again.
    pub fn take_change(&mut self) -> EndpointsChange {
        std::mem::replace(&mut self.change, EndpointsChange::None)
    }

    /// See [`Balancer::resolver_error`]. Without children, calls fail with this error from now on.
    pub fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        if self.children.is_empty() {
            self.resolver_error = Some(call_failure(error));
            return self.note(EndpointsChange::Best, control);
        }
        self.handle_all(BalancerEvent::ResolverError(error), control);
    }

    /// See [`Balancer::subconn_state`].
    pub fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.handle_one(
            self.subconns.get(subconn).copied(),
            BalancerEvent::SubConnState(subconn, state),
            control,
        );
    }

    /// See [`Balancer::load_report`].
    pub fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.handle_one(
            self.subconns.get(subconn).copied(),
            BalancerEvent::LoadReport(subconn, report),
            control,
        );
    }

    /// See [`Balancer::exit_idle`]. Applies to all children.
    pub fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.handle_all(BalancerEvent::ExitIdle, control);
    }

    /// Connects one child, if it is idle.
    pub fn exit_idle_child(&mut self, id: EndpointId, control: &mut dyn ChannelControl) {
        self.handle_one(Some(id), BalancerEvent::ExitIdle, control);
    }

    /// Handles an event of the policy.
    pub fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        match event {
            BalancerEvent::ResolverError(error) => self.resolver_error(error, control),
            BalancerEvent::SubConnState(subconn, state) => {
                self.subconn_state(subconn, state, control);
            }
            BalancerEvent::ExitIdle => self.exit_idle(control),
            BalancerEvent::LoadReport(subconn, report) => {
                self.load_report(subconn, report, control);
            }
            BalancerEvent::Wake => self.wake(control),
        }
    }

    /// See [`Balancer::wake_at`].
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// See [`Balancer::wake`]. Wakes all children if one has requested it, otherwise the children
    /// whose timers are due.
    pub fn wake(&mut self, control: &mut dyn ChannelControl) {
        if self.waker.as_ref().is_some_and(BalancerWaker::begin) {
            return self.handle_all(BalancerEvent::Wake, control);
        }
        let now = control.now();
        let due = self.timers.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<_> = due.map(|(_, id)| *id).collect();
        for id in due {
            self.handle_one(Some(id), BalancerEvent::Wake, control);
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
        update: &BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        if let Some(child) = self.children.get_mut(&id) {
            child.endpoint = endpoint.clone();
        }
        let update = update.for_child(vec![endpoint], Arc::clone(&update.config));
        let mut result = Ok(());
        self.call(id, control, |child, control| {
            let (published, child_result) = child.update(update, control);
            result = child_result;
            published
        });
        result
    }

    /// Passes an event on to all children.
    fn handle_all(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        let ids: Vec<_> = self.children.keys().copied().collect();
        for id in ids {
            self.handle_one(Some(id), event, control);
        }
    }

    /// Passes an event on to one child, if there is one. Wakes the policy if that has changed
    /// something.
    fn handle_one(
        &mut self,
        child: Option<EndpointId>,
        event: BalancerEvent<'_>,
        control: &mut dyn ChannelControl,
    ) {
        if let Some(id) = child {
            let change = self.call(id, control, |child, control| child.handle(event, control));
            self.note(change, control);
        }
    }

    /// Records a change, and wakes the policy for the first one.
    fn note(&mut self, change: EndpointsChange, control: &dyn ChannelControl) {
        if self.change == EndpointsChange::None && change != EndpointsChange::None {
            control.waker().wake();
        }
        self.change = self.change.max(change);
    }

    /// Calls one child, and updates counts and timers. `call` returns true if the child has
    /// published.
    fn call(
        &mut self,
        id: EndpointId,
        control: &mut dyn ChannelControl,
        call: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
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
        let mut published = call(&mut child.balancer, &mut control);
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

/// Rotates a list to begin at a random element. `random` is in [0, 1).
fn rotate<T>(list: &mut [T], random: f64) {
    // The conversion rounds down.
    let start = (random * list.len() as f64) as usize;
    list.rotate_left(start.min(list.len()));
}

fn no_endpoints(target: &str) -> Status {
    Status::unavailable(format!(
        "name resolution of {target} has found no endpoints"
    ))
}
