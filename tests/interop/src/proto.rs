//! The messages and services of `grpc.testing`.

#![allow(missing_docs, reason = "the schemas do not describe every field")]

rgrpc::include_proto!("grpc.testing");
