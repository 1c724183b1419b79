//! The registry of a channel's subchannels, connections and attempts to connect.
//!
//! Written by the channel's task alone; read by users, and by calls that are given up, on their
//! tasks. It is where [`channelz`](crate::channelz) finds the subchannels of a channel.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use super::connect_attempts::{ChannelConnectAttempts, Unconnected};
use super::event::ConnectionId;
use crate::balancer::SubConnId;
use crate::channelz;
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::lock::lock;
use crate::transport::{ClientTransport, ConnectionRegistry};

/// The subchannels of a channel, their connections, and the attempts to connect.
///
/// It keeps no connection open: that is for the subchannel, as long as the connection takes calls,
/// and for the calls on it.
#[derive(Default)]
pub(in crate::client) struct Registry(Mutex<Records>);

#[derive(Default)]
struct Records {
    subchannels: BTreeMap<SubConnId, SubchannelRecord>,
    attempts: ChannelConnectAttempts,
}

/// A subchannel, until its last connection has ended.
struct SubchannelRecord {
    address: Address,
    /// SHUTDOWN when nobody holds it any more.
    state: ConnectivityState,
    /// The open connections, those that take no more calls included.
    connections: BTreeMap<ConnectionId, Weak<dyn ClientTransport>>,
    /// The statistics of the connections, those included that are being made or closed.
    statistics: Arc<ConnectionRegistry>,
    created: SystemTime,
    last_connect_error: Option<String>,
}

/// A subchannel at a moment.
pub(in crate::client) struct SubchannelSnapshot {
    pub(in crate::client) id: SubConnId,
    pub(in crate::client) address: Address,
    pub(in crate::client) state: ConnectivityState,
    /// The open connections, the oldest first, those that take no more calls included.
    pub(in crate::client) connections: Vec<OpenConnection>,
}

/// A subchannel as it was seen under the lock. The rest of its snapshot is made outside of it.
struct SeenSubchannel {
    snapshot: channelz::SubchannelSnapshot,
    statistics: Arc<ConnectionRegistry>,
}

/// An open connection of a subchannel.
pub(in crate::client) struct OpenConnection {
    pub(in crate::client) id: ConnectionId,
    pub(in crate::client) transport: Arc<dyn ClientTransport>,
}

impl Registry {
    /// The subchannels, the oldest first.
    pub(in crate::client) fn snapshot(&self) -> Vec<SubchannelSnapshot> {
        let records = lock(&self.0);
        let subchannels = records.subchannels.iter();
        subchannels
            .map(|(id, record)| record.snapshot(*id))
            .collect()
    }

    /// Forgets everything; returns the connections that were open, for the caller to close.
    pub(super) fn clear(&self) -> Vec<Arc<dyn ClientTransport>> {
        let records = std::mem::take(&mut *lock(&self.0));
        let records = records.subchannels.into_values();
        let connections = records.flat_map(|record| record.connections.into_values());
        connections
            .filter_map(|transport| transport.upgrade())
            .collect()
    }

    /// Returns the subchannels of a channel as channelz has them, in the order of their ids.
    pub(in crate::client) fn subchannels(&self, channel: u64) -> Vec<channelz::SubchannelSnapshot> {
        let seen: Vec<_> = {
            let records = lock(&self.0);
            let subchannels = records.subchannels.iter();
            subchannels
                .map(|(id, record)| record.seen(*id, channel))
                .collect()
        };
        seen.into_iter().map(SeenSubchannel::snapshot).collect()
    }

    /// Returns one subchannel of a channel as channelz has it.
    pub(in crate::client) fn subchannel(
        &self,
        id: u64,
        channel: u64,
    ) -> Option<channelz::SubchannelSnapshot> {
        let id = SubConnId::new(id);
        let seen = lock(&self.0).subchannels.get(&id)?.seen(id, channel);
        Some(seen.snapshot())
    }

    /// Returns the ids of the subchannels.
    pub(in crate::client) fn subchannel_ids(&self) -> Vec<u64> {
        let records = lock(&self.0);
        records
            .subchannels
            .keys()
            .copied()
            .map(SubConnId::number)
            .collect()
    }

    /// There is a new subchannel; `statistics` are those of its connections.
    pub(in crate::client) fn subchannel_created(
        &self,
        id: SubConnId,
        address: Address,
        statistics: Arc<ConnectionRegistry>,
    ) {
        let record = SubchannelRecord {
            address,
            state: ConnectivityState::Idle,
            connections: BTreeMap::new(),
            statistics,
            created: SystemTime::now(),
            last_connect_error: None,
        };
        lock(&self.0).subchannels.insert(id, record);
    }

    /// A subchannel is in this state now.
    pub(in crate::client) fn subchannel_state(&self, id: SubConnId, state: ConnectivityState) {
        if let Some(record) = lock(&self.0).subchannels.get_mut(&id) {
            record.state = state;
        }
    }

    /// An attempt to connect a subchannel has ended: with this error, or with a connection.
    pub(in crate::client) fn subchannel_connect_error(&self, id: SubConnId, error: Option<String>) {
        if let Some(record) = lock(&self.0).subchannels.get_mut(&id) {
            record.last_connect_error = error;
        }
    }

    /// Nobody holds a subchannel any more. It is there until its last connection has ended.
    pub(in crate::client) fn subchannel_shut_down(&self, id: SubConnId) {
        self.subchannel_state(id, ConnectivityState::Shutdown);
        self.forget_ended(id);
    }

    /// A subchannel has another connection.
    pub(in crate::client) fn connection_opened(
        &self,
        subchannel: SubConnId,
        id: ConnectionId,
        transport: &Arc<dyn ClientTransport>,
    ) {
        if let Some(record) = lock(&self.0).subchannels.get_mut(&subchannel) {
            record.connections.insert(id, Arc::downgrade(transport));
        }
    }

    /// A connection has ended.
    pub(in crate::client) fn connection_closed(&self, subchannel: SubConnId, id: ConnectionId) {
        if let Some(record) = lock(&self.0).subchannels.get_mut(&subchannel) {
            record.connections.remove(&id);
        }
        self.forget_ended(subchannel);
    }

    fn forget_ended(&self, id: SubConnId) {
        let mut records = lock(&self.0);
        if let Some(record) = records.subchannels.get(&id)
            && record.state == ConnectivityState::Shutdown
            && record.connections.is_empty()
        {
            records.subchannels.remove(&id);
        }
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

    /// The reason why there is no connection in a channel of this state.
    pub(super) fn unconnected(&self, state: ConnectivityState) -> Unconnected {
        lock(&self.0).attempts.unconnected(state)
    }
}

impl SeenSubchannel {
    fn snapshot(mut self) -> channelz::SubchannelSnapshot {
        self.snapshot.calls = self.statistics.calls();
        self.snapshot.connections = self.statistics.snapshots();
        self.snapshot
    }
}

impl SubchannelRecord {
    fn seen(&self, id: SubConnId, channel: u64) -> SeenSubchannel {
        SeenSubchannel {
            snapshot: channelz::SubchannelSnapshot {
                id: id.number(),
                channel,
                address: self.address.clone(),
                state: self.state,
                calls: channelz::CallCounts::default(),
                created: self.created,
                last_connect_error: self.last_connect_error.clone(),
                connections: Vec::new(),
            },
            statistics: Arc::clone(&self.statistics),
        }
    }

    fn snapshot(&self, id: SubConnId) -> SubchannelSnapshot {
        let connections = self.connections.iter().filter_map(|(id, transport)| {
            Some(OpenConnection {
                id: *id,
                transport: transport.upgrade()?,
            })
        });
        SubchannelSnapshot {
            id,
            address: self.address.clone(),
            state: self.state,
            connections: connections.collect(),
        }
    }
}

impl fmt::Debug for SubchannelSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subchannel")
            .field("id", &self.id)
            .field("address", &self.address)
            .field("state", &self.state)
            .field("connections", &self.connections)
            .finish()
    }
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id.0)
            .field("remote", &self.transport.peer().remote)
            .field("takes_calls", &!self.transport.is_gone())
            .field("waiting_calls", &self.transport.waiting_streams())
            .field("statistics", &self.transport.statistics())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::{ChannelControl, SubConnOptions, TestChannel};
    use crate::io::Peer;
    use crate::transport::{ClientTransportStream, ConnectionSnapshot, OpenError, OpenRequest};

    /// A connection on which nothing happens.
    struct NoTransport;

    impl ClientTransport for NoTransport {
        fn open(
            &self,
            request: OpenRequest<'_>,
        ) -> Result<Arc<dyn ClientTransportStream>, OpenError> {
            Err(OpenError::Gone(request.only_message))
        }

        fn peer(&self) -> &Arc<Peer> {
            unreachable!("nobody asks for the peer")
        }

        fn max_concurrent_streams(&self) -> usize {
            0
        }

        fn waiting_streams(&self) -> usize {
            0
        }

        fn is_gone(&self) -> bool {
            true
        }

        fn silence(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }

        fn statistics(&self) -> ConnectionSnapshot {
            unreachable!("nobody asks for the statistics")
        }

        fn close(&self) {}
    }

    /// Each subchannel's state, with the numbers of its connections.
    fn seen(registry: &Registry) -> Vec<(ConnectivityState, Vec<u64>)> {
        let snapshot = registry.snapshot().into_iter();
        let ids = |connections: Vec<OpenConnection>| {
            connections.into_iter().map(|connection| connection.id.0)
        };
        snapshot
            .map(|subchannel| (subchannel.state, ids(subchannel.connections).collect()))
            .collect()
    }

    #[test]
    fn a_subchannel_exists_until_it_is_dropped_and_its_last_connection_has_ended() {
        use ConnectivityState::{Idle, Ready, Shutdown};
        let registry = Registry::default();
        let address = Address::Name("backend-1".to_owned());
        let mut channel = TestChannel::new();
        let subconn = channel.create_subconn(address.clone(), SubConnOptions::default());
        let (id, first, second) = (subconn.id(), ConnectionId(1), ConnectionId(2));
        let transports = [(); 2].map(|()| Arc::new(NoTransport) as Arc<dyn ClientTransport>);
        registry.subchannel_created(id, address, Arc::default());
        assert_eq!(seen(&registry), [(Idle, vec![])]);
        registry.subchannel_state(id, Ready);
        registry.connection_opened(id, first, &transports[0]);
        registry.connection_opened(id, second, &transports[1]);
        assert_eq!(seen(&registry), [(Ready, vec![1, 2])]);
        registry.connection_closed(id, first);
        assert_eq!(seen(&registry), [(Ready, vec![2])]);
        registry.subchannel_shut_down(id);
        assert_eq!(seen(&registry), [(Shutdown, vec![2])]);
        registry.connection_closed(id, second);
        assert_eq!(seen(&registry), []);
    }

    #[test]
    fn the_registry_keeps_no_connection_open_and_gives_those_that_are_open_to_be_closed() {
        let registry = Registry::default();
        let address = Address::Name("backend-1".to_owned());
        let mut channel = TestChannel::new();
        let subconn = channel.create_subconn(address.clone(), SubConnOptions::default());
        let [kept, dropped] = [(); 2].map(|()| Arc::new(NoTransport) as Arc<dyn ClientTransport>);
        registry.subchannel_created(subconn.id(), address, Arc::default());
        registry.connection_opened(subconn.id(), ConnectionId(1), &kept);
        registry.connection_opened(subconn.id(), ConnectionId(2), &dropped);
        drop(dropped);
        assert_eq!(seen(&registry)[0].1, [1]);
        assert_eq!(registry.clear().len(), 1);
        assert_eq!(seen(&registry), []);
    }
}
