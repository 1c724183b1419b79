//! A channel's task: what finds the backends, keeps the connections and decides where calls go.
//!
//! One serial loop owns it all, without a lock. What happens comes to it as an [`Event`], or from the
//! [`Resolution`]; the balancer turns it into what it asks of the [`Control`] and into pickers, which
//! calls find in the [`PickerCell`]. What backends say about themselves, where they are asked, comes
//! from the monitors of their connections.
//!
//! Source: grpc-go `ClientConn`, `addrConn`.

mod connector;
mod control;
mod monitor;
mod resolution;
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
use self::monitor::{MonitorContext, Report};
use self::resolution::Resolution;
use super::event::Event;
use super::idleness::{Idleness, Verdict};
use super::picker::PickerCell;
use super::service_configs::ServiceConfigs;
use crate::backoff::ConnectParams;
use crate::balancer::{
    Balancer, BalancerUpdate, FailingPicker, GracefulSwitch, QueuingPicker, SubConnId, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::credentials::PerRpcCredentials;
use crate::resolver::{Resolver, ResolverEvent, ResolverState};
use crate::status::Status;
use crate::transport::Origin;

/// What a channel is made of.
pub(super) struct ChannelParts {
    pub(super) target: String,
    /// Makes a resolver, each time that the channel leaves idle mode.
    pub(super) new_resolver: Box<dyn Fn() -> Result<Box<dyn Resolver>, Status> + Send>,
    pub(super) connector: Connector,
    pub(super) connect_params: ConnectParams,
    /// How many connections a subchannel may have, whatever the service config says.
    pub(super) max_connections: NonZeroUsize,
    /// After how long without calls it goes idle; `None`: never.
    pub(super) idle_timeout: Option<Duration>,
    pub(super) service_configs: ServiceConfigs,
    /// What the requests that the channel makes itself have in common with those of its calls.
    pub(super) origin: Arc<Origin>,
    /// Those that every request has, also one for a backend's health.
    pub(super) per_rpc_credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
    /// Backends are not asked for their health.
    pub(super) health_check_disabled: bool,
}

/// A channel's task, before it runs.
///
/// It ends, from every state, when the channel is closed or its last handle is dropped.
pub(super) struct Channel {
    parts: ChannelParts,
    cell: Arc<PickerCell>,
    events: mpsc::UnboundedReceiver<Event>,
    /// True, or its sender gone, when the channel is to end.
    closed: watch::Receiver<bool>,
}

/// A channel's task at work.
struct Running {
    target: String,
    new_resolver: Box<dyn Fn() -> Result<Box<dyn Resolver>, Status> + Send>,
    idle_timeout: Option<Duration>,
    service_configs: ServiceConfigs,
    cell: Arc<PickerCell>,
    control: Control,
    /// What it has when it is not idle.
    active: Option<Active>,
}

/// What a channel that is not idle has.
struct Active {
    resolution: Resolution,
    balancer: GracefulSwitch,
    /// The balancer has been given something to balance over.
    is_balancing: bool,
    idleness: Option<(Idleness, Instant)>,
}

/// What the task is to look at.
enum Occurrence {
    Event(Event),
    Resolver(Option<ResolverEvent>),
    Time,
    Closed,
}

impl Channel {
    pub(super) fn new(
        parts: ChannelParts,
        cell: Arc<PickerCell>,
        events: mpsc::UnboundedReceiver<Event>,
        closed: watch::Receiver<bool>,
    ) -> Self {
        Self {
            parts,
            cell,
            events,
            closed,
        }
    }

    pub(super) async fn run(self) {
        let Self {
            parts,
            cell,
            mut events,
            mut closed,
        } = self;
        let mut channel = Running::new(parts, cell);
        let mut closed = pin!(async move { drop(closed.wait_for(|closed| *closed).await) });
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            let wake_at = channel.wake_at();
            if let Some(time) = wake_at
                && timer.deadline() != time
            {
                timer.as_mut().reset(time);
            }
            let occurrence = poll_fn(|cx| {
                if closed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Occurrence::Closed);
                }
                // The cell keeps a sender, so that they do not end.
                if let Poll::Ready(Some(event)) = events.poll_recv(cx) {
                    return Poll::Ready(Occurrence::Event(event));
                }
                channel.poll(cx, wake_at.map(|_| timer.as_mut()))
            })
            .await;
            match occurrence {
                Occurrence::Event(event) => channel.handle(event),
                Occurrence::Resolver(event) => channel.resolved(event),
                Occurrence::Time => channel.wake(),
                Occurrence::Closed => break,
            }
        }
        channel.close();
    }
}

impl Running {
    fn new(parts: ChannelParts, cell: Arc<PickerCell>) -> Self {
        let ChannelParts {
            target,
            new_resolver,
            connector,
            connect_params,
            max_connections,
            idle_timeout,
            service_configs,
            origin,
            per_rpc_credentials,
            health_check_disabled,
        } = parts;
        let monitor_context = MonitorContext::new(
            origin,
            per_rpc_credentials,
            cell.events().clone(),
            health_check_disabled,
        );
        let control = Control::new(
            target.clone(),
            connector,
            connect_params,
            max_connections,
            Arc::clone(&cell),
            monitor_context,
        );
        Self {
            target,
            new_resolver,
            idle_timeout,
            service_configs,
            cell,
            control,
            active: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, timer: Option<Pin<&mut Sleep>>) -> Poll<Occurrence> {
        if let Some(active) = &mut self.active
            && let Poll::Ready(event) = active.resolution.poll_next(cx)
        {
            return Poll::Ready(Occurrence::Resolver(event));
        }
        match timer {
            Some(timer) => timer.poll(cx).map(|()| Occurrence::Time),
            None => Poll::Pending,
        }
    }

    /// When something is to be done, whatever else happens.
    fn wake_at(&self) -> Option<Instant> {
        let active = self.active.as_ref();
        [
            self.control.wake_at(),
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
                let state = self.control.connection(subconn, connection, &event);
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
                self.cell.begin_reset_backoff();
                for id in self.control.reset_backoff() {
                    self.tell(id, [SubConnState::Idle]);
                }
            }
        }
        self.pass_on_resolve_now();
    }

    /// Tells the balancer what has become of a connection.
    fn tell(&mut self, id: SubConnId, states: impl IntoIterator<Item = SubConnState>) {
        if let Some(active) = &mut self.active {
            for state in states {
                let control = &mut self.control;
                active.balancer.subconn_state(id, &state, control);
            }
        }
    }

    /// Tells the balancer what the backend of a connection says about itself.
    fn tell_report(&mut self, id: SubConnId, report: Report) {
        match report {
            Report::Health(health) => self.tell(id, [SubConnState::Ready(health)]),
            Report::Load(report) => {
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
        self.cell.begin_exit_idle();
        match &mut self.active {
            Some(active) => active.balancer.exit_idle(&mut self.control),
            None => self.activate(),
        }
    }

    fn activate(&mut self) {
        let connecting = ConnectivityState::Connecting;
        self.cell.publish(connecting, Arc::new(QueuingPicker));
        let resolver = match (self.new_resolver)() {
            Ok(resolver) => resolver,
            Err(status) => return self.fail(status),
        };
        let now = Instant::now();
        self.active = Some(Active {
            resolution: Resolution::start(resolver),
            balancer: GracefulSwitch::new(),
            is_balancing: false,
            idleness: self
                .idle_timeout
                .map(|timeout| (Idleness::new(timeout, now), now)),
        });
        self.consider_idleness(now);
    }

    /// Calls fail with this, unless they wait for ready.
    fn fail(&self, status: Status) {
        let failure = ConnectivityState::TransientFailure;
        self.cell
            .publish(failure, Arc::new(FailingPicker::new(status)));
    }

    fn resolved(&mut self, event: Option<ResolverEvent>) {
        match event {
            Some(ResolverEvent::Update(state, reply)) => {
                // The resolver does not wait for the answer when that fails.
                let _ = reply.send(self.update(state));
            }
            Some(ResolverEvent::Error(error)) => self.resolver_error(&error),
            None => self.resolver_ended(),
        }
        self.pass_on_resolve_now();
    }

    /// What it has said last holds. Calls do not wait for one that has said nothing.
    fn resolver_ended(&mut self) {
        tracing::debug!(target = self.target, "the resolver has ended");
        if let Some(active) = &self.active
            && !active.resolution.has_spoken()
        {
            let text = "the resolver ended or panicked before it had found anything";
            self.resolver_error(&Status::unavailable(text));
        }
    }

    fn update(&mut self, state: ResolverState) -> Result<(), Status> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let config = match self.service_configs.choose(state.service_config) {
            Ok(config) => config,
            Err(status) => {
                self.resolver_error(&status);
                return Err(status);
            }
        };
        self.cell.set_call_config(&config.calls);
        self.control.set_max_connections(config.max_connections);
        active.is_balancing = true;
        let health_service = config.health_service.clone();
        for (id, state) in self.control.set_health_service(health_service) {
            active.balancer.subconn_state(id, &state, &mut self.control);
        }
        let policy = Arc::new(config.policy.clone());
        let update = BalancerUpdate::new(state.endpoints, policy);
        active.balancer.update(update, &mut self.control)
    }

    fn resolver_error(&mut self, error: &Status) {
        let Some(active) = &mut self.active else {
            return;
        };
        if active.is_balancing {
            active.balancer.resolver_error(error, &mut self.control);
        } else {
            // Calls need to wait no longer for what the resolver may say about them.
            let default = self.service_configs.default_config();
            self.cell.default_call_config(&default.calls);
            let text = format!("cannot connect to {}: {}", self.target, error.message());
            self.fail(error.retold(text));
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
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
        let calls = self.cell.calls();
        match idleness.verdict(now, calls.activity()) {
            Verdict::AskAgainIn(wait) => *ask_at = now + wait.min(FAR),
            Verdict::Idle => {
                if calls.if_none(|| self.cell.publish_idle()) {
                    tracing::debug!(target = self.target, "idle: there were no calls for long");
                    self.active = None;
                    self.control.close();
                } else {
                    // A call has just begun; its end is looked for a timeout later.
                    *ask_at = now + self.idle_timeout.unwrap_or(FAR).min(FAR);
                }
            }
        }
    }

    fn close(mut self) {
        self.cell.close();
        self.cell.publish_idle();
        self.active = None;
        self.control.close();
    }
}

/// About a century: a time that a timer can be set to.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
