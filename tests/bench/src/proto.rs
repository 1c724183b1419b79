//! `grpc.testing` as generated for rgrpc, and its service as generated for tonic.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

include!(concat!(env!("OUT_DIR"), "/rgrpc/mod.rs"));

/// The service for tonic, on the messages of [`grpc::testing`].
pub mod tonic_service {
    include!(concat!(env!("OUT_DIR"), "/tonic/grpc.testing.rs"));
}
