//! The client: a channel that connects when it is needed, and the calls made on it.
//!
//! [`ClientConn`] is a handle on one task, the [`Channel`](channel::Channel), which resolves,
//! connects, balances and reconnects. What calls need of it is in the
//! [`PickerCell`](picker::PickerCell), most of all the balancer's picker, an immutable snapshot that
//! they read without a lock. A call opens one stream of the connection that it picks, and another
//! when it has failed and is to be made again: [`Attempts`](retry::Attempts) decides that.

mod authority;
mod backoff;
mod builder;
mod call;
mod call_config;
mod calls;
mod channel;
mod conn;
mod connectivity;
mod deadline;
mod done;
mod event;
mod idleness;
mod picker;
mod retry;
mod service_configs;
mod throttle;

pub use backoff::BackoffConfig;
pub use builder::{BuildError, ClientConnBuilder};
pub use conn::ClientConn;
