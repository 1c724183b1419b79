//! The generated code of `proto/soak.proto`.

rgrpc::include_proto!("rgrpc.soak");
