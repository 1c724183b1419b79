//! The tables by which a server dispatches.
//!
//! Generated code contains one [`ServiceDesc`] for each service, as a constant of the type that
//! implements it. Read once, when the service is registered; the functions in it are called by
//! dispatch, for each call.

use std::fmt;
use std::sync::Arc;

use super::{HandlerFuture, ServerCall};
use crate::descriptor::FileDesc;

/// A service: its methods, and their handlers for an implementation of type `T`.
///
/// Source: grpc-go `ServiceDesc`.
#[derive(Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "generated code makes it; its version is checked"
)]
pub struct ServiceDesc<T: 'static> {
    /// The full name: `package.Service`.
    pub service_name: &'static str,
    /// The unary methods.
    pub methods: &'static [MethodDesc<T>],
    /// The methods that stream.
    pub streams: &'static [StreamDesc<T>],
    /// The file that the service is declared in.
    pub file: FileDesc,
}

/// A unary method.
#[allow(
    clippy::exhaustive_structs,
    reason = "generated code makes it; its version is checked"
)]
pub struct MethodDesc<T: 'static> {
    /// The method's name, without the service's.
    pub method_name: &'static str,
    /// Starts the handling of a call.
    pub handler: fn(Arc<T>, ServerCall) -> HandlerFuture,
}

/// A method with a stream of messages in at least one direction.
#[allow(
    clippy::exhaustive_structs,
    reason = "generated code makes it; its version is checked"
)]
pub struct StreamDesc<T: 'static> {
    /// The method's name, without the service's.
    pub stream_name: &'static str,
    /// Starts the handling of a call.
    pub handler: fn(Arc<T>, ServerCall) -> HandlerFuture,
    /// True if the server sends any number of messages.
    pub server_streams: bool,
    /// True if the client sends any number of messages.
    pub client_streams: bool,
}

impl<T> fmt::Debug for MethodDesc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodDesc")
            .field("method_name", &self.method_name)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for StreamDesc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamDesc")
            .field("stream_name", &self.stream_name)
            .field("server_streams", &self.server_streams)
            .field("client_streams", &self.client_streams)
            .finish_non_exhaustive()
    }
}
