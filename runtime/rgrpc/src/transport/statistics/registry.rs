//! The connections of one channel or one server. A connection is registered from its beginning
//! until its task ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{ConnectionSnapshot, ConnectionStats};
use crate::io::Peer;
use crate::lock::lock;
use crate::side::Side;

/// The next number of a connection in the process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The connections of a channel or a server, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRegistry(Mutex<BTreeMap<u64, Arc<ConnectionStats>>>);

/// A connection's place in its registry, until it is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<ConnectionRegistry>,
    stats: Arc<ConnectionStats>,
}

impl ConnectionRegistry {
    /// Adds a connection that is created now.
    pub(crate) fn register(self: &Arc<Self>, side: Side, peer: Arc<Peer>) -> Registration {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let stats = Arc::new(ConnectionStats::new(id, side, peer));
        lock(&self.0).insert(id, Arc::clone(&stats));
        Registration {
            registry: Arc::clone(self),
            stats,
        }
    }

    /// Returns the statistics of all connections, in the order of their creation.
    pub(crate) fn snapshots(&self) -> Vec<ConnectionSnapshot> {
        let all: Vec<_> = lock(&self.0).values().cloned().collect();
        all.iter().map(|stats| stats.snapshot()).collect()
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
        lock(&self.registry.0).remove(&self.stats.id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Address;

    #[test]
    fn a_connection_is_there_until_its_registration_is_dropped() {
        let registry = Arc::new(ConnectionRegistry::default());
        let peer = || Arc::new(Peer::new(Address::Pipe, Address::Pipe));
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
}
