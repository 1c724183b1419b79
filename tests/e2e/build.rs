//! Generates the stub service, and the health service.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = ["proto/stub.proto", "../proto/grpc/health/v1/health.proto"];
    protoc_gen_rgrpc::compile_protos(&protos, &["proto", "../proto"])?;
    Ok(())
}
