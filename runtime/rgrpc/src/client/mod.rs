//! The client: a channel that connects when it is needed, and the calls made on it.
//!
//! ```text
//!   builder ──► conn (ClientConn) ──► channel: the task that resolves, connects and balances
//!                  ▲                      │ publishes
//!                  │                      ▼
//!                call ──reads──────► connectivity: the picker, the registry, the task's mailbox
//!                  └────────┬─────────────┘
//!                           ▼
//!                         config: the service config as it concerns calls
//! ```
//!
//! - [`builder`]: the options of a channel; users call it.
//! - [`conn`]: the handle of a channel; users and calls hold it.
//! - [`call`]: a call, its attempts and what decides about them; runs on the caller's task.
//! - [`channel`]: the channel's task, one for each channel.
//! - [`connectivity`]: the state that the task shares with calls and handles.
//! - [`config`]: the service config that holds.
//!
//! A call reads the balancer's picker, an immutable snapshot, without a lock, and opens one stream
//! of the picked connection: an attempt. Its scheduler decides whether others follow. Unary calls
//! make one attempt after the other in the caller's future. The attempts of a streaming call are
//! driven by the task that polls a half, those of a hedged call by the caller's.

mod builder;
mod call;
mod channel;
mod config;
mod conn;
mod connectivity;

pub use builder::{BuildError, ClientConnBuilder};
pub use conn::ClientConn;
#[cfg(rgrpc_fuzzing)]
pub(crate) use conn::authority;
