// The program in the README needs generated code; the examples compile it.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]
//!
//! # Parts
//!
//! `protoc-gen-rgrpc` generates code that links against this crate: for each service a trait to
//! implement, a table by which a [`Server`] dispatches, and a client whose stubs make calls on a
//! [`ClientConn`].
//!
//! ```text
//!  .proto ──► protoc-gen-rgrpc ──► messages + trait, ServiceDesc, register fn, client stub
//!  ┌──────────────────────────────────────────────────────────────────────────────┐
//!  │ call API    Request Response Status Metadata   Invoke{invoke, new_stream}    │
//!  ├──────────────────────────────────────┬───────────────────────────────────────┤
//!  │ client      ClientConn               │ server      Server, ServiceDesc       │
//!  ├──────────────────────────────────────┴───────────────────────────────────────┤
//!  │ codec       messages to bytes, compression, five-byte framing                │
//!  │ transport   gRPC streams on a connection, over an HTTP/2 engine              │
//!  │ io          TCP, unix sockets, in-memory pipe                                │
//!  └──────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A layer names only those below it.
//!
//! # Cancellation
//!
//! Dropping the future of a call, or a half of its streams, cancels it: the client resets the
//! stream, and the server drops the handler's future. Work that outlives the call must be spawned.
//! A [`CancelHandle`] cancels calls from elsewhere; [`CallContext::cancel_reason`] gives the reason
//! in a handler's `Drop`.
//!
//! # Runtime
//!
//! Everything runs on the tokio runtime of its caller. The exception are the connections and the
//! handlers of a server with [`workers`](Server::workers), which run on threads of its own.

mod attributes;
mod backoff;
pub mod balancer;
mod buffer_pool;
mod call;
mod cancel_reason;
pub mod channelz;
mod client;
mod codec;
#[doc(hidden)]
pub mod codegen;
mod connectivity_state;
pub mod credentials;
mod descriptor;
mod disconnect_reason;
mod entity_id;
mod error_text;
mod extensions;
mod interceptor;
pub mod io;
mod later;
mod lock;
mod memory_budget;
mod metadata;
mod method_name;
mod prefix;
mod read_demand;
pub mod resolver;
mod select_biased;
mod server;
mod service_config;
mod side;
pub mod stats;
mod status;
mod task;
mod transport;

// The fuzz targets of tests/fuzz reach what is private here; they are not part of the package.
#[cfg(rgrpc_fuzzing)]
#[doc(hidden)]
#[path = "../../../tests/fuzz/src/runtime/mod.rs"]
pub mod fuzzing;

pub use backoff::BackoffConfig;
pub use buffer_pool::BufferPool;
pub use call::{
    BidiStream, BidiStreamingCall, Call, CallContext, CallOptions, CancelHandle, ClientInterceptor,
    ClientNext, ClientReply, ClientStream, ClientStreaming, ClientStreamingCall, ConfigSelector,
    Extensions, Intercepted, Invoke, LocalStreams, OutgoingCall, RecvStream, Request, Response,
    ResponseInfo, SelectInfo, SelectedConfig, SendStream, ServerStream, ServerStreamingCall, Unary,
    UnaryCall, test_streams,
};
pub use client::{BuildError, ClientConn, ClientConnBuilder};
#[cfg(feature = "gzip")]
pub use codec::Gzip;
pub use codec::{
    Codec, CodecError, Compressor, MessageBuffer, MessageBytes, PreparedMessage, ProtoCodec,
    RawCodec,
};
pub use connectivity_state::ConnectivityState;
pub use descriptor::{FileDesc, MethodDescriptor, MethodInfo, ServiceInfo};
pub use disconnect_reason::{DisconnectReason, GoAway, OtherProtocol, ProtocolViolation};
pub use interceptor::{CallKind, CallOutcome, EndedBy, MessageInterceptor, MessageView};
pub use memory_budget::MemoryBudget;
pub use metadata::{Metadata, MetadataError, MetadataIter};
pub use method_name::{MethodName, StubMethod};
pub use resolver::TargetError;
pub use server::{
    CallHead, Handler, HandlerFuture, HandlerPanic, IncomingCall, MethodDesc, NewConnection,
    RegisterError, ServeError, Server, ServerCall, ServerHandle, ServerInterceptor, ServerNext,
    ServerReply, ServiceDesc, StreamDesc, UnknownServiceHandler,
};
pub use service_config::{
    ConfigObject, ConfigValue, HedgingPolicy, MethodConfig, RetryPolicy, ServiceConfigError,
};
pub use side::Side;
pub use status::{Code, RpcStatus, Status};
pub use transport::{CancelReason, ConnectionHandle, ConnectionSnapshot, Transport, keepalive};

// Generated messages refer to these through this crate, so that its users need no dependency on
// them.
pub use prost;
pub use prost_types;

/// Includes the code that `build.rs` generated for one package, all of its files.
///
/// ```text
/// rgrpc::include_proto!("routeguide");
/// ```
///
/// A package whose types mention those of another needs [`include_protos!`]. With deprecated
/// messages the module around the macro needs `#[allow(deprecated)]`: derived code mentions them.
#[macro_export]
macro_rules! include_proto {
    ($package:tt) => {
        $crate::codegen::include_generated!(out_dir $package);
    };
}

/// Includes the code that `build.rs` generated for all packages, nested as modules.
///
/// ```text
/// mod proto {
///     rgrpc::include_protos!();
/// }
/// ```
#[macro_export]
macro_rules! include_protos {
    () => {
        $crate::codegen::include_generated!(out_dir);
    };
}
