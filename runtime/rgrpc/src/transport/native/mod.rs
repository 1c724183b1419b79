//! The native engine: one task for each connection, around the protocol core of [`rgrpc_http2`].
//!
//! The task owns the core and the socket, and nothing else touches them. In a turn it takes the
//! calls' posts, reads the available input, feeds the core, polls each new handler once, and writes
//! all output at once. Calls on other tasks post what they send to the connection's
//! [`Outbox`](outbox::Outbox), which wakes the task only when it sleeps. The data they receive is in
//! their stream, under a lock that no two streams share.

mod client;
mod fields;
mod inbound;
mod large_message;
mod link;
mod message_counter;
mod outbox;
mod outgoing;
mod read_buffer;
mod server;
mod socket;
mod timer;
mod turn;
mod wakers;

pub(crate) use client::connect;
pub(crate) use server::ServerConnection;
