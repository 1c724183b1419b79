//! The registry of channels and servers.
//!
//! Written by channels and servers when they begin and end; read by users, on their tasks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use super::{
    ChannelSnapshot, ChannelSource, ServerSnapshot, ServerSource, SocketSnapshot,
    SubchannelSnapshot,
};
use crate::lock::lock;
use crate::transport::ConnectionSnapshot;

/// A registry of channels and servers; the [module](super) says what it lists.
///
/// A channel is listed until it is closed or its last handle is dropped, a server while it serves. The
/// registry keeps neither of them alive.
///
/// A cheap handle: all clones are one registry. Registries of tests and of parts of a program are
/// [new](Self::new) ones.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    channels: BTreeMap<u64, ChannelEntry>,
    servers: BTreeMap<u64, Weak<dyn ServerSource>>,
}

struct ChannelEntry {
    parent: Option<u64>,
    source: Weak<dyn ChannelSource>,
}

/// A part of a list that was read.
///
/// Source: grpc-go `channelz.GetTopChannels`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The entries, in the order of their ids.
    pub items: Vec<T>,
    /// True if the list has no entry beyond these.
    pub is_last: bool,
}

/// The place of a channel or a server in a registry, until it is dropped.
pub(crate) struct Listing {
    registry: Registry,
    id: u64,
}

impl Registry {
    /// Creates an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the registry of the process: that of channels and servers which were given no other.
    #[must_use]
    pub fn shared() -> Self {
        static SHARED: LazyLock<Registry> = LazyLock::new(Registry::default);
        SHARED.clone()
    }

    /// Returns the channels from the id `start` on, at most `max` of them: those without a parent and
    /// nested ones.
    #[must_use]
    pub fn channels(&self, start: u64, max: usize) -> Page<ChannelSnapshot> {
        self.channel_page(start, max, |_| true)
    }

    /// Returns the channels that have no parent from the id `start` on, at most `max` of them. A channel
    /// whose parent is not listed any more is among them.
    ///
    /// Source: `grpc/channelz/v1/channelz.proto`, `GetTopChannels`.
    #[must_use]
    pub fn top_channels(&self, start: u64, max: usize) -> Page<ChannelSnapshot> {
        let sources = self.channel_sources(0);
        let listed = |id: &u64| sources.binary_search_by_key(id, |(id, ..)| *id).is_ok();
        self.channel_page(start, max, |parent| !parent.as_ref().is_some_and(listed))
    }

    fn channel_page(
        &self,
        start: u64,
        max: usize,
        is_wanted: impl Fn(Option<u64>) -> bool,
    ) -> Page<ChannelSnapshot> {
        let sources = self.channel_sources(start).into_iter();
        let wanted = sources.filter(|(_, parent, _)| is_wanted(*parent));
        page(wanted, max, |(.., source)| self.channel_snapshot(&*source))
    }

    /// Returns the channel with this id.
    #[must_use]
    pub fn channel(&self, id: u64) -> Option<ChannelSnapshot> {
        let source = self.channel_source(id)?;
        Some(self.channel_snapshot(&*source))
    }

    /// Returns all subchannels of the channel with this id; none if there is no such channel.
    #[must_use]
    pub fn subchannels(&self, channel: u64) -> Vec<SubchannelSnapshot> {
        let source = self.channel_source(channel);
        source.map_or_else(Vec::new, |source| source.subchannels())
    }

    /// Returns the subchannel with this id.
    #[must_use]
    pub fn subchannel(&self, id: u64) -> Option<SubchannelSnapshot> {
        let sources = self.channel_sources(0).into_iter();
        sources
            .map(|(.., source)| source.subchannel(id))
            .find_map(|subchannel| subchannel)
    }

    /// Returns the servers from the id `start` on, at most `max` of them.
    #[must_use]
    pub fn servers(&self, start: u64, max: usize) -> Page<ServerSnapshot> {
        let sources = self.server_sources(start).into_iter();
        page(sources, max, |source| source.snapshot())
    }

    /// Returns the server with this id.
    #[must_use]
    pub fn server(&self, id: u64) -> Option<ServerSnapshot> {
        Some(self.server_source(id)?.snapshot())
    }

    /// Returns the connections of the server with this id, from the socket id `start` on, at most `max`
    /// of them; `None` if there is no such server.
    ///
    /// Source: `grpc/channelz/v1/channelz.proto`, `GetServerSockets`.
    #[must_use]
    pub fn server_sockets(
        &self,
        server: u64,
        start: u64,
        max: usize,
    ) -> Option<Page<ConnectionSnapshot>> {
        let source = self.server_source(server)?;
        let sockets = source.connections().page(start, max.saturating_add(1));
        Some(page(sockets.into_iter(), max, |socket| socket))
    }

    /// Returns the socket with this id.
    #[must_use]
    pub fn socket(&self, id: u64) -> Option<SocketSnapshot> {
        let connection =
            |snapshot: ConnectionSnapshot| SocketSnapshot::Connection(Box::new(snapshot));
        for (.., channel) in self.channel_sources(0) {
            if let Some(snapshot) = channel.connections().snapshot(id) {
                return Some(connection(snapshot));
            }
        }
        for server in self.server_sources(0) {
            if let Some(snapshot) = server.connections().snapshot(id) {
                return Some(connection(snapshot));
            }
            if let Some(listener) = server.listen_socket(id) {
                return Some(SocketSnapshot::Listen(listener));
            }
        }
        None
    }

    /// Adds a channel, until the listing is dropped.
    pub(crate) fn add_channel(
        &self,
        id: u64,
        parent: Option<u64>,
        source: Weak<dyn ChannelSource>,
    ) -> Listing {
        let entry = ChannelEntry { parent, source };
        lock(&self.0).channels.insert(id, entry);
        self.listing(id)
    }

    /// Adds a server, until the listing is dropped.
    pub(crate) fn add_server(&self, id: u64, source: Weak<dyn ServerSource>) -> Listing {
        lock(&self.0).servers.insert(id, source);
        self.listing(id)
    }

    fn listing(&self, id: u64) -> Listing {
        let registry = self.clone();
        Listing { registry, id }
    }

    fn channel_snapshot(&self, source: &dyn ChannelSource) -> ChannelSnapshot {
        let mut snapshot = source.snapshot();
        let nested = self.channel_sources(0).into_iter();
        let nested = nested.filter(|(_, parent, _)| *parent == Some(snapshot.id));
        snapshot.nested = nested.map(|(id, ..)| id).collect();
        snapshot
    }

    /// The channels from an id on, with their parents. They are dropped outside of the lock: one whose
    /// last handle is gone meanwhile ends here.
    fn channel_sources(&self, start: u64) -> Vec<(u64, Option<u64>, Arc<dyn ChannelSource>)> {
        let mut sources: Vec<_> = {
            let entries = lock(&self.0);
            let channels = entries.channels.range(start..);
            channels
                .filter_map(|(id, entry)| Some((*id, entry.parent, entry.source.upgrade()?)))
                .collect()
        };
        sources.retain(|(.., source)| !source.is_over());
        sources
    }

    fn channel_source(&self, id: u64) -> Option<Arc<dyn ChannelSource>> {
        let source = lock(&self.0).channels.get(&id)?.source.upgrade()?;
        (!source.is_over()).then_some(source)
    }

    fn server_sources(&self, start: u64) -> Vec<Arc<dyn ServerSource>> {
        let mut sources: Vec<_> = {
            let entries = lock(&self.0);
            let servers = entries.servers.range(start..);
            servers.filter_map(|(_, source)| source.upgrade()).collect()
        };
        sources.retain(|source| !source.is_over());
        sources
    }

    fn server_source(&self, id: u64) -> Option<Arc<dyn ServerSource>> {
        let source = lock(&self.0).servers.get(&id)?.upgrade()?;
        (!source.is_over()).then_some(source)
    }
}

/// Returns the first `max` of a list.
fn page<S, T>(
    mut list: impl Iterator<Item = S>,
    max: usize,
    snapshot: impl FnMut(S) -> T,
) -> Page<T> {
    let items = list.by_ref().take(max).map(snapshot).collect();
    Page {
        items,
        is_last: list.next().is_none(),
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = lock(&self.0);
        f.debug_struct("Registry")
            .field("channels", &entries.channels.len())
            .field("servers", &entries.servers.len())
            .finish()
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let mut entries = lock(&self.registry.0);
        // Ids are of one sequence. What is removed is a weak reference, which runs no code.
        if entries.channels.remove(&self.id).is_none() {
            entries.servers.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_whether_it_is_the_last() {
        let read = |max| {
            let page = page(1..=3, max, |n| n);
            (page.items, page.is_last)
        };
        assert_eq!(read(0), (vec![], false));
        assert_eq!(read(2), (vec![1, 2], false));
        assert_eq!(read(3), (vec![1, 2, 3], true));
        assert_eq!(read(usize::MAX), (vec![1, 2, 3], true));
        let empty = page(std::iter::empty::<u64>(), 0, |n| n);
        assert!(empty.items.is_empty() && empty.is_last);
    }
}
