//! The events that stats handlers get.
//!
//! Created by both sides where the events happen, on the tasks of calls and connections.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

use crate::descriptor::MethodDescriptor;
use crate::disconnect_reason::DisconnectReason;
use crate::extensions::Extensions;
use crate::interceptor::{CallKind, CallOutcome, MessageView};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::side::Side;

/// A call that begins.
///
/// Source: grpc-go `RPCTagInfo` and `Begin`.
#[derive(Debug)]
#[non_exhaustive]
pub struct CallBegin<'a> {
    /// The side of this program in the call.
    pub side: Side,
    /// The method's full name: `/package.Service/Method`. A client can send any: a label of it is
    /// bounded only if the method [is registered](Self::is_registered).
    pub method: &'a str,
    /// True on a server that has the method, and on a client if the method's name is a constant, as
    /// in generated stubs (grpc-go `StaticMethod`).
    pub is_registered: bool,
    /// The descriptor of the method and its service; `None` on a server that does not have the
    /// method, and for a client's call that is made by the method's name alone.
    pub descriptor: Option<MethodDescriptor<'a>>,
    /// The kind of the method. Bidirectional on a server for a method that is not registered. On a
    /// client as [`OutgoingCall::kind`](crate::OutgoingCall::kind).
    pub kind: CallKind,
    /// The request's header metadata.
    pub metadata: &'a Metadata,
    /// The time at which the call ends with DEADLINE_EXCEEDED; `None`: never. On a client a
    /// `timeout` of the service config may make it earlier.
    pub deadline: Option<Instant>,
    /// The time at which the call began: on a server, the arrival of the request's head.
    pub began: Instant,
    /// The two ends of the connection, on a server. On a client each attempt has a connection of
    /// its own: see [`CallEvent::Picked`].
    pub peer: Option<&'a Peer>,
    /// The typed values of the connection; empty on a client.
    pub connection: &'a Extensions,
    /// The target of the channel in full, as
    /// [`ClientConn::canonical_target`](crate::ClientConn::canonical_target); `None` on a server.
    pub target: Option<&'a str>,
    /// The typed values of the call in whose handler a client's call is made: those of
    /// [`CallContext::extensions`](crate::CallContext::extensions).
    pub parent: Option<&'a Extensions>,
    /// The typed values of the call. Values inserted here are seen by later stats handlers; on a
    /// server also by interceptors and the handler, in
    /// [`CallContext::extensions`](crate::CallContext::extensions) and
    /// [`Request::extensions`](crate::Request::extensions). On a client these are the values of the
    /// call's [options](crate::CallOptions::extensions).
    pub extensions: &'a mut Extensions,
}

/// An attempt at a client's call that begins.
///
/// Source: grpc-go `RPCTagInfo` and `Begin`, which are of attempts there.
#[derive(Debug)]
#[non_exhaustive]
pub struct AttemptBegin<'a> {
    /// The number of attempts before this one, without transparent retries: the value of
    /// `grpc-previous-rpc-attempts`.
    pub previous_attempts: u32,
    /// True if the attempt repeats one that no server has processed.
    ///
    /// Source: gRFC A6, "Transparent Retries"; grpc-go `Begin.IsTransparentRetryAttempt`.
    pub is_transparent_retry: bool,
    /// True if other attempts may be under way at the same time.
    pub is_hedged: bool,
    pub(crate) metadata: Cow<'a, Metadata>,
}

impl AttemptBegin<'_> {
    /// The request's header metadata, without that of per-RPC credentials.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The request's header metadata, mutable for this attempt only: for the context of a trace,
    /// for example.
    #[must_use]
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        self.metadata.to_mut()
    }
}

/// An event of a call or of an attempt; the [module](super) has their order.
///
/// Source: grpc-go `RPCStats`.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallEvent<'a> {
    /// On a client: the call has waited this long for the name resolution of its target. Not
    /// recorded for a call that did not wait.
    ///
    /// Source: grpc-go `RPCTagInfo.NameResolutionDelay`; gRFC A72.
    NameResolutionDelayed(Duration),
    /// On a client: the attempt has waited this long for a connection from a picker. Not recorded
    /// for an attempt that did not wait.
    ///
    /// Source: grpc-go `DelayedPickComplete`; gRFC A72.
    PickDelayed(Duration),
    /// On a client: the attempt has this connection.
    Picked(PickedConnection<'a>),
    /// The headers have been received.
    InHeader(&'a Metadata),
    /// A message has been received and decoded.
    InPayload(MessageView<'a>),
    /// The headers are sent.
    OutHeader(&'a Metadata),
    /// A message is sent.
    OutPayload(MessageView<'a>),
    /// The trailers are sent. On a client, which has none: no message follows (half-close).
    OutTrailer(&'a Metadata),
    /// On a client: the trailers have been received.
    InTrailer(&'a Metadata),
    /// The call has ended: with a status, by a party, and the time at which it began. An attempt that
    /// was under way when the deadline or the cancel handle ended its call has that status too.
    End(CallOutcome<'a>),
}

/// The connection of an attempt.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PickedConnection<'a> {
    /// The two ends of the connection, and how it is secured.
    pub peer: &'a Peer,
    /// The typed values of the connection: those of its security handshake and of stats handlers, which
    /// have [begun](ConnectionBegin::extensions) it.
    pub extensions: &'a Extensions,
}

impl<'a> PickedConnection<'a> {
    pub(crate) const fn new(peer: &'a Peer, extensions: &'a Extensions) -> Self {
        Self { peer, extensions }
    }
}

/// A connection that begins.
///
/// Source: grpc-go `ConnTagInfo` and `ConnBegin`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionBegin<'a> {
    /// The side of this program on the connection.
    pub side: Side,
    /// The two ends of the connection, and how it is secured.
    pub peer: &'a Peer,
    /// The typed values of the connection. Values inserted here are seen by a server's calls, in
    /// [`ConnectionHandle::extensions`](crate::ConnectionHandle::extensions), by the attempts of a
    /// client, in [`PickedConnection::extensions`], and at the [end](ConnectionEnd::extensions).
    pub extensions: &'a mut Extensions,
}

/// A connection that has ended.
///
/// Source: grpc-go `ConnEnd`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionEnd<'a> {
    /// The reason of the end.
    pub reason: &'a DisconnectReason,
    /// The typed values of the connection, as they were when it had begun.
    pub extensions: &'a Extensions,
}
