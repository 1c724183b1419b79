//! What a backend is asked besides calls: whether it serves, and how loaded it is.
//!
//! A monitor is a task: it makes a streaming call on one connection and retries it when it has
//! ended, until it is aborted. What is asked, and what the answers mean, is a [`Watch`]. The
//! [`Monitors`] of a [`SubConn`](crate::balancer::SubConn) begin when its connection is there and
//! end when it is lost or nobody holds the SubConn any more.
//!
//! ```text
//!   Control ── connected, lost ──► Monitors ── spawns ──► run(HealthWatch), run(LoadWatch)
//!      ▲                              │ take                     │
//!      │                              └── the latest Report ◄────┤
//!      └───────────── Event::Monitor ────────────────────────────┘
//! ```
//!
//! These calls are none of the channel's: no picker and no service config is asked for them, they
//! have no deadline, and they do not keep the channel from going idle. The channel's per-RPC
//! credentials go with them.
//!
//! Source: gRFC A17 for health, A51 for load; grpc-go's packages `health` and `orca`,
//! `producer.go`.

mod call;
mod health;
mod load;
mod proto;
mod retry;
mod task;
mod watch;

#[cfg(test)]
mod fake_transport;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use tokio::sync::mpsc::UnboundedSender;

use self::health::HealthWatch;
use self::load::LoadWatch;
use self::task::Monitor;
use self::watch::{Backend, Watch};
use crate::balancer::{Health, LoadReport, SubConnId, SubConnOptions};
use crate::client::event::{ConnectionId, Event, MonitorId};
use crate::credentials::PerRpcCredentials;
use crate::io::Address;
use crate::transport::{ClientTransport, Origin};

/// What a monitor has heard.
#[derive(Clone, Debug)]
pub(super) enum Report {
    Health(Health),
    Load(Box<LoadReport>),
}

/// What the monitors of a channel have in common.
pub(super) struct MonitorContext {
    origin: Arc<Origin>,
    /// Those of the channel.
    credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
    events: UnboundedSender<Event>,
    /// Nobody's health is asked for, whatever the service config says.
    health_check_disabled: bool,
    /// Which service's health is asked for; empty for the server as a whole.
    health_service: Option<Arc<str>>,
    next_id: u64,
}

impl MonitorContext {
    /// Health is not asked for until there is a service to ask for.
    pub(super) fn new(
        origin: Arc<Origin>,
        credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
        events: UnboundedSender<Event>,
        health_check_disabled: bool,
    ) -> Self {
        Self {
            origin,
            credentials,
            events,
            health_check_disabled,
            health_service: None,
            next_id: 0,
        }
    }

    /// Which service's health the service config says to ask for, if any. Whether that changes
    /// anything.
    pub(super) fn set_health_service(&mut self, service: Option<Arc<str>>) -> bool {
        let service = service.filter(|_| !self.health_check_disabled);
        let changes = self.health_service != service;
        self.health_service = service;
        changes
    }

    fn spawn<W: Watch>(
        &mut self,
        subconn: SubConnId,
        address: &Address,
        transport: Arc<dyn ClientTransport>,
        watch: W,
    ) -> Monitor {
        let id = MonitorId(self.next_id);
        self.next_id += 1;
        let backend = Backend {
            address: address.clone(),
            transport,
            origin: Arc::clone(&self.origin),
            credentials: Arc::clone(&self.credentials),
        };
        let events = self.events.clone();
        Monitor::spawn(id, backend, watch, move || {
            let event = Event::Monitor {
                subconn,
                monitor: id,
            };
            // The channel is gone when it cannot be sent.
            let _ = events.send(event);
        })
    }
}

/// The monitors of one SubConn. When it has several connections, they are on the oldest one.
pub(super) struct Monitors {
    subconn: SubConnId,
    address: Address,
    options: SubConnOptions,
    /// Those that take calls, the oldest first. They are not kept open here.
    connections: Vec<(ConnectionId, Weak<dyn ClientTransport>)>,
    health: Option<Monitor>,
    load: Option<Monitor>,
}

impl Monitors {
    /// Those that the options ask for, when there is a connection.
    pub(super) fn new(subconn: SubConnId, address: Address, options: SubConnOptions) -> Self {
        Self {
            subconn,
            address,
            options,
            connections: Vec::new(),
            health: None,
            load: None,
        }
    }

    /// There is a connection, or another one. Returns what is known of the backend's health, if
    /// that changes.
    pub(super) fn connected(
        &mut self,
        connection: ConnectionId,
        transport: &Arc<dyn ClientTransport>,
        context: &mut MonitorContext,
    ) -> Option<Health> {
        self.connections
            .push((connection, Arc::downgrade(transport)));
        (self.connections.len() == 1).then(|| self.begin(transport, context))
    }

    /// A connection takes no more calls. Returns what is known of the backend's health, if that
    /// changes, and there is another connection.
    pub(super) fn lost(
        &mut self,
        connection: ConnectionId,
        context: &mut MonitorContext,
    ) -> Option<Health> {
        let mut connections = self.connections.iter();
        let index = connections.position(|(id, _)| *id == connection)?;
        self.connections.remove(index);
        if index > 0 {
            return None;
        }
        self.health = None;
        self.load = None;
        let transport = self.transport()?;
        Some(self.begin(&transport, context))
    }

    /// The service whose health is asked for is another one. Returns what is known of its health,
    /// if there is a connection and its health matters.
    pub(super) fn health_service_changed(
        &mut self,
        context: &mut MonitorContext,
    ) -> Option<Health> {
        let transport = self.transport()?;
        self.options
            .health_check
            .then(|| self.begin_health_check(&transport, context))
    }

    /// What a monitor has heard last; `None` if that was taken, or it is none of these any more.
    pub(super) fn take(&self, monitor: MonitorId) -> Option<Report> {
        let monitors = [&self.health, &self.load].into_iter().flatten();
        monitors
            .filter(|present| present.id() == monitor)
            .find_map(Monitor::take)
    }

    /// The connection that the monitors are on.
    fn transport(&self) -> Option<Arc<dyn ClientTransport>> {
        let (_, oldest) = self.connections.first()?;
        oldest.upgrade()
    }

    fn begin(
        &mut self,
        transport: &Arc<dyn ClientTransport>,
        context: &mut MonitorContext,
    ) -> Health {
        self.load = self.options.load_reports.map(|interval| {
            let transport = Arc::clone(transport);
            let watch = LoadWatch::new(interval);
            context.spawn(self.subconn, &self.address, transport, watch)
        });
        self.begin_health_check(transport, context)
    }

    fn begin_health_check(
        &mut self,
        transport: &Arc<dyn ClientTransport>,
        context: &mut MonitorContext,
    ) -> Health {
        let service = context.health_service.clone();
        self.health = service
            .filter(|_| self.options.health_check)
            .map(|service| {
                let watch = HealthWatch::new(self.address.clone(), service);
                let transport = Arc::clone(transport);
                context.spawn(self.subconn, &self.address, transport, watch)
            });
        match self.health {
            Some(_) => Health::Unknown,
            None => Health::Serving,
        }
    }
}
