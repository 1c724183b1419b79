//! A soak of streams: random calls of every kind, with message sizes around every threshold of the
//! transport, and readers and writers of different habits.
//!
//! A call is described by a [`Plan`], which a seed determines; client and server derive the same
//! plan from the seed in the call's metadata. Each side checks the content of every message that it
//! receives. A stalled call is the fault that the soak looks for: a call that does not finish in
//! time fails with its seed.
//!
//! The plans run in two ways:
//!
//! - `cargo test -p rgrpc-soak` runs them in virtual time over in-memory connections that split
//!   reads and writes at random. Time advances only while every task waits, so a stall fails at
//!   once.
//! - `tests/soak/run` runs them over real sockets, in a release build, for minutes.

mod call;
mod content;
mod habits;
mod plan;
pub mod proto;
mod service;

pub use call::run_call;
pub use plan::{Kind, Plan, Profile};
pub use proto::{SoakClient, register_soak};
pub use service::SoakService;
