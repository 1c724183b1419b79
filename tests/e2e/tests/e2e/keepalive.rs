//! Keepalive: PINGs on silent connections, the bounds on idleness and age, the policy on PINGs.
//!
//! The native transport has it, so these tests choose that, whichever engine a run is about.
//!
//! Source: gRFC A8, A9; grpc-go's `TestKeepaliveClient*`, `TestKeepaliveServer*`,
//! `TestMaxConnectionIdle`, `TestMaxConnectionAge`.

mod client;
mod server;
mod transports;
