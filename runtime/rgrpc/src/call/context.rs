use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use rgrpc_http2::BytesQueue;
use tokio::time::Instant;

use super::{MessageSink, MessageSource, Response, SourceEvent};
use crate::codec::{Compressor, Encoding, IDENTITY, accepted, is_answered_alike};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{
    CallEnd, CancelReason, Incoming, IncomingHead, NoHead, ReadDemand, RequestHead, ServerStream,
};

/// A call in a server's hands: what its handler can know and say besides messages.
///
/// A handler has it from its [`Request`](super::Request). Cheap to clone, and may outlive the call,
/// which has [ended](Self::is_done) then.
///
/// Source: what grpc-go keeps in a handler's context, and its `SetHeader`, `SendHeader`, `SetTrailer`,
/// `SetSendCompressor` and `ClientSupportedCompressors`.
#[derive(Clone)]
pub struct CallContext(Arc<dyn ServerStream>);

impl CallContext {
    pub(crate) fn new(stream: Arc<dyn ServerStream>) -> Self {
        Self(stream)
    }

    /// The method's full name: `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.head().path
    }

    /// The metadata that the request came with, which also shows `:authority`, `user-agent`,
    /// `content-type` and `grpc-accept-encoding`.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.head().metadata
    }

    /// The two ends of the connection that the call came by.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.0.peer()
    }

    /// When the call ends with DEADLINE_EXCEEDED and its handler is dropped; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.call().deadline()
    }

    /// Adds to the header metadata, which goes with the first message or with the status.
    ///
    /// # Errors
    /// INTERNAL when the headers are out already.
    pub fn set_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.0
            .call()
            .add_header(metadata)
            .map_err(|_| Status::internal("header metadata was set after the headers were sent"))
    }

    /// Sends the headers now, with what was set before and with `metadata`.
    ///
    /// # Errors
    /// INTERNAL when the headers are out already.
    pub fn send_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.set_header(metadata)?;
        self.send_unsent_header();
        Ok(())
    }

    /// Adds to the trailers, which go with the status.
    pub fn set_trailer(&self, metadata: Metadata) {
        self.0.call().add_trailer(metadata);
    }

    /// Has the messages of the response compressed by the compressor of this name: one that the
    /// [server](crate::Server::compressor) has and the client
    /// [accepts](Self::client_supported_compressors), or `identity`, which is none. Default: that by
    /// which the request came, unless the client says that it does not accept it.
    /// [`SendStream::set_message_compression`](super::SendStream::set_message_compression) is for single
    /// messages.
    ///
    /// # Errors
    /// INTERNAL when the server has no such compressor, the client does not accept it, or it is too
    /// late: the headers are out, or a message was compressed. The response is as it would have been
    /// then.
    ///
    /// Source: grpc-go `SetSendCompressor`.
    pub fn set_send_compressor(&self, name: &str) -> Result<(), Status> {
        let encoding = match self.0.compressors().get(name.as_bytes()) {
            _ if name == IDENTITY => Bytes::from_static(IDENTITY.as_bytes()),
            None => {
                return Err(Status::internal(format!(
                    "this server has no compressor {name:?} to send by"
                )));
            }
            Some(_) if !self.accepted().any(|accepted| accepted == name) => {
                return Err(Status::internal(format!(
                    "the client does not accept responses compressed by {name:?}"
                )));
            }
            Some(_) => Bytes::copy_from_slice(name.as_bytes()),
        };
        if self.0.call().set_encoding(encoding) {
            Ok(())
        } else {
            Err(Status::internal(
                "the compressor was set after the headers were sent or a message was compressed",
            ))
        }
    }

    /// The names of the compressors by which the client accepts responses: what it says in
    /// `grpc-accept-encoding`, in its order. `identity`, which is none, is always accepted and may or
    /// may not be among them.
    ///
    /// Source: grpc-go `ClientSupportedCompressors`.
    #[must_use]
    pub fn client_supported_compressors(&self) -> Vec<&str> {
        self.accepted().collect()
    }

    /// Ready when the call has ended: the handler has returned, the client has cancelled, the
    /// deadline has passed or the connection is gone. For work that a handler has spawned; the
    /// handler itself is dropped then.
    ///
    /// Cancel-safe.
    pub async fn done(&self) {
        self.0.call().done().await;
    }

    /// Ready when the call has ended, as [`done`](Self::done), with the reason if it was cancelled; `None`
    /// when its handler has returned.
    ///
    /// Cancel-safe.
    ///
    /// ```
    /// # use rgrpc::{CallContext, CancelReason};
    /// # fn start_job(context: CallContext) {
    /// tokio::spawn(async move {
    ///     if context.cancelled().await == Some(CancelReason::ClientCancelled) {
    ///         // … undo the job …
    ///     }
    /// });
    /// # }
    /// ```
    ///
    /// Source: grpc-go `ctx.Done` and `context.Cause` of a handler's context.
    pub async fn cancelled(&self) -> Option<CancelReason> {
        self.done().await;
        self.cancel_reason()
    }

    /// Returns the reason why the call was cancelled; `None` while it goes on, and after its handler has returned or
    /// panicked. Known before the handler is dropped, so that a value of the handler can ask when it is
    /// dropped.
    ///
    /// A handler that returns because its stream has failed was cancelled, too.
    ///
    /// ```
    /// use rgrpc::{CallContext, CancelReason};
    ///
    /// struct Reservation(CallContext);
    ///
    /// impl Drop for Reservation {
    ///     fn drop(&mut self) {
    ///         match self.0.cancel_reason() {
    ///             None => {} // The handler has returned.
    ///             Some(CancelReason::DeadlineExceeded) => { /* Keep it: the client asks again. */ }
    ///             Some(_) => { /* Release it. */ }
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.0.call().cancel_reason()
    }

    /// Whether the call has ended; see [`done`](Self::done).
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.call().is_done()
    }

    pub(crate) fn stream(&self) -> &dyn ServerStream {
        &*self.0
    }

    /// What the call was made with.
    pub(crate) fn head(&self) -> &RequestHead {
        self.0.call().head()
    }

    /// What the request's messages are compressed by; and the response's, until the handler says
    /// otherwise, where the client accepts it.
    ///
    /// # Errors
    /// UNIMPLEMENTED when the server has no compressor of that name.
    pub(crate) fn negotiate_encoding(&self) -> Result<Encoding, Status> {
        let Some(name) = &self.head().encoding else {
            return Ok(Encoding::Identity);
        };
        let compressors = self.0.compressors();
        let encoding = Encoding::find(name, |name| compressors.get(name).cloned());
        match &encoding {
            Encoding::Identity => {}
            Encoding::Known(compressor) => {
                if is_answered_alike(compressor.name(), self.accepted()) {
                    self.0.call().set_encoding(name.clone());
                }
            }
            Encoding::Unknown(name) => return Err(self.unknown_encoding(name)),
        }
        Ok(encoding)
    }

    /// The answer to a request in an encoding that the server does not know; it says which it knows.
    ///
    /// Source: `doc/compression.md`.
    fn unknown_encoding(&self, name: &str) -> Status {
        let compressors = self.0.compressors();
        let known: Vec<&str> = [IDENTITY].into_iter().chain(compressors.names()).collect();
        self.0.call().refuse_encoding(known.join(",").into());
        Status::unimplemented(format!(
            "this server has no decompressor for the grpc-encoding {name:?} of the request: it \
             accepts {}",
            known.join(", ")
        ))
    }

    fn accepted(&self) -> impl Iterator<Item = &str> {
        accepted(self.head().metadata.get_all("grpc-accept-encoding"))
    }

    /// All that the client has sent and is going to send, if it is here, in one piece, and `fits`.
    pub(crate) fn take_whole(&self, fits: &dyn Fn(&[u8]) -> bool) -> Option<Bytes> {
        self.0.take_whole(fits)
    }

    /// Ready when the client or the connection has ended the call.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_closed(cx)
    }

    /// The call is cancelled: its handler is about to be dropped. The first reason stays.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        self.0.call().cancel(reason);
    }

    /// The call ends with a complete unary reply.
    ///
    /// Header metadata of a response whose headers are out already is lost, as nothing can carry it.
    pub(crate) fn reply(&self, response: Response<BytesQueue>) -> CallEnd {
        let (message, metadata, trailer) = response.into_parts();
        let (mut header, mut trailers) = self.0.call().end();
        trailers.merge(trailer.without_received());
        if let Some(header) = &mut header {
            header.merge(metadata.without_received());
        }
        CallEnd::Reply {
            header,
            message,
            trailer: trailers,
        }
    }

    /// The call ends with a status, and with the metadata that was set.
    pub(crate) fn finish(&self, outcome: Result<(), Status>) -> CallEnd {
        let (header, trailer) = self.0.call().end();
        let outcome = match outcome {
            Ok(()) => Ok(trailer),
            Err(status) => Err(with_trailer(status, trailer)),
        };
        CallEnd::Finish { header, outcome }
    }

    /// The call ends with a failure now, whatever still waits to be sent.
    pub(crate) fn abort(&self, status: Status) -> CallEnd {
        let (header, trailer) = self.0.call().end();
        let status = with_trailer(status, trailer);
        CallEnd::Abort { header, status }
    }

    /// The client or the connection has ended the call, or nobody handles it any more.
    pub(crate) fn closed(&self) -> CallEnd {
        // Nobody is left to have the metadata.
        let _ = self.0.call().end();
        CallEnd::Closed
    }

    fn send_unsent_header(&self) {
        if let Some(header) = self.0.call().take_header() {
            self.0.send_head(header);
        }
    }
}

fn with_trailer(mut status: Status, mut trailer: Metadata) -> Status {
    trailer.merge(status.take_metadata().without_received());
    status.with_metadata(trailer)
}

impl MessageSink for CallContext {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_send_ready(cx)
    }

    #[inline]
    fn compressor(&self) -> Option<Arc<dyn Compressor>> {
        let encoding = self.0.call().encoding()?;
        self.0.compressors().get(&encoding).cloned()
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.send_unsent_header();
        self.0.send_message(message)
    }

    /// The call ends when its handler returns.
    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        self.send(message)
    }

    /// As above.
    fn close(&self) {}

    fn abandon(&self) {}
}

impl MessageSource for CallContext {
    /// The request has its metadata.
    fn poll_head(&self, _: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        Poll::Ready(Err(NoHead))
    }

    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent> {
        self.0
            .poll_data(cx, read_demand)
            .map(|incoming| match incoming {
                Incoming::Data(data) => SourceEvent::Data(data),
                Incoming::End(end) => SourceEvent::End(end.outcome),
            })
    }

    /// The handler is told, and decides how the call ends.
    fn fail(&self, status: Status) -> Status {
        status
    }

    fn abandon(&self) {
        self.0.discard();
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("method", &self.method())
            .field("peer", &self.peer())
            .field("deadline", &self.deadline())
            .field("done", &self.is_done())
            .field("cancelled", &self.cancel_reason())
            .finish_non_exhaustive()
    }
}
