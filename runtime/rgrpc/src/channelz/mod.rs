//! The channels, subchannels, servers and sockets of a program, and their statistics.
//!
//! A [`Registry`] lists them, for a channelz service, a debugging page or a metrics exporter. Each
//! channel and each server is in [`Registry::shared`], the registry of the process, unless
//! [`ClientConnBuilder::registry`](crate::ClientConnBuilder::registry) or
//! [`Server::registry`](crate::Server::registry) gives it another one.
//!
//! ```text
//!  Registry ─┬─ channels ─┬─ subchannels ── sockets (connections)
//!            │            └─ nested channels: those with this one as their parent
//!            └─ servers ──┬─ listen sockets
//!                         └─ sockets (connections)
//! ```
//!
//! All have ids of one sequence, which only grows, and lists are in the order of ids. A list is read by
//! pages: from an id on, so many at most.
//!
//! A reader takes locks for a few moves of data, and disturbs no call and no connection. The calls of a
//! channel are counted when they begin and end. Those of subchannels and servers are the sums of their
//! connections, which publish them before they sleep, so that they may be a moment late.
//!
//! ```
//! use rgrpc::channelz::Registry;
//!
//! let registry = Registry::shared();
//! let page = registry.channels(0, 50);
//! for channel in &page.items {
//!     println!("{} {} is {}", channel.id, channel.target, channel.state);
//!     for subchannel in registry.subchannels(channel.id) {
//!         println!("  {} {} is {}", subchannel.id, subchannel.address, subchannel.state);
//!     }
//! }
//! ```
//!
//! Source: gRFC A14; grpc-go `internal/channelz`; `grpc/channelz/v1/channelz.proto`.

// Channels and servers register themselves as a `ChannelSource` and a `ServerSource`, which the registry
// holds weakly and asks on the reader's task, outside of its lock.

mod registry;
mod snapshot;
mod source;

pub(crate) use self::registry::Listing;
pub use self::registry::{Page, Registry};
pub use self::snapshot::{
    ChannelSnapshot, ListenSocketSnapshot, ServerSnapshot, SocketSnapshot, SubchannelSnapshot,
};
pub(crate) use self::source::{ChannelSource, ServerSource};
pub use crate::transport::{CallCounts, ConnectionSnapshot};
