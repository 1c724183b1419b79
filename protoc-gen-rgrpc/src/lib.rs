//! Generates Rust code for rgrpc from `.proto` files: messages (by prost-build) and services
//! together, one file for each package, and a `mod.rs` that nests the packages as modules.
//!
//! There are three ways to the same code, byte for byte:
//!
//! * A build script, with an embedded compiler: [`compile_protos`], or a [`Builder`] for options.
//!   The crate then says `rgrpc::include_proto!("routeguide")` for one package, or
//!   `rgrpc::include_protos!()` for all of them nested.
//! * `protoc --rgrpc_out=src/proto …`, and `mod proto;` in the crate.
//! * `buf generate` with a local plugin and `strategy: all`, and `mod proto;` in the crate.
//!
//! # What is generated
//!
//! For each service: a trait with a default body for each method, a constant with each method's
//! full name, a static `ServiceDesc`, a register function, and a client generic over how calls are
//! made. For each package: the encoded file descriptors, and a check at compile time that the
//! runtime supports the code. Comments and `deprecated` are carried over. (When a single package
//! with deprecated messages is included by `include_proto!`, without `mod.rs`, its module needs
//! `#[allow(deprecated)]`: derived code mentions them.)
//!
//! Messages are generated for the files that are named and for those whose types these use; services
//! for the files that are named. The well-known types come from the runtime, as with prost
//! (`google.protobuf.Empty` is `()`). Embedded descriptors carry descriptor.proto's own options, not
//! custom ones, and no comments.
//!
//! # Names
//!
//! Names follow prost: `GetFeature` is `get_feature`, a keyword is raw (`r#type`) or, where there
//! is no raw form, gets a trailing `_` (`self_`). A name that is taken gets a trailing `_` as well:
//! by a message (service `foo` beside message `Foo`), by an earlier method (`GetX` and `get_x`), or
//! by the client's own (`new_`, `clone_`). Messages, fields and enum values whose Rust names
//! coincide are an error that names both.
//!
//! # How it works
//!
//! [`Builder`] and [`plugin`] are the front ends. Both deliver descriptors: `schema` puts them in
//! order and says which file contributes what, `descriptor` and `comments` remove what depends on
//! the compiler, `conflicts` finds what has no Rust form, `messages` runs prost-build, `service`
//! writes the services, and `package` puts the files together.

mod builder;
mod comments;
mod compiler;
mod conflicts;
mod deprecated;
mod descriptor;
mod error;
mod literal;
mod messages;
mod module_tree;
mod names;
mod options;
mod package;
mod schema;
mod service;
#[cfg(test)]
mod testing;

pub mod plugin;

pub use builder::{Builder, compile_protos};
pub use error::Error;
