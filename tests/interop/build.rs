//! Generates `grpc.testing` from the published schemas.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    protoc_gen_rgrpc::compile_protos(&["../proto/grpc/testing/test.proto"], &["../proto"])?;
    Ok(())
}
