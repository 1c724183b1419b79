//! Generates the stub service.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    protoc_gen_rgrpc::compile_protos(&["proto/stub.proto"], &["proto"])?;
    Ok(())
}
