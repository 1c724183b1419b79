//! gRPC's interop client and server on rgrpc, with the flags of grpc-go's.
//!
//! The two programs, `interop-client` and `interop-server`, are thin: [`client`] and [`server`]
//! read their flags and do their work. [`service`] is what the server serves, [`case`] what the
//! client checks. `tests/interop/run` crosses them with other implementations' programs.
//!
//! Source: gRPC's `doc/interop-test-descriptions.md`; grpc-go's package `interop`.

pub mod additional_metadata;
pub mod case;
pub mod client;
mod compression;
pub mod engine;
pub mod flags;
pub mod keepalive;
mod payload;
pub mod proto;
pub mod server;
pub mod service;
pub mod soak;
pub mod tls;
