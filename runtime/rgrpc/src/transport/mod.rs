//! The seam between gRPC calls and HTTP/2: streams of a connection, in gRPC's terms.
//!
//! Above it: calls, with messages and codecs. Below it: an engine, one folder each. What passes
//! through is metadata, message bytes (framed, see [`crate::codec`]) and status, nothing of prost
//! and nothing of an engine's types.
//!
//! An engine runs one task a connection. The stream objects ([`ServerStream`], [`ClientStream`])
//! are shared between that task and the call: each method may be called from any task, none blocks,
//! and what one sends is on its way when the method returns. A `poll_*` method remembers the waker
//! of its last caller; receiving, sending and [`ServerStream::poll_closed`] each remember their own.

mod call_state;
mod connect_error;
mod connection_handle;
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

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rgrpc_http2::BytesQueue;

use crate::codec::CompressorRegistry;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;

pub use crate::cancel_reason::CancelReason;
pub(crate) use crate::read_demand::ReadDemand;
pub(crate) use call_state::{CallState, EndedCall};
pub(crate) use connect_error::ConnectError;
pub use connection_handle::ConnectionHandle;
pub(crate) use encoding_field::EncodingField;
pub(crate) use ended_well::{ended_well, is_ended_well};
pub(crate) use engine::Serving;
pub use engine::Transport;
#[cfg(feature = "transport-h2")]
pub(crate) use first_octets::MAX_FIRST_OCTETS;
pub(crate) use first_octets::OtherProtocol;
pub(crate) use fit_status::{Last, fit_status, too_large};
pub(crate) use last_received::LastReceived;
pub(crate) use refusal_log::RefusalLog;
pub(crate) use request::{Rejection, RequestParser};
pub(crate) use reset::{ResetCode, status_for_reset};
pub(crate) use response::{HeadersBlock, ResponseParser, Trailers};
pub(crate) use server_phase::{ConnectionPhase, ServerPhase};
pub(crate) use settings::{ClientSettings, ServerSettings};
pub(crate) use statistics::ConnectionRegistry;
pub use statistics::ConnectionSnapshot;
pub(crate) use stream_quota::StreamQuota;

/// A server's side of one connection.
pub(crate) trait ServerTransport: Send + 'static {
    /// Serves the connection until it ends: hands every request to `dispatch`, polls the call that
    /// comes back once at once, and [spawns](run_call) it when it is not ready; or spawns it at once,
    /// when [`ServerSettings::spawn_handlers`] says so.
    fn serve<D: Dispatch>(self, dispatch: Arc<D>) -> impl Future<Output = ()> + Send;
}

/// Turns requests into calls; called by the engine, on the connection's task.
pub(crate) trait Dispatch: Send + Sync + 'static {
    /// A call that is being handled.
    type Call: Call;

    /// Starts the call of a new stream. `content` is all that the client sends on it, where that came
    /// at once: the stream then has nothing but its end.
    fn dispatch(&self, stream: Arc<dyn ServerStream>, content: Option<Bytes>) -> Self::Call;
}

/// A call that is being handled: ready with how it ends, for its stream.
pub(crate) trait Call: Future<Output = CallEnd> + Send + Unpin + 'static {
    /// The stream that it came on.
    fn stream(&self) -> &dyn ServerStream;
}

/// Runs a call that was not ready at once, on a task of its own. Keeps what it was dispatched by.
pub(crate) async fn run_call<D: Dispatch>(mut call: D::Call, _dispatch: Arc<D>) {
    let end = (&mut call).await;
    call.stream().end(end);
}

/// How a server ends a call. The header metadata is there unless the headers went out before.
#[derive(Debug)]
pub(crate) enum CallEnd {
    /// A complete unary reply as one operation: headers, one framed message, trailers with status OK.
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
    /// As [`Finish`](Self::Finish) with a failure, but now: when messages before the trailers wait for
    /// flow control, they are dropped and the stream is reset with CANCEL.
    Abort {
        header: Option<Metadata>,
        status: Status,
    },
    /// The client or the connection has ended it already.
    Closed,
}

impl CallEnd {
    /// Whether it is all that the client gets, so that it need not wait for anything sent before.
    pub(crate) fn is_whole_response(&self) -> bool {
        match self {
            Self::Reply { header, .. }
            | Self::Finish { header, .. }
            | Self::Abort { header, .. } => header.is_some(),
            Self::Closed => false,
        }
    }
}

/// A client's side of one connection. Dropping it closes that.
pub(crate) trait ClientTransport: Send + Sync + 'static {
    /// Opens a stream and sends what `request` has of it, as one operation. A stream over the
    /// peer's limit waits its turn without blocking the caller.
    fn open(&self, request: OpenRequest<'_>) -> Result<Arc<dyn ClientStream>, OpenError>;

    /// The connection's two ends.
    fn peer(&self) -> &Arc<Peer>;

    /// How many streams the server allows at once; more wait for their turn.
    fn max_concurrent_streams(&self) -> usize;

    /// How many streams wait for that.
    fn waiting_streams(&self) -> usize;

    /// Whether it takes no more streams: there was a GOAWAY, or the connection has ended. True before
    /// the streams hear that they have ended with it.
    fn is_gone(&self) -> bool;

    /// For how long nothing was received on it.
    fn silence(&self) -> Duration;

    /// The statistics of the connection: its socket, in channelz.
    fn statistics(&self) -> ConnectionSnapshot;

    /// Ends the connection at once; its streams end with UNAVAILABLE. Idempotent.
    fn close(&self);
}

/// What a client transport reports to its owner.
#[derive(Debug)]
pub(crate) enum TransportEvent {
    /// The peer sent GOAWAY: no new stream goes here, those that are open go on.
    GoAway {
        /// "code: NO_ERROR, debug data: …".
        reason: String,
        /// The connection has been of use: a response has begun on it, or a request that was sent is
        /// not above the GOAWAY's last stream.
        served: bool,
    },
    /// The server allows more streams at once than before.
    MoreStreams,
    /// The connection is gone.
    Closed {
        /// What ended it.
        reason: String,
        /// As above, without the GOAWAY.
        served: bool,
    },
}

/// How a connection tells its owner what happens to it; called from the connection's task.
pub(crate) type Report = Arc<dyn Fn(TransportEvent) + Send + Sync>;

/// A stream's receiving and sending, alike on both sides.
pub(crate) trait Stream: Send + Sync + 'static {
    /// Receives the next DATA, or the end of receiving. Not called again after [`Incoming::End`].
    ///
    /// The peer may send as much again as is taken. `read_demand` is what the call waits for: a little
    /// more or less may come, and an engine that can lets the peer send all of it.
    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<Incoming>;

    /// Takes all DATA that has come and will come: if the end has come too, everything is in one
    /// piece, nothing of it was taken before, and it `fits`. Else nothing is taken. This is how the
    /// only message of a call is had at once where it has come at once.
    fn take_whole(&self, _fits: &dyn Fn(&[u8]) -> bool) -> Option<Bytes> {
        None
    }

    /// Ready when the stream takes another message; when it has ended, the status that it ended with,
    /// on a client [`ended_well`] if that was OK.
    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>>;

    /// Queues one framed message. Fails as [`poll_send_ready`](Self::poll_send_ready).
    fn send_message(&self, message: BytesQueue) -> Result<(), Status>;

    /// Ends the stream with RST_STREAM, unless it has ended.
    fn reset(&self, code: ResetCode);
}

/// A server's stream.
pub(crate) trait ServerStream: Stream {
    /// The connection.
    fn connection(&self) -> &ConnectionHandle;

    /// The compressors that the server has: those of its [`ServerSettings`].
    fn compressors(&self) -> &CompressorRegistry;

    /// The call that the stream is for.
    fn call(&self) -> &CallState;

    /// The call takes nothing more of the request: the rest is discarded. As without it, the stream
    /// ends with the response.
    fn discard(&self);

    /// Sends the response's headers. Called at most once, before any message.
    fn send_head(&self, header: Metadata);

    /// Sends what ends the call, and ends the stream.
    fn end(&self, end: CallEnd);

    /// Ready when the peer or the connection has ended the stream; the [call](Self::call) has the reason
    /// by then.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A client's stream.
pub(crate) trait ClientStream: Stream {
    /// The response's headers; `Err` when the stream ended without any, in which case
    /// [`Stream::poll_data`] says how. Not called again once it was ready.
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>>;

    /// A whole response: ready when the call has ended, or something of it has come. Then the
    /// response is taken if it is that of a call that ended well, its messages are here in one
    /// piece that `fits`, and nothing of it was taken before; else nothing is. This is how the only
    /// message of a call is had at once where it has come at once.
    fn poll_whole(
        &self,
        _cx: &mut Context<'_>,
        _fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeResponse>> {
        Poll::Ready(None)
    }

    /// Whether it waits until the server allows one more stream. Asked of a call that is being given
    /// up, for its text.
    fn waits_for_its_turn(&self) -> bool;

    /// Queues one framed message and ends sending with it.
    fn send_last(&self, message: BytesQueue) -> Result<(), Status>;

    /// Ends sending: no message follows. Idempotent.
    fn half_close(&self);
}

/// All of a response that ended well.
#[derive(Debug)]
pub(crate) struct WholeResponse {
    pub(crate) head: IncomingHead,
    pub(crate) messages: Bytes,
    pub(crate) trailer: Metadata,
}

/// What goes before a response's messages, as a client received it.
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

/// The stream ended before a header came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoHead;

/// What a stream received.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Bytes of messages.
    Data(BytesQueue),
    /// Nothing more comes.
    End(StreamEnd),
}

/// How receiving ended.
#[derive(Debug)]
pub(crate) struct StreamEnd {
    /// On a client the trailers or the status; on a server the request's regular end, or why the
    /// stream broke.
    pub(crate) outcome: Result<Metadata, Status>,
    pub(crate) delivery: Delivery,
}

/// How far a stream got that failed, which decides whether its call may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The peer may have acted on it.
    Possible,
    /// The peer has promised that it did not look at it.
    Refused,
    /// It never left this side.
    NotSent,
}

impl StreamEnd {
    /// The end of a stream that the peer may have acted on.
    pub(crate) fn new(outcome: Result<Metadata, Status>) -> Self {
        Self {
            outcome,
            delivery: Delivery::Possible,
        }
    }

    /// The end of a stream that failed having got this far.
    pub(crate) fn failed(status: Status, delivery: Delivery) -> Self {
        Self {
            outcome: Err(status),
            delivery,
        }
    }
}

/// A request as a server received and checked it.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    /// "/service/method", unchecked.
    pub(crate) path: Box<str>,
    pub(crate) metadata: Metadata,
    /// What follows `application/grpc+`; empty for plain `application/grpc`.
    pub(crate) content_subtype: Bytes,
    /// `grpc-encoding`, when messages may be compressed.
    pub(crate) encoding: Option<Bytes>,
}

/// A request's head, and what is apart from it because it is different from one call to the next.
#[derive(Clone, Debug)]
pub(crate) struct HeadWithTimeout<H> {
    pub(crate) head: H,
    pub(crate) timeout: Option<Duration>,
}

/// What opens a client's stream.
#[derive(Debug)]
pub(crate) struct OpenRequest<'a> {
    /// "/service/method".
    pub(crate) path: &'a Cow<'static, str>,
    pub(crate) headers: &'a Arc<CommonHeaders>,
    pub(crate) content_subtype: &'static str,
    /// How many attempts at the call there were before, but for transparent ones.
    pub(crate) previous_attempts: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) metadata: &'a Metadata,
    /// The first framed message; when it is also the last, the stream is half-closed with it.
    pub(crate) only_message: Option<BytesQueue>,
}

/// What the requests of a channel have in common: those that say the same of what is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommonHeaders {
    pub(crate) authority: String,
    pub(crate) scheme: &'static str,
    pub(crate) user_agent: Bytes,
    /// `grpc-encoding`, when messages are compressed.
    pub(crate) encoding: Option<Bytes>,
    /// `grpc-accept-encoding`, when the response's may be.
    pub(crate) accept_encoding: Option<Bytes>,
}

/// What a server puts before its messages.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) content_subtype: &'a [u8],
    pub(crate) encoding: Option<EncodingField>,
    pub(crate) metadata: &'a Metadata,
}

impl ResponseHead<'_> {
    /// The same for a response without messages.
    pub(crate) fn without_messages(self) -> Self {
        Self {
            encoding: self.encoding.and_then(EncodingField::without_messages),
            ..self
        }
    }
}

/// Why a stream could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The connection takes no more streams; nothing was sent, another connection may be tried with
    /// the message that comes back.
    Gone(Option<BytesQueue>),
    /// The request cannot be sent on any connection.
    Invalid(Status),
}
