//! The registry of a channel's connections and attempts to connect.
//!
//! Written by the channel's task alone; read by users and by calls that are given up, on their tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use super::connect_attempts::{ConnectAttempts, Unconnected};
use super::event::ConnectionId;
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::lock::lock;
use crate::transport::ClientTransport;

/// A channel's connections and attempts to connect.
///
/// It keeps no connection open: that is for the subchannel, as long as the connection takes calls, and
/// for the calls on it.
#[derive(Default)]
pub(in crate::client) struct Registry(Mutex<Records>);

#[derive(Default)]
struct Records {
    /// The open connections, those that take no more calls included.
    connections: BTreeMap<ConnectionId, Weak<dyn ClientTransport>>,
    attempts: ConnectAttempts,
}

impl Registry {
    /// Adds an open connection.
    pub(in crate::client) fn add(&self, id: ConnectionId, transport: &Arc<dyn ClientTransport>) {
        let transport = Arc::downgrade(transport);
        lock(&self.0).connections.insert(id, transport);
    }

    /// Removes a connection that has ended.
    pub(in crate::client) fn remove(&self, id: ConnectionId) {
        lock(&self.0).connections.remove(&id);
    }

    /// The open connections.
    pub(super) fn transports(&self) -> Vec<Arc<dyn ClientTransport>> {
        let records = lock(&self.0);
        let transports = records.connections.values();
        transports.filter_map(Weak::upgrade).collect()
    }

    /// Forgets everything; returns the connections that were open, for the caller to close.
    pub(super) fn clear(&self) -> Vec<Arc<dyn ClientTransport>> {
        let records = std::mem::take(&mut *lock(&self.0));
        let transports = records.connections.values();
        transports.filter_map(Weak::upgrade).collect()
    }

    /// An attempt to connect has begun.
    pub(in crate::client) fn attempt_begun(&self, id: ConnectionId, address: Address) {
        lock(&self.0).attempts.begin(id, address);
    }

    /// An attempt to connect has succeeded.
    pub(in crate::client) fn attempt_succeeded(&self, id: ConnectionId) {
        lock(&self.0).attempts.succeeded(id);
    }

    /// An attempt to connect has failed; `reason` names the address.
    pub(in crate::client) fn attempt_failed(&self, id: ConnectionId, reason: String) {
        lock(&self.0).attempts.failed(id, reason);
    }

    /// An attempt to connect was abandoned.
    pub(in crate::client) fn attempt_abandoned(&self, id: ConnectionId) {
        lock(&self.0).attempts.give_up(id);
    }

    /// Why there is no connection in a channel of this state.
    pub(super) fn unconnected(&self, state: ConnectivityState) -> Unconnected {
        lock(&self.0).attempts.unconnected(state)
    }
}
