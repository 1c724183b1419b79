//! Generates `grpc.testing.BenchmarkService` twice: for rgrpc with the messages, and for tonic on
//! the same messages.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

const FILES: [&str; 1] = ["../proto/grpc/testing/services.proto"];
const INCLUDES: [&str; 1] = ["../proto"];
/// Payloads are `Bytes` for everybody, so that a large one is not copied to be looked at.
const BYTES: &str = ".grpc.testing.Payload.body";

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    protoc_gen_rgrpc::Builder::new()
        .out_dir(out.join("rgrpc"))
        .bytes(BYTES)
        .compile_protos(&FILES, &INCLUDES)?;

    let tonic = out.join("tonic");
    fs::create_dir_all(&tonic)?;
    tonic_prost_build::configure()
        .out_dir(tonic)
        .extern_path(".grpc.testing", "crate::proto::grpc::testing")
        .generate_default_stubs(true)
        .compile_fds(protox::compile(FILES, INCLUDES)?)?;
    Ok(())
}
