//! Compiles what protoc-gen-rgrpc generates: from the public gRPC schemas, and from schemas made of
//! everything that is difficult about names, proto2, comments and deprecation. `tests/` uses the
//! result. `build.rs` says what is generated how; the script `run` compares it with what protoc and
//! buf generate.

#![deny(deprecated, nonstandard_style, rustdoc::all, unused)] // Generated code must not warn.

/// One package, as a build script usually has it.
#[allow(missing_docs)]
pub mod health {
    rgrpc::include_proto!("grpc.health.v1");
}

/// The same package by way of `mod.rs`.
#[allow(missing_docs)]
pub mod nested {
    rgrpc::include_protos!();
}

/// The public gRPC schemas.
#[allow(missing_docs)]
pub mod real {
    include!(concat!(env!("OUT_DIR"), "/real/mod.rs"));
}

/// The descriptors of the public gRPC schemas, as a file beside the code.
pub const REAL_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/real/real.binpb"));

/// The difficult schemas.
#[allow(missing_docs)]
pub mod difficult {
    include!(concat!(env!("OUT_DIR"), "/difficult/mod.rs"));
}

/// Some of the difficult schemas, with other options.
#[allow(missing_docs)]
pub mod options {
    include!(concat!(env!("OUT_DIR"), "/options/mod.rs"));
}

/// A client alone.
#[allow(missing_docs)]
pub mod client {
    include!(concat!(env!("OUT_DIR"), "/client/mod.rs"));
}

/// The code that two calls of a build script generated into one folder.
#[allow(missing_docs)]
pub mod twice {
    include!(concat!(env!("OUT_DIR"), "/twice/mod.rs"));
}

/// The runtime by another path.
mod runtime {
    pub(crate) use rgrpc::*;
}
