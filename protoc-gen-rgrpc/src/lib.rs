#![doc = include_str!("../README.md")]
//!
//! # Ways
//!
//! There are three ways to the same code, byte for byte:
//!
//! * A build script, with an embedded compiler: [`compile_protos`], or a [`Builder`] for options.
//!   The crate then says `rgrpc::include_proto!("routeguide")` for one package, or
//!   `rgrpc::include_protos!()` for all of them nested.
//! * `protoc --rgrpc_out=src/proto …`, and `mod proto;` in the crate.
//! * `buf generate` with a local plugin, and `mod proto;` in the crate.
//!
//! # Files
//!
//! `a/b.proto` becomes `a/b.pb.rs`, its messages, and `a/b.grpc.rs`, its services. `mod.rs` includes
//! all generated files of its folder: its macro finds them when the crate is compiled, and nests them
//! as modules named after the packages. No generated file lists others, and the code of a `.proto`
//! file does not depend on which files are generated with it. So it does not matter how the work is
//! divided: buf runs the plugin once for each folder of a module, protoc may be run several times
//! with one output folder, and a build script may make several calls.
//!
//! # What is generated
//!
//! For each service: a trait with a default body for each method, a constant with each method's
//! full name, a static `ServiceDesc`, a register function, and a client generic over how calls are
//! made. For each file with services: the encoded descriptors of the file and of all it imports. For
//! each generated file: a check at compile time that the runtime supports the code. Comments and
//! `deprecated` are carried over. (When a single package with deprecated messages is included by
//! `include_proto!`, its module needs `#[allow(deprecated)]`: derived code mentions them.)
//!
//! Messages are generated for the files that are named and for those whose types these use; services
//! for the files that are named. The well-known types come from the runtime, as with prost
//! (`google.protobuf.Empty` is `()`). Embedded descriptors carry descriptor.proto's own options, not
//! custom ones, and no comments.
//!
//! # Names
//!
//! Names follow prost: `GetFeature` is `get_feature`, a keyword is raw (`r#type`) or, where there
//! is no raw form, gets a trailing `_` (`self_`; so does a map of enums, whose accessors are then
//! `get_type_` and `insert_type_`). A name that is taken gets a trailing `_` as well:
//! by a message (service `foo` beside message `Foo`), by an earlier method (`GetX` and `get_x`), or
//! by the client's own (`new_`, `clone_`). Messages, fields and enum values whose Rust names
//! coincide are an error that names both.
//!
//! # How it works
//!
//! [`Builder`] and [`plugin`] are the front ends. Both deliver descriptors: `schema` puts them in
//! order and says which file contributes what, `descriptor` and `comments` remove what depends on
//! the compiler, `validate` finds what no compiler would write, `conflicts` finds what has no Rust
//! form, `messages` runs prost-build, `service` writes the services, `package` puts the files
//! together, and `output` says where they are.

mod block_comments;
mod builder;
mod comments;
mod compiler;
mod conflicts;
mod deprecated;
mod descriptor;
mod docs;
mod enum_defaults;
mod error;
mod external;
mod folder;
mod full_names;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod keyword_maps;
mod literal;
mod lossy;
mod messages;
mod names;
mod options;
mod output;
mod package;
mod schema;
mod service;
#[cfg(test)]
mod testing;
mod validate;
mod well_known;

pub mod plugin;

pub use builder::{Builder, compile_protos};
pub use error::Error;
