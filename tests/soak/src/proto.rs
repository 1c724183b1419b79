#![allow(missing_docs, reason = "generated")]

rgrpc::include_proto!("rgrpc.soak");
