//! Keepalive: PINGs on silent connections, the bounds on idleness and age, the policy on PINGs.
//!
//! Only the native engine has it, so these tests choose that engine in every run.
//!
//! Source: gRFC A8, A9; grpc-go's `TestKeepaliveClient*`, `TestKeepaliveServer*`,
//! `TestMaxConnectionIdle`, `TestMaxConnectionAge`.

mod client;
mod server;
mod transports;
