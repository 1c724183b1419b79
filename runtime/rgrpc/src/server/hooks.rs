//! The hooks of a server: functions that run once for each connection and for each head of a call.
//!
//! Called by `connection.rs` after the handshake and by `dispatch.rs`, on the connection's task.
//!
//! Source: grpc-go `InTapHandle`, `stats.Handler.TagConn`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::services::Method;
use crate::call::Extensions;
use crate::descriptor::MethodDescriptor;
use crate::interceptor::CallKind;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{ConnectionHandle, RequestHead};

/// The head of a call, in a [head hook](crate::Server::head_hook).
///
/// Source: grpc-go `tap.Info`.
pub struct CallHead<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) deadline: Option<Instant>,
    pub(super) connection: &'a ConnectionHandle,
    pub(super) method: Option<&'a Method>,
    pub(super) extensions: &'a mut Extensions,
    pub(super) max_receive: &'a mut usize,
}

impl CallHead<'_> {
    /// The method's full name: `/package.Service/Method`. A client can send any.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.head.path
    }

    /// The kind of the method; bidirectional for a method that the server does not have.
    #[must_use]
    pub fn kind(&self) -> CallKind {
        self.method
            .map_or(CallKind::BidiStreaming, |method| method.kind)
    }

    /// The descriptor of the method and its service; `None` if the server does not have the method.
    #[must_use]
    pub fn descriptor(&self) -> Option<MethodDescriptor<'_>> {
        self.method?.descriptor()
    }

    /// The request's header metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.head.metadata
    }

    /// The time at which the call ends with DEADLINE_EXCEEDED; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The two ends of the call's connection, and its security.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.connection.peer()
    }

    /// The call's connection.
    #[must_use]
    pub fn connection(&self) -> &ConnectionHandle {
        self.connection
    }

    /// The typed values of the call.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.extensions
    }

    /// The typed values of the call, mutable; see
    /// [`CallContext::extensions`](crate::CallContext::extensions).
    #[must_use]
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions
    }

    /// Sets the maximum size of a received message of this call, in bytes. Default:
    /// [`Server::max_receive_message_size`](crate::Server::max_receive_message_size).
    pub fn set_max_receive_message_size(&mut self, bytes: usize) {
        *self.max_receive = bytes;
    }
}

impl fmt::Debug for CallHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHead")
            .field("method", &self.method())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}

/// A connection whose security handshake has ended, in a
/// [connection hook](crate::Server::connection_hook).
#[derive(Debug)]
pub struct NewConnection<'a> {
    pub(super) peer: &'a Peer,
    pub(super) extensions: &'a mut Extensions,
}

impl NewConnection<'_> {
    /// The two ends of the connection, and its security.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// The typed values of the connection: those of its listener and its handshake.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.extensions
    }

    /// The typed values of the connection, mutable; see
    /// [`ConnectionHandle::extensions`](crate::ConnectionHandle::extensions).
    #[must_use]
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions
    }
}

/// The reason why a connection is refused, for the log.
pub(super) type ConnectionRefusal = Box<dyn Error + Send + Sync>;

/// The function of [`Server::head_hook`](crate::Server::head_hook).
#[derive(Clone)]
#[allow(clippy::type_complexity, reason = "it is written once")]
pub(super) struct HeadHook(Arc<dyn Fn(&mut CallHead<'_>) -> Result<(), Status> + Send + Sync>);

impl HeadHook {
    pub(super) fn new(
        hook: impl Fn(&mut CallHead<'_>) -> Result<(), Status> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(hook))
    }

    pub(super) fn call(&self, head: &mut CallHead<'_>) -> Result<(), Status> {
        (self.0)(head)
    }
}

impl fmt::Debug for HeadHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeadHook")
    }
}

/// The function of [`Server::connection_hook`](crate::Server::connection_hook).
#[derive(Clone)]
#[allow(clippy::type_complexity, reason = "it is written once")]
pub(super) struct ConnectionHook(
    Arc<dyn Fn(&mut NewConnection<'_>) -> Result<(), ConnectionRefusal> + Send + Sync>,
);

impl ConnectionHook {
    pub(super) fn new(
        hook: impl Fn(&mut NewConnection<'_>) -> Result<(), ConnectionRefusal> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(hook))
    }

    pub(super) fn call(&self, connection: &mut NewConnection<'_>) -> Result<(), ConnectionRefusal> {
        (self.0)(connection)
    }
}

impl fmt::Debug for ConnectionHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionHook")
    }
}
