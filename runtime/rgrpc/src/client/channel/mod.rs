//! A channel's task: it resolves the target, keeps the connections and balances.
//!
//! Spawned by the first call, or by the user's `connect`, on the caller's runtime. One serial loop
//! owns it all, without a lock. Each occurrence is an [`Event`], or comes from the [`Resolution`]; the balancer turns it
//! into requests to the [`Control`] and into pickers, which calls find in the
//! [`ChannelState`](super::connectivity::ChannelState). Monitors ask the backends for their health
//! and load.
//!
//! Users' code that panics here begins again after a [`Restart`]'s wait; calls that do not wait
//! for ready fail meanwhile. A task that is dropped with its runtime says so, and the next call
//! starts another one, on its own runtime.
//!
//! Source: grpc-go `ClientConn`, `addrConn`.

mod connector;
mod control;
mod idleness;
mod monitor;
mod resolution;
mod restart;
mod subchannel;

use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep, sleep_until};

pub(super) use self::connector::Connector;
use self::control::Control;
use self::idleness::{Idleness, IdlenessDecision};
use self::monitor::{MonitorContext, MonitorReport};
use self::resolution::{Resolution, Resolved};
use self::restart::Restart;
use super::config::ServiceConfigs;
use super::connectivity::{Event, EventReceiver, SharedState};
use crate::backoff::ConnectParams;
use crate::balancer::{
    Balancer, BalancerOptions, BalancerUpdate, GracefulSwitch, QueuingPicker, SubConnId,
    SubConnState,
};
use crate::buffer_pool::BufferPool;
use crate::connectivity_state::ConnectivityState;
use crate::credentials::PerRpcCredentials;
use crate::resolver::{Resolver, ResolverError, ResolverEvent, ResolverState};
use crate::status::Status;
use crate::task::{Panicked, caught, watched};
use crate::transport::CommonHeaders;

/// Makes a channel's resolvers.
pub(super) type NewResolver = Box<dyn Fn() -> Result<Box<dyn Resolver>, Status> + Send + Sync>;

/// The parts of a channel that its task uses.
pub(super) struct ChannelParts {
    pub(super) target: String,
    /// The properties of the channel, for its balancers.
    pub(super) options: BalancerOptions,
    /// Makes a resolver, each time that the channel leaves idle mode.
    pub(super) new_resolver: NewResolver,
    pub(super) connector: Connector,
    pub(super) connect_params: ConnectParams,
    /// The maximum number of connections of a subchannel, whatever the service config says.
    pub(super) max_connections: NonZeroUsize,
    /// The time without calls after which it goes idle; `None`: never.
    pub(super) idle_timeout: Option<Duration>,
    pub(super) service_configs: ServiceConfigs,
    /// The header fields of the requests that the channel makes itself.
    pub(super) headers: Arc<CommonHeaders>,
    /// The credentials of every request, also one for a backend's health.
    pub(super) per_rpc_credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
    pub(super) buffer_pool: BufferPool,
    /// Backends are not asked for their health.
    pub(super) health_check_disabled: bool,
}

/// A channel's task, before it runs.
///
/// It ends, from every state, when the channel is closed or its last handle is dropped.
pub(super) struct Channel {
    parts: Arc<ChannelParts>,
    state: SharedState,
    events: EventReceiver,
    /// True, or its sender gone, when the channel is to end.
    closed: watch::Receiver<bool>,
}

/// A channel's task at work.
struct Running {
    parts: Arc<ChannelParts>,
    service_configs: ServiceConfigs,
    state: SharedState,
    control: Control,
    restart: Restart,
    /// The parts of a channel that is not idle.
    active: Option<Active>,
}

/// The parts of a channel that is not idle.
struct Active {
    resolution: Resolution,
    balancer: GracefulSwitch,
    /// The balancer has been given something to balance over.
    is_balancing: bool,
    idleness: Option<(Idleness, Instant)>,
}

/// An occurrence that the task acts on.
enum Occurrence {
    Event(Event),
    Resolver(Resolved),
    Time,
    Closed,
}

impl Channel {
    pub(super) fn new(
        parts: Arc<ChannelParts>,
        state: SharedState,
        events: EventReceiver,
        closed: watch::Receiver<bool>,
    ) -> Self {
        Self {
            parts,
            state,
            events,
            closed,
        }
    }

    /// Runs until the channel ends. If the task is gone before, the shared state is told.
    pub(super) fn run(self) -> impl Future<Output = ()> + Send {
        let state = Arc::clone(&self.state);
        watched(self.serve(), move |ended| {
            if let Err(lost) = ended {
                state.task_lost(lost);
            }
        })
    }

    async fn serve(self) {
        let Self {
            parts,
            state,
            events,
            mut closed,
        } = self;
        let EventReceiver {
            sender,
            receiver: mut events,
        } = events;
        let mut channel = Running::new(parts, state, sender);
        let mut closed = pin!(async move { drop(closed.wait_for(|closed| *closed).await) });
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut wake_at = channel.wake_at();
        loop {
            if let Some(time) = wake_at
                && timer.deadline() != time
            {
                timer.as_mut().reset(time);
            }
            let occurrence = poll_fn(|cx| {
                if closed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Occurrence::Closed);
                }
                // The mailbox keeps a sender, so that they do not end.
                if let Poll::Ready(Some(event)) = events.poll_recv(cx) {
                    return Poll::Ready(Occurrence::Event(event));
                }
                channel.poll(cx, wake_at.map(|_| timer.as_mut()))
            })
            .await;
            if let Occurrence::Closed = occurrence {
                break;
            }
            wake_at = channel.step(occurrence);
        }
        channel.close();
    }
}

impl Running {
    fn new(
        parts: Arc<ChannelParts>,
        state: SharedState,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let monitor_context = MonitorContext::new(
            Arc::clone(&parts.headers),
            Arc::clone(&parts.per_rpc_credentials),
            parts.buffer_pool.clone(),
            events.clone(),
            parts.health_check_disabled,
        );
        let control = Control::new(
            parts.options.clone(),
            parts.connector.clone(),
            parts.connect_params,
            parts.max_connections,
            Arc::clone(&state),
            events,
            monitor_context,
        );
        Self {
            service_configs: parts.service_configs.clone(),
            restart: Restart::new(parts.connect_params),
            parts,
            state,
            control,
            active: None,
        }
    }

    /// Acts on an occurrence. Returns the time of the next timer.
    ///
    /// The balancing policy is called from here. One that has panicked is given up, and its
    /// connections go with it as far as they have no calls.
    fn step(&mut self, occurrence: Occurrence) -> Option<Instant> {
        let step = || {
            match occurrence {
                Occurrence::Event(event) => self.handle(event),
                Occurrence::Resolver(resolved) => self.resolved(resolved),
                Occurrence::Time => self.wake(),
                Occurrence::Closed => {}
            }
            self.wake_at()
        };
        match caught(POLICY, step) {
            Ok(wake_at) => wake_at,
            Err(panicked) => {
                let active = self.active.take();
                // It may panic once more when it is dropped, which changes nothing.
                let _ = caught(POLICY, || drop(active));
                self.fail_until_restart(&self.panicked(panicked));
                self.wake_at()
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, timer: Option<Pin<&mut Sleep>>) -> Poll<Occurrence> {
        if let Some(active) = &mut self.active
            && let Poll::Ready(resolved) = active.resolution.poll_next(cx)
        {
            return Poll::Ready(Occurrence::Resolver(resolved));
        }
        match timer {
            Some(timer) => timer.poll(cx).map(|()| Occurrence::Time),
            None => Poll::Pending,
        }
    }

    /// The time of the next timer.
    fn wake_at(&self) -> Option<Instant> {
        let active = self.active.as_ref();
        [
            self.control.wake_at(),
            self.restart.at(),
            active.and_then(|active| active.balancer.wake_at()),
            active.and_then(|active| active.idleness.map(|(_, time)| time)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::SubConn(id, request) => {
                let state = self.control.request(id, request);
                self.tell(id, state);
            }
            Event::Grow(id) => self.control.grow(id),
            Event::Connected {
                subconn,
                connection,
                outcome,
            } => {
                let now = Instant::now();
                let states = self.control.connected(subconn, connection, outcome, now);
                self.tell(subconn, states);
            }
            Event::Connection {
                subconn,
                connection,
                event,
            } => {
                let now = Instant::now();
                let state = self.control.connection(subconn, connection, event, now);
                self.tell(subconn, state);
            }
            Event::Monitor { subconn, monitor } => {
                if let Some(report) = self.control.monitored(subconn, monitor) {
                    self.tell_report(subconn, report);
                }
            }
            Event::ExitIdle => self.exit_idle(),
            Event::Wake => {
                self.control.begin_wake();
                if let Some(active) = &mut self.active {
                    active.balancer.wake(&mut self.control);
                }
            }
            Event::ResetBackoff => {
                self.state.task.begin_reset_backoff();
                self.restart.reset(Instant::now());
                for id in self.control.reset_backoff() {
                    self.tell(id, [SubConnState::Idle]);
                }
            }
        }
        self.pass_on_resolve_now();
    }

    /// Tells the balancer the new states of a subchannel.
    fn tell(&mut self, id: SubConnId, states: impl IntoIterator<Item = SubConnState>) {
        if let Some(active) = &mut self.active {
            for state in states {
                let control = &mut self.control;
                active.balancer.subconn_state(id, &state, control);
            }
        }
    }

    /// Tells the balancer the report of a backend.
    fn tell_report(&mut self, id: SubConnId, report: MonitorReport) {
        match report {
            MonitorReport::Health(health) => self.tell(id, [SubConnState::Ready(health)]),
            MonitorReport::Load(report) => {
                if let Some(active) = &mut self.active {
                    active.balancer.load_report(id, &report, &mut self.control);
                }
            }
        }
    }

    /// Asks the resolver to look again, if the balancer or a lost connection wants it.
    fn pass_on_resolve_now(&mut self) {
        if self.control.take_resolve_now()
            && let Some(active) = &self.active
        {
            active.resolution.resolve_now();
        }
    }

    /// Leaves idle mode, or has the balancer leave IDLE.
    fn exit_idle(&mut self) {
        self.state.task.begin_exit_idle();
        match &mut self.active {
            Some(active) => active.balancer.exit_idle(&mut self.control),
            // It is not idle, but waits to be restarted.
            None if self.restart.at().is_some() => {}
            None => self.activate(),
        }
    }

    fn activate(&mut self) {
        let connecting = ConnectivityState::Connecting;
        self.state
            .picker
            .publish(connecting, Arc::new(QueuingPicker));
        let resolver = match self.new_resolver() {
            Ok(resolver) => resolver,
            Err(status) => return self.fail_until_restart(&status),
        };
        let now = Instant::now();
        self.active = Some(Active {
            resolution: Resolution::start(resolver),
            balancer: GracefulSwitch::new(),
            is_balancing: false,
            idleness: self
                .parts
                .idle_timeout
                .map(|timeout| (Idleness::new(timeout, now), now)),
        });
        self.consider_idleness(now);
    }

    fn new_resolver(&self) -> Result<Box<dyn Resolver>, Status> {
        caught("the resolver's builder", || (self.parts.new_resolver)())
            .unwrap_or_else(|panicked| Err(self.panicked(panicked)))
    }

    /// Calls fail with this, unless they wait for ready, until the failed part has restarted.
    fn fail_until_restart(&mut self, status: &Status) {
        let delay = self.restart.schedule(Instant::now(), fastrand::f64());
        let text = format!(
            "{} (retry in {:.1} s)",
            status.message(),
            delay.as_secs_f64()
        );
        self.fail(status.to_unavailable(text));
    }

    /// The status for calls that cannot be made because of a panic.
    fn panicked(&self, panicked: Panicked) -> Status {
        Status::unavailable(format!(
            "cannot connect to {}: {panicked}",
            self.parts.target
        ))
    }

    /// Restarts the resolver or the policy that has panicked.
    fn restart(&mut self) {
        if self.active.is_none() {
            return self.activate();
        }
        match self.new_resolver() {
            Ok(resolver) => {
                if let Some(active) = &mut self.active {
                    active.resolution = Resolution::start(resolver);
                }
            }
            Err(status) => {
                self.restart.schedule(Instant::now(), fastrand::f64());
                self.resolver_error(&status);
            }
        }
    }

    /// Calls fail with this, unless they wait for ready.
    fn fail(&self, status: Status) {
        // They need to wait no longer for what the resolver may say about them.
        let default = self.service_configs.default_config();
        self.state.picker.default_call_config(&default.calls);
        self.state.picker.publish_failure(status);
    }

    fn resolved(&mut self, resolved: Resolved) {
        match resolved {
            Resolved::Event(ResolverEvent::Update(state, reply)) => {
                // The resolver does not wait for the answer when that fails.
                let _ = reply.send(self.update(state));
            }
            Resolved::Event(ResolverEvent::Error(error)) => {
                self.resolver_error(&error.to_status());
            }
            Resolved::Silent => {
                self.resolver_ended(&ResolverError::Ended);
            }
            Resolved::Panicked => {
                self.restart.schedule(Instant::now(), fastrand::f64());
                self.resolver_ended(&ResolverError::Panicked);
            }
        }
        self.pass_on_resolve_now();
    }

    /// The last answer of the resolver holds. Calls do not wait for one that has said nothing.
    fn resolver_ended(&mut self, why: &ResolverError) {
        tracing::debug!(target = self.parts.target, %why, "the resolver has ended");
        if let Some(active) = &self.active
            && !active.resolution.has_spoken()
        {
            self.resolver_error(&why.to_status());
        }
    }

    fn update(&mut self, state: ResolverState) -> Result<(), Status> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let ResolverState {
            endpoints,
            service_config,
            attributes,
        } = state;
        let config = match self.service_configs.choose(service_config, &attributes) {
            Ok(config) => config,
            Err(status) => {
                self.resolver_error(&status);
                return Err(status);
            }
        };
        self.control.set_max_connections(config.max_connections);
        active.is_balancing = true;
        for (id, state) in self.control.set_health_service(config.health_service) {
            active.balancer.subconn_state(id, &state, &mut self.control);
        }
        let update = BalancerUpdate::new(endpoints, Arc::new(config.policy))
            .with_attributes(Arc::new(attributes));
        let updated = active.balancer.update(update, &mut self.control);
        // After the picker for it, which knows all that a selector may choose (gRFC A31).
        self.state.picker.set_call_config(&config.calls);
        self.restart.succeeded();
        updated
    }

    fn resolver_error(&mut self, error: &Status) {
        let Some(active) = &mut self.active else {
            return;
        };
        if active.is_balancing {
            active.balancer.resolver_error(error, &mut self.control);
        } else {
            let text = format!(
                "cannot connect to {}: {}",
                self.parts.target,
                error.message()
            );
            self.fail(error.to_unavailable(text));
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
        if self.restart.take_due(now) {
            self.restart();
        }
        for id in self.control.wake(now) {
            self.tell(id, [SubConnState::Idle]);
        }
        if let Some(active) = &mut self.active
            && active.balancer.wake_at().is_some_and(|time| time <= now)
        {
            active.balancer.wake(&mut self.control);
        }
        self.pass_on_resolve_now();
        self.consider_idleness(now);
    }

    /// Goes idle if there have been no calls for long.
    fn consider_idleness(&mut self, now: Instant) {
        let Some(active) = &mut self.active else {
            return;
        };
        let Some((idleness, ask_at)) = &mut active.idleness else {
            return;
        };
        if *ask_at > now {
            return;
        }
        let calls = &self.state.calls;
        match idleness.decide(now, calls.activity()) {
            IdlenessDecision::AskAgainIn(wait) => *ask_at = now + wait.min(FAR),
            IdlenessDecision::Idle => {
                if self.state.try_publish_idle() {
                    tracing::debug!(
                        target = self.parts.target,
                        "idle: there were no calls for long"
                    );
                    self.active = None;
                    self.restart.cancel();
                    self.control.close();
                } else {
                    // A call has just begun; its end is looked for a timeout later.
                    *ask_at = now + self.parts.idle_timeout.unwrap_or(FAR).min(FAR);
                }
            }
        }
    }

    fn close(mut self) {
        self.state.picker.close();
        self.state.publish_idle();
        self.control.close();
    }
}

/// The name of the user code that a channel's task runs, for the text of a panic.
const POLICY: &str = "the channel's load balancing policy";

/// About a century: a time that a timer can be set to.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
