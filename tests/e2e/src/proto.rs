//! The messages and the service of `proto/stub.proto`.

rgrpc::include_proto!("rgrpc.e2e");
