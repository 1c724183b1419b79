//! The connections of one channel, one subchannel or one server. A connection is registered from its
//! beginning until its task ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{CallCounts, ConnectionSnapshot, ConnectionStats};
use crate::entity_id::next_id;
use crate::io::Peer;
use crate::lock::lock;
use crate::side::Side;

/// The connections of a channel, a subchannel or a server, by their ids.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRegistry {
    records: Mutex<Records>,
    /// The registry that has the connections as well: that of the channel of a subchannel.
    parent: Option<Arc<ConnectionRegistry>>,
}

#[derive(Debug, Default)]
struct Records {
    open: BTreeMap<u64, Arc<ConnectionStats>>,
    /// The calls of the connections that have ended.
    ended: CallCounts,
}

/// A connection's place in its registry, until it is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<ConnectionRegistry>,
    stats: Arc<ConnectionStats>,
}

impl ConnectionRegistry {
    /// Creates the registry of a part of another one's connections.
    pub(crate) fn within(parent: &Arc<Self>) -> Self {
        Self {
            records: Mutex::default(),
            parent: Some(Arc::clone(parent)),
        }
    }

    /// Adds a connection that is created now.
    pub(crate) fn register(self: &Arc<Self>, side: Side, peer: Arc<Peer>) -> Registration {
        let id = next_id();
        let stats = Arc::new(ConnectionStats::new(id, side, peer));
        self.insert(id, &stats);
        Registration {
            registry: Arc::clone(self),
            stats,
        }
    }

    fn insert(&self, id: u64, stats: &Arc<ConnectionStats>) {
        lock(&self.records).open.insert(id, Arc::clone(stats));
        if let Some(parent) = &self.parent {
            parent.insert(id, stats);
        }
    }

    fn remove(&self, id: u64, calls: CallCounts) {
        {
            let mut records = lock(&self.records);
            records.open.remove(&id);
            records.ended.add(calls);
        }
        if let Some(parent) = &self.parent {
            parent.remove(id, calls);
        }
    }

    /// Returns the statistics of all connections, in the order of their creation.
    pub(crate) fn snapshots(&self) -> Vec<ConnectionSnapshot> {
        self.page(0, usize::MAX)
    }

    /// Returns the statistics of at most `max` connections, in the order of their ids, from `start`
    /// on.
    pub(crate) fn page(&self, start: u64, max: usize) -> Vec<ConnectionSnapshot> {
        let open: Vec<_> = {
            let records = lock(&self.records);
            let open = records.open.range(start..);
            open.map(|(_, stats)| Arc::clone(stats)).take(max).collect()
        };
        open.iter().map(|stats| stats.snapshot()).collect()
    }

    /// Returns the statistics of the connection with this id.
    pub(crate) fn snapshot(&self, id: u64) -> Option<ConnectionSnapshot> {
        let stats = lock(&self.records).open.get(&id).cloned();
        stats.map(|stats| stats.snapshot())
    }

    /// Returns the sum of the calls of all connections, those that have ended included.
    pub(crate) fn calls(&self) -> CallCounts {
        let (open, mut calls) = {
            let records = lock(&self.records);
            let open: Vec<_> = records.open.values().cloned().collect();
            (open, records.ended)
        };
        for stats in open {
            calls.add(stats.calls());
        }
        calls
    }
}

impl Registration {
    /// Returns the connection's statistics, which its task publishes.
    pub(crate) fn stats(&self) -> &Arc<ConnectionStats> {
        &self.stats
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry
            .remove(self.stats.id(), self.stats.calls_at_end());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::Counts;
    use super::*;
    use crate::io::Address;

    fn peer() -> Arc<Peer> {
        Arc::new(Peer::new(Address::Pipe, Address::Pipe))
    }

    #[test]
    fn a_connection_is_there_until_its_registration_is_dropped() {
        let registry = Arc::new(ConnectionRegistry::default());
        let first = registry.register(Side::Server, peer());
        let second = registry.register(Side::Server, peer());
        let ids = || -> Vec<_> { registry.snapshots().iter().map(|one| one.id).collect() };
        let (a, b) = (first.stats().id(), second.stats().id());
        assert!(a < b);
        assert_eq!(ids(), [a, b]);
        drop(first);
        assert_eq!(ids(), [b]);
        drop(second);
        assert_eq!(ids(), [0; 0]);
    }

    #[test]
    fn pages_begin_at_an_id() {
        let registry = Arc::new(ConnectionRegistry::default());
        let all: Vec<_> = (0..5)
            .map(|_| registry.register(Side::Server, peer()))
            .collect();
        let ids: Vec<_> = all.iter().map(|one| one.stats().id()).collect();
        let page = |start, max| -> Vec<_> {
            let page = registry.page(start, max).into_iter();
            page.map(|one| one.id).collect()
        };
        assert_eq!(page(0, 2), ids[..2]);
        assert_eq!(page(ids[1] + 1, 2), ids[2..4]);
        assert_eq!(page(ids[4] + 1, 2), [0; 0]);
        assert_eq!(page(0, usize::MAX), ids);
        assert_eq!(registry.snapshot(ids[3]).map(|one| one.id), Some(ids[3]));
        assert_eq!(registry.snapshot(ids[4] + 1), None);
    }

    #[test]
    fn calls_of_connections_that_have_ended_stay_in_the_sums_and_those_under_way_have_failed() {
        let channel = Arc::new(ConnectionRegistry::default());
        let subchannel = Arc::new(ConnectionRegistry::within(&channel));
        let counts = Counts {
            streams_started: 3,
            streams_succeeded: 1,
            streams_open: 2,
            ..Counts::default()
        };
        let (one, other) = (
            subchannel.register(Side::Client, peer()),
            channel.register(Side::Client, peer()),
        );
        for connection in [&one, &other] {
            connection.stats().publish(&counts, Instant::now());
        }
        let seen = |registry: &ConnectionRegistry| {
            let calls = registry.calls();
            (calls.started, calls.succeeded, calls.failed)
        };
        assert_eq!(seen(&subchannel), (3, 1, 0));
        assert_eq!(seen(&channel), (6, 2, 0));
        drop(one);
        assert_eq!(seen(&subchannel), (3, 1, 2));
        assert_eq!(seen(&channel), (6, 2, 2));
        assert_eq!(channel.snapshots().len(), 1);
        assert!(subchannel.snapshots().is_empty());
    }
}
