//! Generates the code of the examples' schemas by the embedded compiler; no protoc is needed.

fn main() -> Result<(), protoc_gen_rgrpc::Error> {
    protoc_gen_rgrpc::compile_protos(
        &[
            "proto/chat.proto",
            "proto/etcd/kv.proto",
            "proto/etcd/rpc.proto",
            "proto/google/rpc/error_details.proto",
            "proto/google/rpc/status.proto",
            "proto/grpc/health/v1/health.proto",
            "proto/helloworld.proto",
            "proto/route_guide.proto",
        ],
        &["proto"],
    )
}
