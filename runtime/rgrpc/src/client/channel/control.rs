//! The subchannels of a channel: what its balancers act on.
//!
//! Owned by the channel's task; called there by the task and, as their [`ChannelControl`], by the
//! balancers. Calls see its results in the pickers and in the registry.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connector::Connector;
use super::monitor::{MonitorContext, MonitorReport, Monitors};
use super::subchannel::{Connect, Loss, Subchannel};
use crate::backoff::ConnectParams;
use crate::balancer::{
    BalancerOptions, BalancerWaker, ChannelControl, Health, Picker, SubConn, SubConnId,
    SubConnOptions, SubConnOwner, SubConnRequest, SubConnState, WeakSubConn,
};
use crate::client::connectivity::{
    ConnectError, ConnectFailure, Connection, ConnectionId, ConnectionLoss, Connections, Event,
    MonitorId, Registry, SharedState,
};
use crate::connectivity_state::ConnectivityState;
use crate::entity_id::next_id;
use crate::io::Address;
use crate::resolver::Attributes;
use crate::task::watched;
use crate::transport::{ClientTransport, ConnectionRegistry, Report, TransportEvent};

/// The subchannels of a channel, as its balancers create and use them.
pub(super) struct Control {
    options: BalancerOptions,
    connector: Connector,
    connect_params: ConnectParams,
    state: SharedState,
    events: UnboundedSender<Event>,
    waker: BalancerWaker,
    owner: SubConnOwner,
    monitor_context: MonitorContext,
    subconns: HashMap<SubConnId, Entry>,
    /// The ends of the backoffs, so that no event looks through all subchannels.
    timers: BTreeSet<(Instant, SubConnId)>,
    next_connection: u64,
    /// The bound of `max_connections`, whatever the service config says.
    max_connections_limit: NonZeroUsize,
    /// The maximum number of connections of a subchannel.
    max_connections: usize,
    resolve_now: bool,
}

/// A subchannel: the owner of its connections, which publishes them to pickers and monitors.
struct Entry {
    address: Address,
    /// The attributes that reach the handshakes.
    attributes: Attributes,
    subconn: WeakSubConn,
    /// The connections as pickers find them.
    published: Arc<Connections>,
    subchannel: Subchannel<Arc<Connection>>,
    monitors: Monitors,
    /// The statistics of the connections.
    statistics: Arc<ConnectionRegistry>,
    /// The current attempt.
    attempt: Option<ConnectTask>,
}

/// The task of an attempt to connect that is under way.
struct ConnectTask {
    id: ConnectionId,
    task: AbortHandle,
}

impl Control {
    pub(super) fn new(
        options: BalancerOptions,
        connector: Connector,
        connect_params: ConnectParams,
        max_connections_limit: NonZeroUsize,
        state: SharedState,
        events: UnboundedSender<Event>,
        monitor_context: MonitorContext,
    ) -> Self {
        let (wakes, requests) = (events.clone(), events.clone());
        Self {
            options,
            connector,
            connect_params,
            max_connections_limit,
            state,
            events,
            // The channel is gone when it cannot be sent, here and below.
            waker: BalancerWaker::new(move || drop(wakes.send(Event::Wake))),
            owner: Arc::new(move |id, request| drop(requests.send(Event::SubConn(id, request)))),
            monitor_context,
            subconns: HashMap::new(),
            timers: BTreeSet::new(),
            next_connection: 0,
            max_connections: 1,
            resolve_now: false,
        }
    }

    /// A policy asked for the resolver since this was last called.
    pub(super) fn take_resolve_now(&mut self) -> bool {
        std::mem::take(&mut self.resolve_now)
    }

    /// The balancers are about to be woken.
    pub(super) fn begin_wake(&self) {
        self.waker.begin();
    }

    /// Carries out a request of a subchannel's holders. Returns the state that follows, for its
    /// policy.
    pub(super) fn request(
        &mut self,
        id: SubConnId,
        request: SubConnRequest,
    ) -> Option<SubConnState> {
        match request {
            SubConnRequest::Connect => self.connect(id),
            SubConnRequest::ShutDown => {
                self.shut_down(id);
                None
            }
        }
    }

    fn connect(&mut self, id: SubConnId) -> Option<SubConnState> {
        let entry = self.subconns.get_mut(&id)?;
        entry.subconn.begin_connect();
        let connect = entry.subchannel.connect(ConnectionId(self.next_connection));
        entry.record_state(id, &self.state.registry);
        match connect {
            Connect::Begin(limit) => self.begin_attempt(id, limit),
            Connect::UnderWay => {}
            Connect::Failed(status) => return Some(SubConnState::TransientFailure(status)),
            Connect::Nothing => return None,
        }
        Some(SubConnState::Connecting)
    }

    /// All streams of its connections are taken.
    pub(super) fn grow(&mut self, id: SubConnId) {
        let Some(entry) = self.subconns.get_mut(&id) else {
            return;
        };
        entry.published.begin_grow();
        let connection = ConnectionId(self.next_connection);
        if let Some(limit) = entry.subchannel.grow(connection, self.max_connections) {
            self.begin_attempt(id, limit);
        }
    }

    fn begin_attempt(&mut self, id: SubConnId, limit: Duration) {
        let Some(entry) = self.subconns.get_mut(&id) else {
            return;
        };
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let task = attempt(
            self.connector.registering_in(&entry.statistics),
            (entry.address.clone(), entry.attributes.clone()),
            limit,
            self.events.clone(),
            (id, connection),
        );
        entry.attempt = Some(ConnectTask {
            id: connection,
            task,
        });
        let registry = &self.state.registry;
        registry.attempt_begun(connection, entry.address.clone());
    }

    /// Sets the maximum number of connections of a subchannel; none is closed for it.
    pub(super) fn set_max_connections(&mut self, max: usize) {
        let max = max.min(self.max_connections_limit.get());
        if std::mem::replace(&mut self.max_connections, max) != max {
            for entry in self.subconns.values() {
                entry.publish(max > 1);
            }
        }
    }

    /// Nobody holds it any more: its connection ends with its calls.
    fn shut_down(&mut self, id: SubConnId) {
        let Some(entry) = self.subconns.remove(&id) else {
            return;
        };
        if let Some(at) = entry.subchannel.wake_at() {
            self.timers.remove(&(at, id));
        }
        self.state.registry.subchannel_shut_down(id);
        if let Some(attempt) = entry.attempt {
            attempt.task.abort();
            self.state.registry.attempt_abandoned(attempt.id);
        }
    }

    /// An attempt to connect has ended. Returns the states that follow, for its policy.
    pub(super) fn connected(
        &mut self,
        id: SubConnId,
        connection: ConnectionId,
        outcome: Result<Arc<dyn ClientTransport>, ConnectError>,
        now: Instant,
    ) -> Vec<SubConnState> {
        let Some(entry) = self.subconns.get_mut(&id) else {
            // It was dropped while the last step was taken.
            return Vec::new();
        };
        entry.attempt = None;
        let registry = &self.state.registry;
        let random = fastrand::f64();
        let waited_until = entry.subchannel.wake_at();
        let states = match outcome {
            Ok(transport) => {
                registry.attempt_succeeded(connection);
                registry.subchannel_connect_error(id, None);
                let new = Connection::new(Arc::clone(&transport));
                let connected = entry.subchannel.connected(connection, new, now, random);
                entry.record_state(id, registry);
                let mut health = None;
                if connected.is_used {
                    registry.connection_opened(id, connection, &transport);
                    health = entry.follow(&mut self.monitor_context);
                    entry.publish(self.max_connections > 1);
                }
                let mut states = connected.states.to_vec();
                if let (Some(known), [SubConnState::Ready(health)]) = (health, &mut states[..]) {
                    *health = known;
                }
                states
            }
            Err(problem) => {
                registry.subchannel_connect_error(id, Some(problem.to_string()));
                let failed = entry.subchannel.failed(connection, &problem, now, random);
                entry.record_state(id, registry);
                match &failed {
                    Some(SubConnState::TransientFailure(failure)) => {
                        registry.attempt_failed(connection, failure.message().to_owned());
                    }
                    // Other connections are there for its calls.
                    _ => registry.attempt_abandoned(connection),
                }
                failed.into_iter().collect()
            }
        };
        let wait_until = entry.subchannel.wake_at();
        self.set_timer(id, waited_until, wait_until);
        states
    }

    /// The end of a backoff is no longer, and is now, at these times.
    fn set_timer(&mut self, id: SubConnId, before: Option<Instant>, now: Option<Instant>) {
        if before != now {
            if let Some(at) = before {
                self.timers.remove(&(at, id));
            }
            self.timers.extend(now.map(|at| (at, id)));
        }
    }

    /// Something has happened to a connection. Returns the state that follows, for its policy.
    pub(super) fn connection(
        &mut self,
        id: SubConnId,
        connection: ConnectionId,
        event: TransportEvent,
        now: Instant,
    ) -> Option<SubConnState> {
        let (served, loss) = match event {
            TransportEvent::Draining { reason, served } => {
                tracing::debug!(%reason, "the connection takes no more calls");
                (served, ConnectionLoss::Draining(reason))
            }
            TransportEvent::MoreStreams => {
                if let Some(entry) = self.subconns.get(&id) {
                    entry.published.wake_waiting();
                }
                return None;
            }
            TransportEvent::Closed { end, served } => {
                let disconnect_error = end.reason().metric_label();
                tracing::debug!(%end, %disconnect_error, "connection closed");
                self.state.registry.connection_closed(id, connection);
                (served, ConnectionLoss::Closed(end))
            }
        };
        let entry = self.subconns.get_mut(&id)?;
        let loss = Loss {
            served,
            problem: ConnectError::new(
                entry.address.clone(),
                ConnectFailure::OfNoUse(Box::new(loss)),
            ),
        };
        let waited_until = entry.subchannel.wake_at();
        let random = fastrand::f64();
        let is_idle = entry.subchannel.lost(connection, loss, now, random);
        entry.record_state(id, &self.state.registry);
        let health = entry.follow(&mut self.monitor_context);
        entry.publish(self.max_connections > 1);
        let wait_until = entry.subchannel.wake_at();
        self.set_timer(id, waited_until, wait_until);
        self.resolve_now |= is_idle;
        if is_idle {
            Some(SubConnState::Idle)
        } else {
            health.map(SubConnState::Ready)
        }
    }

    /// The latest report of a monitor, if its connection is still there.
    pub(super) fn monitored(&self, id: SubConnId, monitor: MonitorId) -> Option<MonitorReport> {
        self.subconns.get(&id)?.monitors.take(monitor)
    }

    /// Sets the service whose health the service config says to ask for, if any. Returns the states
    /// that follow, for their policies.
    pub(super) fn set_health_service(
        &mut self,
        service: Option<Arc<str>>,
    ) -> Vec<(SubConnId, SubConnState)> {
        if !self.monitor_context.set_health_service(service) {
            return Vec::new();
        }
        let context = &mut self.monitor_context;
        let entries = self.subconns.iter_mut();
        let mut changed: Vec<_> = entries
            .filter_map(|(id, entry)| {
                let oldest = entry.subchannel.connections().first();
                let oldest = oldest.map(|owned| owned.connection.transport());
                let health = entry.monitors.health_service_changed(oldest, context)?;
                Some((*id, SubConnState::Ready(health)))
            })
            .collect();
        // In the order of their creation, not of the map.
        changed.sort_unstable_by_key(|(id, _)| *id);
        changed
    }

    /// The time of the next [`wake`](Self::wake).
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Ends backoff that is over. Returns the connections that are idle now.
    pub(super) fn wake(&mut self, now: Instant) -> Vec<SubConnId> {
        let mut due = Vec::new();
        while let Some((at, id)) = self.timers.pop_first() {
            if at > now {
                self.timers.insert((at, id));
                break;
            }
            due.push(id);
        }
        self.those(due, |subchannel| subchannel.wake(now))
    }

    /// Ends all backoff. Returns the connections that were in it, and are idle now.
    pub(super) fn reset_backoff(&mut self) -> Vec<SubConnId> {
        self.timers.clear();
        let all = self.subconns.keys().copied().collect();
        self.those(all, Subchannel::reset_backoff)
    }

    /// Changes these subchannels; returns those that are idle for it.
    fn those(
        &mut self,
        mut ids: Vec<SubConnId>,
        mut changes: impl FnMut(&mut Subchannel<Arc<Connection>>) -> bool,
    ) -> Vec<SubConnId> {
        // In the order of their creation, not of the map or of the timers.
        ids.sort_unstable();
        ids.retain(|id| {
            let Some(entry) = self.subconns.get_mut(id) else {
                return false;
            };
            let was_waiting = entry.subchannel.wake_at().is_some();
            let is_idle = changes(&mut entry.subchannel);
            entry.record_state(*id, &self.state.registry);
            if was_waiting && entry.subchannel.wake_at().is_none() {
                // There may be another connection for calls that wait.
                entry.published.wake_waiting();
            }
            is_idle
        });
        ids
    }

    /// Closes all connections at once.
    pub(super) fn close(&mut self) {
        self.timers.clear();
        for (_, entry) in self.subconns.drain() {
            if let Some(attempt) = entry.attempt {
                attempt.task.abort();
            }
        }
        self.state.close_connections();
    }
}

impl Entry {
    /// Publishes the connections to the pickers.
    fn publish(&self, may_grow: bool) {
        let connections = self.subchannel.connections().iter();
        let connections = connections.map(|owned| Arc::clone(&owned.connection));
        self.published.publish(connections.collect(), may_grow);
    }

    /// Moves the monitors to the oldest connection. Returns the known health of the backend, if
    /// that changes.
    fn follow(&mut self, context: &mut MonitorContext) -> Option<Health> {
        let oldest = self.subchannel.connections().first();
        let oldest = oldest.map(|owned| (owned.id, owned.connection.transport()));
        self.monitors.follow(oldest, context)
    }

    fn record_state(&self, id: SubConnId, registry: &Registry) {
        registry.subchannel_state(id, self.subchannel.state());
    }
}

/// Connects, as a task of its own, which says itself how it has ended.
fn attempt(
    connector: Connector,
    (address, attributes): (Address, Attributes),
    limit: Duration,
    events: UnboundedSender<Event>,
    (subconn, connection): (SubConnId, ConnectionId),
) -> AbortHandle {
    let reports = events.clone();
    let report: Report = Arc::new(move |event| {
        let _ = reports.send(Event::Connection {
            subconn,
            connection,
            event,
        });
    });
    let name = address.clone();
    let connect = async move {
        let connecting = connector.connect(&address, &attributes, limit, report);
        connecting.await
    };
    // An aborted task is reported as well, and ignored.
    let task = watched(connect, move |ended| {
        let lost = |lost| Err(ConnectError::new(name, ConnectFailure::TaskLost(lost)));
        let outcome = ended.unwrap_or_else(lost);
        let _ = events.send(Event::Connected {
            subconn,
            connection,
            outcome,
        });
    });
    tokio::spawn(task).abort_handle()
}

impl ChannelControl for Control {
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        let id = SubConnId::new(next_id());
        let events = self.events.clone();
        let published = Arc::new(Connections::new(move || drop(events.send(Event::Grow(id)))));
        let subconn = SubConn::new(
            id,
            address.clone(),
            options.attributes.clone(),
            Arc::clone(&published) as Arc<_>,
            Arc::clone(&self.owner),
        );
        let entry = Entry {
            published,
            attributes: options.attributes.clone(),
            monitors: Monitors::new(subconn.id(), address.clone(), options),
            address,
            subconn: subconn.downgrade(),
            subchannel: Subchannel::new(self.connect_params),
            statistics: Arc::new(ConnectionRegistry::within(
                &self.connector.settings.connections,
            )),
            attempt: None,
        };
        let (address, statistics) = (entry.address.clone(), Arc::clone(&entry.statistics));
        let registry = &self.state.registry;
        registry.subchannel_created(subconn.id(), address, statistics);
        self.subconns.insert(subconn.id(), entry);
        subconn
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.state.picker.publish(state, picker);
    }

    fn resolve_now(&mut self) {
        self.resolve_now = true;
    }

    fn waker(&self) -> BalancerWaker {
        self.waker.clone()
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&mut self) -> f64 {
        fastrand::f64()
    }

    fn build_options(&self) -> &BalancerOptions {
        &self.options
    }
}
