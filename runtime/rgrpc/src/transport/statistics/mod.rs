//! Statistics of connections. A connection's task counts them and publishes them before it sleeps.
//! The owner of the registry of a channel or a server reads them.
//!
//! A publication costs a dozen stores, to memory that no other task writes, for each batch of work.
//! It costs nothing for each call. A reader disturbs no connection.

mod call_counts;
mod connection;
#[cfg(feature = "transport-h2")]
mod counted_stream;
mod registry;
mod snapshot;

pub use call_counts::CallCounts;
pub(crate) use connection::{ConnectionStats, Counts};
#[cfg(feature = "transport-h2")]
pub(crate) use counted_stream::CountedStream;
pub(crate) use registry::{ConnectionRegistry, Registration};
pub use snapshot::ConnectionSnapshot;
