//! The interface of channels and servers to the registry: they give snapshots of themselves.
//!
//! Called by readers, on their tasks, under no lock of the registry.

use super::{ChannelSnapshot, ListenSocketSnapshot, ServerSnapshot, SubchannelSnapshot};
use crate::transport::ConnectionRegistry;

/// A channel, as a registry reads it.
pub(crate) trait ChannelSource: Send + Sync {
    /// Returns whether the channel was closed. It is not listed then.
    fn is_over(&self) -> bool;

    /// Returns the channel's snapshot, but for the nested channels, which the registry knows.
    fn snapshot(&self) -> ChannelSnapshot;

    /// Returns the subchannels, in the order of their ids.
    fn subchannels(&self) -> Vec<SubchannelSnapshot>;

    /// Returns the subchannel with this id.
    fn subchannel(&self, id: u64) -> Option<SubchannelSnapshot>;

    /// The connections of all subchannels.
    fn connections(&self) -> &ConnectionRegistry;
}

/// A server, as a registry reads it.
pub(crate) trait ServerSource: Send + Sync {
    /// Returns whether nothing runs for the server. It is not listed then.
    fn is_over(&self) -> bool;

    /// Returns the server's snapshot.
    fn snapshot(&self) -> ServerSnapshot;

    /// Returns the listen socket with this id.
    fn listen_socket(&self, id: u64) -> Option<ListenSocketSnapshot>;

    /// The connections of all listeners.
    fn connections(&self) -> &ConnectionRegistry;
}
