//! Generates the service of the soak.

fn main() -> Result<(), protoc_gen_rgrpc::Error> {
    protoc_gen_rgrpc::Builder::new()
        .bytes(".")
        .compile_protos(&["proto/soak.proto"], &["proto"])
}
