//! The HTTP/2 mapping of gRPC in single words: heads, message frames, trailers, whole exchanges.
//!
//! The mapping is the one of gRPC's `PROTOCOL-HTTP2.md`.

mod exchange;
mod head;
mod message;
mod trailers;

pub(crate) use exchange::Inbox;
pub use exchange::{GrpcRequest, GrpcResponse};
pub use head::{grpc_request, grpc_response, grpc_trailers, trailers_only};
pub use message::{GrpcMessage, message, message_with};
pub use trailers::Trailers;
