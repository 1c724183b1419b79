//! Monitors ask a backend for its health and its load, besides calls.
//!
//! A monitor is a task: it makes a streaming call on one connection and makes it again when it has
//! ended, until it is aborted. The question and the meaning of the answers are a [`Watch`]. The
//! [`Monitors`] of a [`SubConn`](crate::balancer::SubConn) begin when its connection is there and
//! end when it is lost or nobody holds the SubConn any more.
//!
//! ```text
//!   Control ── oldest connection ──► Monitors ── spawns ──► run(HealthWatch), run(LoadWatch)
//!      ▲                                │ take                          │
//!      │                                └── the latest MonitorReport ◄──┤
//!      └───────────── Event::Monitor ───────────────────────────────────┘
//! ```
//!
//! These calls are none of the channel's: no picker and no service config is asked for them, they
//! have no deadline, and they do not keep the channel from going idle. The channel's per-RPC
//! credentials go with them.
//!
//! Source: gRFC A17 for health, A51 for load; grpc-go's packages `health` and `orca`,
//! `producer.go`.

mod backend;
mod call;
mod health;
mod load;
mod proto;
mod report;
mod restart_delay;
mod task;
mod watch;

#[cfg(test)]
mod fake_transport;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use self::backend::Backend;
use self::health::HealthWatch;
use self::load::LoadWatch;
pub(super) use self::report::MonitorReport;
use self::task::Monitor;
use self::watch::Watch;
use crate::balancer::{Health, SubConnId, SubConnOptions};
use crate::buffer_pool::BufferPool;
use crate::client::connectivity::{ConnectionId, Event, MonitorId};
use crate::credentials::PerRpcCredentials;
use crate::io::Address;
use crate::transport::{ClientTransport, CommonHeaders};

/// The inputs of all monitors of a channel.
pub(super) struct MonitorContext {
    headers: Arc<CommonHeaders>,
    /// Those of the channel.
    credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
    /// The buffer pool of the channel.
    buffer_pool: BufferPool,
    events: UnboundedSender<Event>,
    /// No health is asked for, whatever the service config says.
    health_check_disabled: bool,
    /// The service whose health is asked for; empty for the server as a whole.
    health_service: Option<Arc<str>>,
    next_id: u64,
}

impl MonitorContext {
    /// Health is not asked for until there is a service to ask for.
    pub(super) fn new(
        headers: Arc<CommonHeaders>,
        credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
        buffer_pool: BufferPool,
        events: UnboundedSender<Event>,
        health_check_disabled: bool,
    ) -> Self {
        Self {
            headers,
            credentials,
            buffer_pool,
            events,
            health_check_disabled,
            health_service: None,
            next_id: 0,
        }
    }

    /// Sets the service whose health the service config says to ask for, if any. Returns whether
    /// that changes anything.
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
            headers: Arc::clone(&self.headers),
            credentials: Arc::clone(&self.credentials),
            buffer_pool: self.buffer_pool.clone(),
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

/// The monitors of one SubConn, on its oldest connection.
pub(super) struct Monitors {
    subconn: SubConnId,
    address: Address,
    options: SubConnOptions,
    /// The connection that they are on.
    connection: Option<ConnectionId>,
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
            connection: None,
            health: None,
            load: None,
        }
    }

    /// Follows the oldest connection of the SubConn: ends the monitors that are on another one, and
    /// restarts them. Returns the known health of the backend, if that changes and there is a
    /// connection.
    pub(super) fn follow(
        &mut self,
        oldest: Option<(ConnectionId, &Arc<dyn ClientTransport>)>,
        context: &mut MonitorContext,
    ) -> Option<Health> {
        let id = oldest.map(|(id, _)| id);
        if self.connection == id {
            return None;
        }
        self.connection = id;
        self.health = None;
        self.load = None;
        oldest.map(|(_, transport)| self.begin(transport, context))
    }

    /// The service whose health is asked for is another one. Returns the known health of the
    /// backend, if there is a connection and its health matters.
    pub(super) fn health_service_changed(
        &mut self,
        oldest: Option<&Arc<dyn ClientTransport>>,
        context: &mut MonitorContext,
    ) -> Option<Health> {
        let transport = oldest?;
        self.options
            .health_check
            .then(|| self.begin_health_check(transport, context))
    }

    /// The latest report of a monitor; `None` if it was taken, or the monitor is none of these any
    /// more.
    pub(super) fn take(&self, monitor: MonitorId) -> Option<MonitorReport> {
        let monitors = [&self.health, &self.load].into_iter().flatten();
        monitors
            .filter(|present| present.id() == monitor)
            .find_map(Monitor::take)
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
