//! Stats handlers: the events of calls and of connections, for metrics, traces and logs.
//!
//! A [`StatsHandler`] is given to a server by
//! [`Server::stats_handler`](crate::Server::stats_handler), and to a channel by
//! [`ClientConnBuilder::stats_handler`](crate::ClientConnBuilder::stats_handler). It is asked once
//! for each call and each connection, and returns a recorder that receives the events of that one,
//! or `None` if it is not interested. It is called on the task of the call or of the connection and
//! must not block. A panic of a stats handler is logged, and the event is lost.
//!
//! # The events of a server's call
//!
//! [`begin_call`](StatsHandler::begin_call), [`InHeader`](CallEvent::InHeader), any number of
//! [`InPayload`](CallEvent::InPayload), [`OutHeader`](CallEvent::OutHeader) unless the call ends
//! before its headers or without them (trailers-only), any number of
//! [`OutPayload`](CallEvent::OutPayload), [`OutTrailer`](CallEvent::OutTrailer) unless the call was
//! cancelled, [`End`](CallEvent::End). Each recorder has exactly one `End`, which is its last
//! event. Requests whose head is not well formed have no events.
//!
//! # The events of a client's call
//!
//! [`begin_call`](StatsHandler::begin_call),
//! [`NameResolutionDelayed`](CallEvent::NameResolutionDelayed) if the call had to wait for the
//! resolver, the attempts, [`End`](CallEvent::End). A handler is behind the interceptors: each
//! [run](crate::ClientNext::run) of a chain is a call for it.
//!
//! An attempt: [`begin_attempt`](CallStats::begin_attempt), [`PickDelayed`](CallEvent::PickDelayed)
//! if it had to wait for a connection, [`Picked`](CallEvent::Picked),
//! [`OutHeader`](CallEvent::OutHeader) with the metadata of per-RPC credentials,
//! [`OutPayload`](CallEvent::OutPayload) for each message, [`OutTrailer`](CallEvent::OutTrailer) at
//! the half-close, [`InHeader`](CallEvent::InHeader) unless the server sends trailers alone,
//! [`InPayload`](CallEvent::InPayload) for each message, [`InTrailer`](CallEvent::InTrailer) unless
//! the attempt ends otherwise, [`End`](CallEvent::End). Sending and receiving go on at the same
//! time on a stream. An attempt that fails before it has a connection has its `End` alone.
//!
//! The recorder of a call that returns no recorder for an attempt gets the events of the attempt
//! itself, but for the attempt's `End`. Payload events reach the recorder of a call once for each
//! message that the caller sends or receives, whatever the number of attempts, and besides the
//! recorder of each attempt that sends or receives it, without the message itself. So a handler
//! that does not distinguish attempts works on both sides.
//!
//! Source: grpc-go's package `stats`. There `TagRPC` puts state into a context; here the recorder
//! is the state.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! use rgrpc::stats::{CallBegin, CallEvent, CallStats, StatsHandler};
//!
//! #[derive(Default)]
//! struct Counts {
//!     ended: AtomicU64,
//!     received: AtomicU64,
//! }
//!
//! struct Counting(Arc<Counts>);
//!
//! impl StatsHandler for Counting {
//!     fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
//!         Some(Arc::clone(&self.0) as Arc<dyn CallStats>)
//!     }
//! }
//!
//! impl CallStats for Counts {
//!     fn event(&self, event: &CallEvent<'_>) {
//!         match event {
//!             CallEvent::InPayload(message) => {
//!                 self.received.fetch_add(message.wire_len() as u64, Relaxed);
//!             }
//!             CallEvent::End(_) => {
//!                 self.ended.fetch_add(1, Relaxed);
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//!
//! let server = rgrpc::Server::new().stats_handler(Counting(Arc::default()));
//! # drop(server);
//! ```

mod event;
mod handler;
mod recorders;

pub use event::{
    AttemptBegin, CallBegin, CallEvent, ConnectionBegin, ConnectionEnd, PickedConnection,
};
pub use handler::{CallStats, ConnectionStats, StatsHandler};
pub(crate) use recorders::{
    AttemptRecorders, CallRecorders, CallScope, ConnectionRecorders, StatsHandlers,
};
