use tokio::time::Instant;

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
    /// The side that this program is in the call.
    pub side: Side,
    /// The method's full name: `/package.Service/Method`. A client can send any: a label of it is
    /// bounded only if the method [is registered](Self::is_registered).
    pub method: &'a str,
    /// True if the server has the method.
    pub is_registered: bool,
    /// The kind of the method; bidirectional for a method that is not registered.
    pub kind: CallKind,
    /// The request's header metadata.
    pub metadata: &'a Metadata,
    /// The time at which the call ends with DEADLINE_EXCEEDED; `None`: never.
    pub deadline: Option<Instant>,
    /// The time at which the head of the request had come.
    pub began: Instant,
    /// The two ends of the connection.
    pub peer: &'a Peer,
    /// The typed values of the connection.
    pub connection: &'a Extensions,
    /// The typed values of the call. What is inserted here is seen by later stats handlers,
    /// interceptors and the handler, in
    /// [`CallContext::extensions`](crate::CallContext::extensions) and
    /// [`Request::extensions`](crate::Request::extensions).
    pub extensions: &'a mut Extensions,
}

/// An event of a call.
///
/// Source: grpc-go `RPCStats`.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallEvent<'a> {
    /// The headers have been received.
    InHeader(&'a Metadata),
    /// A message has been received and decoded.
    InPayload(MessageView<'a>),
    /// The headers are sent.
    OutHeader(&'a Metadata),
    /// A message is sent.
    OutPayload(MessageView<'a>),
    /// The trailers are sent.
    OutTrailer(&'a Metadata),
    /// The call has ended: with a status, by a party, and the time at which it began.
    End(CallOutcome<'a>),
}

/// A connection that begins.
///
/// Source: grpc-go `ConnTagInfo` and `ConnBegin`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionBegin<'a> {
    /// The side that this program is on the connection.
    pub side: Side,
    /// The two ends of the connection, and how it is secured.
    pub peer: &'a Peer,
    /// The typed values of the connection. What is inserted here is seen by its calls, in
    /// [`ConnectionHandle::extensions`](crate::ConnectionHandle::extensions).
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
}
