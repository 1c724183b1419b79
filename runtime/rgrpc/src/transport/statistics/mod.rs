//! Statistics of connections: counted by a connection's task, published before it sleeps, and read
//! by whoever has the registry of its channel or server.
//!
//! Publication costs a dozen stores to memory that nobody else writes for each batch of work, and
//! nothing for a call. A reader disturbs no connection.

mod connection;
mod registry;
mod snapshot;

pub(crate) use connection::{ConnectionStats, Counts};
pub(crate) use registry::{ConnectionRegistry, Registration};
pub use snapshot::ConnectionSnapshot;
