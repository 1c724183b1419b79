//! Keepalive: PINGs that find dead connections, limits on a connection's idleness and age, and the
//! enforcement of a policy on clients' PINGs.
//!
//! A frozen or unreachable peer does not close its connections. With keepalive, a connection that
//! receives nothing for `time` and nothing for another `timeout` after a PING is closed: its calls
//! fail with UNAVAILABLE, and the channel's picker stops using it.
//!
//! | | default | option |
//! |---|---|---|
//! | a channel's PINGs | off | [`ClientConnBuilder::keepalive`](crate::ClientConnBuilder::keepalive) |
//! | a server's PINGs, idleness, age | PINGs every 2 h | [`Server::keepalive`](crate::Server::keepalive) |
//! | a server's policy on clients' PINGs | one in 5 min | [`Server::keepalive_enforcement`](crate::Server::keepalive_enforcement) |
//!
//! A channel's `time` must agree with the policy of its servers: servers of gRPC close connections
//! whose client pings more often than once in 5 minutes, unless their policy says otherwise.
//!
//! The parameters have the names and the defaults of grpc-go's package `keepalive`.
//! [`Transport::Native`](crate::Transport::Native) implements them. With
//! [`Transport::H2`](crate::Transport) there is no keepalive, and setting an option of it is an
//! error: the `h2` crate shows neither the PINGs of a peer nor the number of a client's open
//! streams, and sends no debug data with GOAWAY.
//!
//! Source: gRFC A8 (client), gRFC A9 (server); grpc-go's package `keepalive`.

// The rules are state machines without a clock: ClientKeepalive and ServerKeepalive around one
// Probe, and PingEnforcer. A connection's task owns them, calls them at their deadlines, and does
// the step that they return. Activity moves no timer: at a deadline the task passes the time at
// which something was last received.

mod channel;
mod client;
mod enforcement;
mod parameters;
mod probe;
mod server;

pub(crate) use channel::ChannelKeepalive;
pub(crate) use client::ClientKeepalive;
pub(crate) use enforcement::PingEnforcer;
pub use parameters::{ClientParameters, EnforcementPolicy, ServerParameters};
pub(crate) use probe::{ProbeStep, Unanswered};
pub(crate) use server::{ServerKeepalive, ServerStep};

/// The payload of a keepalive PING. Source: grpc-go.
pub(crate) const PING: [u8; 8] = [0; 8];
