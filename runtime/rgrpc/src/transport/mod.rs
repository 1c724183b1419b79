//! The interface between gRPC calls and HTTP/2: the streams of a connection in gRPC's terms.
//!
//! Calls, with messages and codecs, are above it. An engine, one folder each, is below it.
//! Metadata, message bytes (framed, see [`crate::codec`]), names of encodings and status pass through
//! it, but no type of prost or of an engine, and no compressor.
//!
//! An engine runs one task for each connection. That task and the call share the stream objects
//! ([`ServerStream`], [`ClientStream`]). Any task can call each method, and no method blocks. A
//! method that sends has handed over its data when it returns. A `poll_*` method keeps the waker of
//! its last caller. Receiving, sending and [`ServerStream::poll_closed`] each keep their own waker.

mod call_state;
mod connection_handle;
mod disconnect;
mod encoding_field;
mod ended_well;
mod engine;
mod first_octets;
mod fit_status;
#[cfg(feature = "transport-h2")]
mod h2;
mod http_status;
pub mod keepalive;
mod last_received;
mod list_size;
mod native;
mod refusal_log;
mod request;
mod reset;
mod response;
mod server_phase;
mod settings;
mod statistics;
mod stream_quota;
pub(crate) mod timeout;

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rgrpc_http2::BytesQueue;
use tokio::time::Instant;

use crate::io::Peer;
use crate::metadata::Metadata;
use crate::method_name::MethodName;
use crate::status::Status;

pub use crate::cancel_reason::CancelReason;
pub(crate) use crate::disconnect_reason::{DisconnectReason, GoAway};
pub(crate) use crate::read_demand::ReadDemand;
pub(crate) use call_state::{CallState, EndReport, EndedCall};
pub use connection_handle::ConnectionHandle;
pub(crate) use disconnect::{Disconnect, DrainReason, PrefaceError, lost_text};
pub(crate) use encoding_field::EncodingField;
pub(crate) use ended_well::{ended_well, is_ended_well};
pub(crate) use engine::Serving;
pub use engine::Transport;
#[cfg(feature = "transport-h2")]
pub(crate) use first_octets::MAX_FIRST_OCTETS;
pub(crate) use first_octets::OtherProtocol;
pub(crate) use fit_status::{Last, fit_status, request_too_large, too_large};
pub(crate) use last_received::LastReceived;
pub(crate) use list_size::{head_size, trailers_size};
pub(crate) use refusal_log::RefusalLog;
pub(crate) use request::{Rejection, RequestParser};
pub(crate) use reset::{ResetCode, status_for_reset};
pub(crate) use response::{HeadersBlock, ResponseParser, Trailers};
pub(crate) use server_phase::{ConnectionPhase, ServerPhase};
pub(crate) use settings::{ClientSettings, MessageMemory, ServerSettings};
pub(crate) use statistics::ConnectionRegistry;
pub use statistics::ConnectionSnapshot;
pub(crate) use stream_quota::StreamQuota;

/// A server's side of one connection.
pub(crate) trait ServerTransport: Send + 'static {
    /// Serves the connection until it ends. Hands every request to `dispatch`, polls the returned
    /// call once, and [spawns](run_call) it when it is not ready. With
    /// [`ServerSettings::spawn_handlers`] the call is spawned without that poll.
    fn serve<D: Dispatch>(self, dispatch: Arc<D>) -> impl Future<Output = ()> + Send;
}

/// Turns requests into calls. The engine calls it, on the connection's task.
pub(crate) trait Dispatch: Send + Sync + 'static {
    /// A call that is being handled.
    type Call: Call;

    /// Starts a call. `open` makes its stream, with the state that the dispatcher has begun.
    fn dispatch(
        &self,
        received: ReceivedCall<'_>,
        open: impl FnOnce(CallState) -> Arc<dyn ServerStream>,
    ) -> Self::Call;

    /// The connection has ended, and no stream follows. Called once.
    fn ended(&self, reason: DisconnectReason);
}

/// A call whose head has come.
pub(crate) struct ReceivedCall<'a> {
    pub(crate) head: HeadWithTimeout<Arc<RequestHead>>,
    /// The time at which the head had come.
    pub(crate) at: Instant,
    pub(crate) connection: &'a ConnectionHandle,
    /// The whole request, if it arrived at once. The stream then returns only its end.
    pub(crate) content: Option<Bytes>,
}

/// A call that is being handled. Its output is the end of its stream.
pub(crate) trait Call: Future<Output = CallEnd> + Send + Unpin + 'static {
    /// The call's stream.
    fn stream(&self) -> &dyn ServerStream;
}

/// Runs a call that was not ready at once, on a task of its own. Keeps the dispatcher alive.
pub(crate) async fn run_call<D: Dispatch>(mut call: D::Call, _dispatch: Arc<D>) {
    let end = (&mut call).await;
    call.stream().end(end);
}

/// The end of a call, as a server sends it. The header metadata is `None` if the headers were sent
/// before.
#[derive(Debug)]
pub(crate) enum CallEnd {
    /// A complete unary reply as one operation: headers, one framed message, and trailers with OK.
    Reply {
        header: Option<Metadata>,
        message: BytesQueue,
        trailer: Metadata,
    },
    /// The trailers, with headers before them unless they are not needed (trailers-only).
    Finish {
        header: Option<Metadata>,
        outcome: Result<Metadata, Status>,
    },
    /// A failure that ends the call at once. Messages that wait for flow control before the
    /// trailers are dropped, and the stream is reset with CANCEL.
    Abort {
        header: Option<Metadata>,
        status: Status,
    },
    /// The client or the connection has ended the call already.
    Closed,
}

impl CallEnd {
    /// Returns whether it is the whole response, which waits for nothing sent before.
    pub(crate) fn is_whole_response(&self) -> bool {
        match self {
            Self::Reply { header, .. }
            | Self::Finish { header, .. }
            | Self::Abort { header, .. } => header.is_some(),
            Self::Closed => false,
        }
    }
}

/// A client's side of one connection. Dropping it closes the connection.
pub(crate) trait ClientTransport: Send + Sync + 'static {
    /// Opens a stream and sends the parts of it that `request` has, as one operation. A stream over
    /// the peer's limit waits for its turn without blocking the caller.
    fn open(&self, request: OpenRequest<'_>) -> Result<Arc<dyn ClientStream>, OpenError>;

    /// The connection's two ends.
    fn peer(&self) -> &Arc<Peer>;

    /// The maximum number of open streams that the server allows. Further streams wait.
    fn max_concurrent_streams(&self) -> usize;

    /// The number of streams that wait for that limit.
    fn waiting_streams(&self) -> usize;

    /// Returns whether the connection takes no more streams: a GOAWAY came, or the connection has
    /// ended. It is true before the streams are told of the end.
    fn is_gone(&self) -> bool;

    /// The duration without anything received on the connection.
    fn silence(&self) -> Duration;

    /// The statistics of the connection (channelz: its socket).
    fn statistics(&self) -> ConnectionSnapshot;

    /// Ends the connection at once. Its streams end with UNAVAILABLE. Idempotent.
    fn close(&self);
}

/// An event that a client transport reports to its owner.
#[derive(Debug)]
pub(crate) enum TransportEvent {
    /// The connection takes no new streams, and open ones go on: the peer sent GOAWAY, or the stream
    /// ids are used up.
    Draining {
        reason: DrainReason,
        /// A response has begun on the connection, or a sent request is not above the GOAWAY's last
        /// stream.
        served: bool,
    },
    /// The server allows more streams at once than before.
    MoreStreams,
    /// The connection is gone.
    Closed {
        end: Disconnect,
        /// A response has begun on the connection.
        served: bool,
    },
}

/// The callback for a connection's events. The connection's task calls it.
pub(crate) type Report = Arc<dyn Fn(TransportEvent) + Send + Sync>;

/// The methods of a stream that are alike on both sides: receiving and sending.
pub(crate) trait Stream: Send + Sync + 'static {
    /// Receives the next DATA, or the end of receiving. The caller does not call it again after
    /// [`Incoming::End`].
    ///
    /// The peer gets credit for the amount that was taken. `read_demand` is the amount that the
    /// call waits for. A little more or less may come. An engine that supports it lets the peer
    /// send all of it.
    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<Incoming>;

    /// Receives the stream's whole content, if it has come whole. Ready when the head has come, as it
    /// has on a server, or when the stream has ended. Takes the content if the stream ended well, its
    /// DATA is in one piece that `fits`, and none of it was taken before; otherwise takes nothing. So
    /// the only message of a call is received at once if it has arrived at once.
    ///
    /// This is the path of every message that comes whole, but for a request that comes with its head:
    /// [`Dispatch::dispatch`] receives its content, and its stream needs no state.
    fn poll_whole(
        &self,
        _cx: &mut Context<'_>,
        _fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeContent>> {
        Poll::Ready(None)
    }

    /// Ready when the stream takes another message. A stream that has ended returns the status of
    /// its end: on a client [`ended_well`] if that was OK.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>>;

    /// Queues one framed message. Its errors are those of
    /// [`poll_send_ready`](Self::poll_send_ready).
    fn send_message(&self, message: BytesQueue) -> Result<(), Status>;

    /// Ends the stream with RST_STREAM, unless it has ended.
    fn reset(&self, code: ResetCode);
}

/// A server's stream.
pub(crate) trait ServerStream: Stream {
    /// The connection.
    fn connection(&self) -> &ConnectionHandle;

    /// The stream's call.
    fn call(&self) -> &CallState;

    /// The largest header list that the client accepts: its SETTINGS_MAX_HEADER_LIST_SIZE, or
    /// [`u32::MAX`].
    fn max_header_list(&self) -> u32;

    /// Discards the rest of the request. The stream still ends with the response.
    fn discard(&self);

    /// Sends the response's headers. Called at most once, before any message.
    fn send_head(&self, header: Metadata);

    /// Sends the end of the call, and ends the stream.
    fn end(&self, end: CallEnd);

    /// Ready when the peer or the connection has ended the stream. The [call](Self::call) has the
    /// reason by then.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A client's stream.
pub(crate) trait ClientStream: Stream {
    /// Receives the response's headers. Fails if the stream ended without any;
    /// [`Stream::poll_data`] then returns the reason. The caller does not call it again once it was
    /// ready.
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>>;

    /// Returns whether the stream waits until the server allows one more. Used for the error text
    /// of a call that is being given up.
    fn waits_for_its_turn(&self) -> bool;

    /// Queues one framed message and ends sending with it.
    fn send_last(&self, message: BytesQueue) -> Result<(), Status>;

    /// Ends sending: no message follows. Idempotent.
    fn half_close(&self);
}

/// The whole content of a stream that ended well. On a server it has neither head, which the call has
/// already, nor trailer.
#[derive(Debug)]
pub(crate) struct WholeContent {
    pub(crate) head: IncomingHead,
    /// The framed messages.
    pub(crate) data: Bytes,
    pub(crate) trailer: Metadata,
}

/// The head of a response, as a client received it.
#[derive(Clone, Debug, Default)]
pub(crate) struct IncomingHead {
    pub(crate) metadata: Metadata,
    /// `grpc-encoding`, when messages may be compressed.
    pub(crate) encoding: Option<Box<[u8]>>,
}

impl From<Metadata> for IncomingHead {
    fn from(metadata: Metadata) -> Self {
        Self {
            metadata,
            encoding: None,
        }
    }
}

/// The error of a stream that ended before its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoHead;

/// An item that a stream received.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Bytes of messages.
    Data(BytesQueue),
    /// Nothing more comes.
    End(StreamEnd),
}

/// The end of receiving.
#[derive(Debug)]
pub(crate) struct StreamEnd {
    /// On a client: the trailers or the status. On a server: the request's regular end, or the
    /// reason why the stream failed.
    pub(crate) outcome: Result<Metadata, Status>,
    pub(crate) delivery: Delivery,
}

/// The delivery of a failed stream's request, which decides about a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The peer may have processed it.
    Possible,
    /// The peer guarantees that it has not processed it.
    Refused,
    /// It was not sent.
    NotSent,
}

impl StreamEnd {
    /// Creates the end of a stream that the peer may have processed.
    pub(crate) fn new(outcome: Result<Metadata, Status>) -> Self {
        Self {
            outcome,
            delivery: Delivery::Possible,
        }
    }

    /// Creates the end of a failed stream with this delivery.
    pub(crate) fn failed(status: Status, delivery: Delivery) -> Self {
        Self {
            outcome: Err(status),
            delivery,
        }
    }
}

/// The head of a request, as a server received and checked it.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    /// "/service/method", unchecked.
    pub(crate) path: Box<str>,
    pub(crate) metadata: Metadata,
    /// The part after `application/grpc+`; empty for plain `application/grpc`.
    pub(crate) content_subtype: Bytes,
    /// `grpc-encoding`, when messages may be compressed.
    pub(crate) encoding: Option<Bytes>,
}

/// A request's head and its timeout, which is separate because it differs from call to call.
#[derive(Clone, Debug)]
pub(crate) struct HeadWithTimeout<H> {
    pub(crate) head: H,
    pub(crate) timeout: Option<Duration>,
}

impl<H> HeadWithTimeout<H> {
    /// The deadline of a request whose head came at `now`. One too far away to be expressed is none.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.timeout.and_then(|timeout| now.checked_add(timeout))
    }
}

/// The request that opens a client's stream.
#[derive(Debug)]
pub(crate) struct OpenRequest<'a> {
    /// "/service/method".
    pub(crate) path: &'a MethodName,
    pub(crate) headers: &'a Arc<CommonHeaders>,
    pub(crate) content_subtype: &'static str,
    /// The number of the call's previous attempts, without transparent retries.
    pub(crate) previous_attempts: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) metadata: &'a Metadata,
    /// The only framed message, if it is known. The stream is half-closed with it.
    pub(crate) only_message: Option<BytesQueue>,
}

/// The header fields that requests of a channel have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommonHeaders {
    pub(crate) authority: String,
    pub(crate) scheme: &'static str,
    pub(crate) user_agent: Bytes,
    /// `grpc-encoding`, when messages are compressed.
    pub(crate) encoding: Option<Bytes>,
    /// `grpc-accept-encoding`, when the response's messages may be compressed.
    pub(crate) accept_encoding: Option<Bytes>,
}

/// The head of a response, as a server sends it.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) content_subtype: &'a [u8],
    pub(crate) encoding: Option<EncodingField>,
    pub(crate) metadata: &'a Metadata,
}

impl ResponseHead<'_> {
    /// Returns the head of a response without messages.
    pub(crate) fn without_messages(self) -> Self {
        Self {
            encoding: self.encoding.and_then(EncodingField::without_messages),
            ..self
        }
    }
}

/// The error of a stream that could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The connection takes no more streams, and nothing was sent. Another connection may be tried
    /// with the message that is returned.
    Gone(Option<BytesQueue>),
    /// The request cannot be sent on any connection.
    Invalid(Status),
}
