#![doc = include_str!("../README.md")]
//!
//! # Ways
//!
//! Three ways generate the same code, byte for byte:
//!
//! * A build script, with an embedded compiler: [`compile_protos`], or a [`Builder`] for options.
//!   The crate then says `rgrpc::include_proto!("routeguide")` for one package, or
//!   `rgrpc::include_protos!()` for all of them nested.
//! * `protoc --rgrpc_out=src/proto …`, and `mod proto;` in the crate.
//! * `buf generate` with a local plugin, and `mod proto;` in the crate.
//!
//! # Files
//!
//! `a/b.proto` becomes `a/b.pb.rs` with its messages and `a/b.grpc.rs` with its services. `mod.rs`
//! includes all generated files of its folder: its macro finds them when the crate is compiled, and
//! nests them as modules named after the packages. No generated file lists others, and the code of
//! a `.proto` file does not depend on the other files of a run. So the files can be generated in
//! any number of runs: buf runs the plugin once for each folder of a module, protoc may run several
//! times with one output folder, and a build script may make several calls.
//!
//! # What is generated
//!
//! Each service gets a trait with a default body for each method, a constant with each full method
//! name, a static `ServiceDesc`, a register function, and a client that is generic over the
//! connection. Each file with services gets the encoded descriptors of the file and of its imports,
//! which the `ServiceDesc` and the client's stubs refer to.
//! Each generated file gets a check at compile time that the runtime supports the code. Comments
//! and the option `deprecated` are kept. (The module of a single package that `include_proto!`
//! includes needs `#[allow(deprecated)]` if the package has deprecated messages, because derived
//! code mentions them.)
//!
//! Messages are generated for the listed files and for the imported files whose types they use.
//! Services are generated only for the listed files. The runtime provides the well-known types, as
//! in prost (`google.protobuf.Empty` is `()`). Embedded descriptors have the options of
//! descriptor.proto, but no custom options and no comments.
//!
//! # Names
//!
//! Names follow prost: `GetFeature` becomes `get_feature`. A keyword becomes raw (`r#type`) or,
//! without a raw form, gets a trailing `_` (`self_`). A map field of enums with a keyword as its
//! name also gets a trailing `_`, and its accessors are `get_type_` and `insert_type_`. A taken
//! name gets a trailing `_` as well. It may be taken by a message (service `foo` beside message
//! `Foo`), by an earlier method (`GetX` and `get_x`), or by the client's own methods (`new_`,
//! `clone_`). Two messages, fields or enum values with the same Rust name are an error that names
//! both.
//!
//! # How it works
//!
//! [`Builder`] and [`plugin`] are the front ends, which deliver descriptors. `schema` orders the
//! files and selects the part of each, `descriptor` and `comments` remove the differences between
//! compilers, `validate` refuses malformed descriptors, `conflicts` finds elements without a Rust
//! form, `messages` runs prost-build, `service` writes the services, `package` assembles the files,
//! and `output` determines their paths.

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
