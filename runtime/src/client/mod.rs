//! The client: a channel that connects when it is needed, and the calls made on it.
//!
//! [`ClientConn`] is a handle on one task, the [`Channel`](channel::Channel), which resolves,
//! connects, balances and reconnects. What calls need of it is in the
//! [`PickerCell`](picker::PickerCell), most of all the balancer's picker, an immutable snapshot
//! that they read without a lock. A call opens one stream of the connection that it picks: an
//! attempt. Its [`Plan`](plan::Plan) decides whether there are others, because one has failed
//! ([`Attempts`](retry::Attempts)) or has not answered for a while ([`Hedges`](hedging::Hedges)).
//! Calls with one message each way make one attempt after the other in the caller's future; calls
//! with streams, and those that are hedged, are a [`StreamCall`](stream_call::StreamCall).

mod attempt;
pub(crate) mod authority;
mod builder;
mod call;
mod call_config;
mod calls;
mod channel;
mod compression;
mod conn;
mod connect_attempts;
mod connectivity;
mod deadline;
mod done;
mod event;
mod half_wakers;
mod hedging;
mod idleness;
mod invoke;
mod opening;
mod picker;
mod plan;
mod replay;
mod retry;
mod schedule;
mod service_configs;
mod stream_call;
mod throttle;
mod transparent;
mod unary_call;
mod vet;
mod wait;

pub use builder::{BuildError, ClientConnBuilder};
pub use conn::ClientConn;
