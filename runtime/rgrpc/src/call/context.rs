//! The context of a server's call, and the end of that call.
//!
//! Created by the server when it dispatches a call; used by handlers, interceptors and the stream
//! halves, on the tasks of the call, and by tasks that a handler spawns.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use rgrpc_http2::BytesQueue;
use tokio::time::Instant;

use super::{Extensions, MessageSink, MessageSource, Response, ServerResources, SourceEvent};
use crate::buffer_pool::BufferPool;
use crate::codec::{Compressor, Encoding, IDENTITY, accepted, is_answered_alike};
use crate::interceptor::{CallOutcome, MessageView};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::stats::{CallEvent, CallRecorders};
use crate::status::Status;
use crate::transport::{
    CallEnd, CancelReason, ConnectionHandle, EndReport, EndedCall, IncomingHead, Last, NoHead,
    ReadDemand, RequestHead, ResponseHead, ServerTransportStream, WholeContent, head_size,
    too_large, trailers_size,
};

/// The context of a server's call: everything that its handler reads and sets besides messages.
///
/// A handler gets it from its [`Request`](super::Request). Cheap to clone, and may outlive the
/// call; [`is_done`](Self::is_done) tells if the call has ended.
///
/// Source: the context of a handler in grpc-go, and its `SetHeader`, `SendHeader`, `SetTrailer`,
/// `SetSendCompressor` and `ClientSupportedCompressors`.
#[derive(Clone)]
pub struct CallContext(Arc<dyn ServerTransportStream>);

impl CallContext {
    pub(crate) fn new(stream: Arc<dyn ServerTransportStream>) -> Self {
        Self(stream)
    }

    /// The method's full name: `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.head().path
    }

    /// The request's metadata, which also shows `:authority`, `user-agent`, `content-type` and
    /// `grpc-accept-encoding`.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.head().metadata
    }

    /// The two ends of the call's connection.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.connection().peer()
    }

    /// The call's connection: its typed values, and the means to drain it.
    #[must_use]
    pub fn connection(&self) -> &ConnectionHandle {
        self.0.connection()
    }

    /// The typed values that stats handlers and the [head hook](crate::Server::head_hook) have
    /// inserted for the call. A [request](super::Request::extensions) has them too, with those of
    /// interceptors.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        static NONE: Extensions = Extensions::new();
        self.0
            .call()
            .scope()
            .map_or(&NONE, |scope| &scope.extensions)
    }

    /// Adds a function that is called once, at the end of the call: with its status and trailers,
    /// or with the reason of its cancellation. Functions that are added later are called earlier.
    /// Returns false if the call has already ended; the function is then dropped.
    ///
    /// It is called on the task of the call after the handler has returned or was dropped, and must
    /// not block. A panic in it is logged.
    ///
    /// ```
    /// # use rgrpc::CallContext;
    /// # fn log_end(context: &CallContext) {
    /// let method = context.method().to_owned();
    /// context.on_end(move |outcome| {
    ///     println!("{method}: {:?} after {:?}", outcome.code(), outcome.elapsed());
    /// });
    /// # }
    /// ```
    pub fn on_end(&self, hook: impl FnOnce(&CallOutcome<'_>) + Send + 'static) -> bool {
        self.0.call().on_end(Box::new(hook)).is_ok()
    }

    /// The call's deadline: the client's, or an earlier one that an
    /// [interceptor](crate::IncomingCall::set_deadline) has set; `None` if it has none. The call ends with
    /// DEADLINE_EXCEEDED then, and its handler is dropped.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.call().deadline()
    }

    /// Adds to the header metadata, which goes with the first message or with the status.
    ///
    /// # Errors
    /// INTERNAL if the headers have been sent.
    pub fn set_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.0
            .call()
            .add_header(metadata)
            .map_err(|_| Status::internal("header metadata was set after the headers were sent"))
    }

    /// Sends the headers now, with what was set before and with `metadata`.
    ///
    /// # Errors
    /// INTERNAL if the headers have been sent.
    pub fn send_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.set_header(metadata)?;
        self.send_unsent_header();
        Ok(())
    }

    /// Adds to the trailers, which go with the status.
    pub fn set_trailer(&self, metadata: Metadata) {
        self.0.call().add_trailer(metadata);
    }

    /// Sets the compressor of the response's messages, by its name. Default: that of the request,
    /// unless the client does not accept it.
    ///
    /// The [server](crate::Server::compressor) must have it and the client must
    /// [accept](Self::client_supported_compressors) it; `identity` means no compression.
    /// [`SendStream::set_message_compression`](super::SendStream::set_message_compression) is for
    /// single messages.
    ///
    /// # Errors
    /// INTERNAL when the server has no such compressor, the client does not accept it, or it is too
    /// late: the headers are out, or a message was compressed. The response is as it would have
    /// been then.
    ///
    /// Source: grpc-go `SetSendCompressor`.
    pub fn set_send_compressor(&self, name: &str) -> Result<(), Status> {
        let encoding = match self.compressor_of(name.as_bytes()) {
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

    /// The names of the compressors that the client accepts for responses, as in
    /// `grpc-accept-encoding` and in its order. `identity`, which is none, is always accepted, and
    /// may be missing here.
    ///
    /// Source: grpc-go `ClientSupportedCompressors`.
    #[must_use]
    pub fn client_supported_compressors(&self) -> Vec<&str> {
        self.accepted().collect()
    }

    /// Waits for the end of the call: the handler returns, the client cancels, the deadline passes
    /// or the connection is lost. For work that a handler has spawned; the handler itself is
    /// dropped at the end.
    ///
    /// Cancel-safe.
    pub async fn done(&self) {
        self.0.call().done().await;
    }

    /// Waits for the end of the call, as [`done`](Self::done). Returns the reason if the call was
    /// cancelled, and `None` if its handler has returned.
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

    /// Returns the reason why the call was cancelled; `None` before its end, and after its
    /// handler has returned or panicked. Known before the handler is dropped, so that a value of
    /// the handler can ask when it is dropped.
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
    ///             Some(CancelReason::DeadlineExceeded) => { /* Keep it for a retry. */ }
    ///             Some(_) => { /* Release it. */ }
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.0.call().cancel_reason()
    }

    /// Returns whether the call has ended; see [`done`](Self::done).
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.call().is_done()
    }

    pub(crate) fn stream(&self) -> &dyn ServerTransportStream {
        &*self.0
    }

    /// The head of the request.
    pub(crate) fn head(&self) -> &RequestHead {
        self.0.call().head()
    }

    /// The encoding of the request's messages. The response has the same, if the client accepts it
    /// and the handler sets no other.
    ///
    /// # Errors
    /// UNIMPLEMENTED if the server has no compressor of that name.
    #[inline]
    pub(crate) fn negotiate_encoding(&self) -> Result<Encoding, Status> {
        match &self.head().encoding {
            None => Ok(Encoding::Identity),
            Some(name) => self.find_encoding(name),
        }
    }

    fn find_encoding(&self, name: &Bytes) -> Result<Encoding, Status> {
        let encoding = Encoding::find(name, |name| self.compressor_of(name).cloned());
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

    /// The compressor of the response's messages at present. It may change after this.
    pub(crate) fn current_compressor(&self) -> Option<Arc<dyn Compressor>> {
        let encoding = self.0.call().current_encoding()?;
        self.compressor_of(&encoding).cloned()
    }

    fn find_compressor(&self) -> Option<Arc<dyn Compressor>> {
        let encoding = self.0.call().encoding()?;
        self.compressor_of(&encoding).cloned()
    }

    /// Creates the status of a request in an unknown encoding; it lists the server's encodings.
    ///
    /// Source: `doc/compression.md`.
    fn unknown_encoding(&self, name: &str) -> Status {
        let resources = self.resources().into_iter();
        let names = resources.flat_map(|resources| resources.compressors.names());
        let known: Vec<&str> = [IDENTITY].into_iter().chain(names).collect();
        self.0.call().refuse_encoding(known.join(",").into());
        Status::unimplemented(format!(
            "this server has no decompressor for the grpc-encoding {name:?} of the request: it \
             accepts {}",
            known.join(", ")
        ))
    }

    /// The server's compressor of this name.
    fn compressor_of(&self, name: &[u8]) -> Option<&Arc<dyn Compressor>> {
        self.resources()?.compressors.get(name)
    }

    /// The server's resources. The transport keeps them with the connection, and does not know
    /// them.
    fn resources(&self) -> Option<&ServerResources> {
        self.connection().owner()
    }

    fn accepted(&self) -> impl Iterator<Item = &str> {
        accepted(self.head().metadata.get_all("grpc-accept-encoding"))
    }

    /// Waits until the client or the connection ends the call.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_closed(cx)
    }

    /// Makes the deadline earlier.
    pub(crate) fn shorten_deadline(&self, deadline: Instant) {
        self.0.call().shorten_deadline(deadline);
    }

    /// Marks the call as cancelled, before its handler is dropped. The first reason stays.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        self.0.call().cancel(reason);
    }

    /// Ends the call with a complete unary reply.
    ///
    /// Header metadata is lost if the headers have been sent.
    ///
    /// `sent` is the message as stats handlers see it.
    #[inline]
    pub(crate) fn reply(&self, response: Response<BytesQueue>, sent: MessageView<'_>) -> CallEnd {
        let (message, metadata, trailer) = response.into_parts();
        let EndedCall {
            mut header,
            trailer: mut trailers,
            report,
        } = self.0.call().end();
        trailers.merge(trailer.without_received());
        if let Some(header) = &mut header {
            header.merge(metadata.without_received());
        }
        let end = CallEnd::Reply {
            header,
            message,
            trailer: trailers,
        };
        self.ended(&end, Some(sent), report);
        end
    }

    /// Ends the call with a status, and with the metadata that was set.
    pub(crate) fn finish(&self, outcome: Result<(), Status>) -> CallEnd {
        let EndedCall {
            header,
            trailer,
            report,
        } = self.0.call().end();
        let outcome = match outcome {
            Ok(()) => Ok(trailer),
            Err(status) => Err(with_trailer(status, trailer)),
        };
        let end = CallEnd::Finish { header, outcome };
        self.ended(&end, None, report);
        end
    }

    /// Ends the call with a failure now, and discards messages that wait to be sent.
    pub(crate) fn abort(&self, status: Status) -> CallEnd {
        let EndedCall {
            header,
            trailer,
            report,
        } = self.0.call().end();
        let status = with_trailer(status, trailer);
        let end = CallEnd::Abort { header, status };
        self.ended(&end, None, report);
        end
    }

    /// Ends the call without a response: the client or the connection has ended it, or its handler
    /// is gone.
    pub(crate) fn closed(&self) -> CallEnd {
        // Nobody is left to receive the metadata.
        let ended = self.0.call().end();
        self.ended(&CallEnd::Closed, None, ended.report);
        CallEnd::Closed
    }

    /// Reports the end of the call to stats handlers and end hooks.
    #[inline]
    fn ended(&self, end: &CallEnd, sent: Option<MessageView<'_>>, report: Option<EndReport>) {
        if let Some(report) = report {
            self.report_end(end, sent, report);
        }
    }

    fn report_end(&self, end: &CallEnd, sent: Option<MessageView<'_>>, report: EndReport) {
        static NONE: Metadata = Metadata::new();
        let EndReport {
            hooks,
            cancel_reason,
        } = report;
        let replaced;
        // Nothing of the handler's end is sent then.
        let (end, mut sent) = match cancel_reason {
            Some(CancelReason::HeadersTooLarge) => (&CallEnd::Closed, None),
            _ => (end, sent),
        };
        let (mut header, mut trailer, mut status) = match end {
            CallEnd::Reply {
                header, trailer, ..
            } => (header.as_ref(), Some(trailer), Ok(())),
            CallEnd::Finish {
                header,
                outcome: Ok(trailer),
            } => (header.as_ref(), Some(trailer), Ok(())),
            CallEnd::Finish {
                header,
                outcome: Err(status),
            }
            | CallEnd::Abort { header, status } => {
                (header.as_ref(), Some(status.metadata()), Err(status))
            }
            CallEnd::Closed => {
                replaced = cancelled_status(cancel_reason);
                (None, None, Err(&replaced))
            }
        };
        let refused;
        let limit = self.0.max_header_list();
        if status.is_ok()
            && let Some((last, failure)) = self.replacement(limit, header, trailer, sent.is_some())
        {
            // The client gets this failure instead.
            if header.is_some() {
                sent = None;
            }
            if last != Last::Trailers {
                header = None;
            }
            refused = failure;
            trailer = Some(&NONE);
            status = Err(&refused);
        } else if header.is_some_and(|header| self.is_too_large(limit, header)) {
            header = None;
        }
        let outcome = CallOutcome::of_server(
            status,
            trailer.unwrap_or(&NONE),
            cancel_reason,
            self.0.call().began(),
        );
        if let Some(recorders) = self.recorders() {
            record_end(recorders, header, sent, &outcome, trailer);
        }
        hooks.call(&outcome);
    }

    /// The failure that the transport sends instead of a successful end whose headers or trailers
    /// are larger than the client accepts.
    fn replacement(
        &self,
        limit: u32,
        header: Option<&Metadata>,
        trailer: Option<&Metadata>,
        has_message: bool,
    ) -> Option<(Last, Status)> {
        if limit == u32::MAX {
            return None;
        }
        let excess = |last, size| {
            let is_too_large = size > limit as usize;
            is_too_large.then(|| (last, too_large(last, size, limit)))
        };
        let trailer = trailers_size(trailer?);
        match header {
            Some(header) if header.is_empty() && !has_message => {
                let head = head_size(&self.response_head(header).without_messages());
                excess(Last::TrailersOnly, head + trailer)
            }
            Some(header) => excess(Last::Headers, head_size(&self.response_head(header)))
                .or_else(|| excess(Last::Trailers, trailer)),
            None => excess(Last::Trailers, trailer),
        }
    }

    fn response_head<'a>(&'a self, metadata: &'a Metadata) -> ResponseHead<'a> {
        ResponseHead {
            content_subtype: &self.head().content_subtype,
            encoding: self.0.call().encoding_field(),
            metadata,
        }
    }

    /// Returns whether headers are larger than the client accepts.
    #[inline]
    fn is_too_large(&self, limit: u32, header: &Metadata) -> bool {
        limit != u32::MAX && head_size(&self.response_head(header)) > limit as usize
    }

    /// The recorders of the call's stats handlers.
    #[inline]
    pub(crate) fn recorders(&self) -> Option<&CallRecorders> {
        let recorders = &self.0.call().scope()?.recorders;
        (!recorders.is_empty()).then_some(recorders)
    }

    /// Sends the headers, unless they are out.
    pub(super) fn send_unsent_header(&self) {
        if let Some(header) = self.0.call().take_header() {
            if !header.is_empty() && self.is_too_large(self.0.max_header_list(), &header) {
                // The transport ends the call for it, perhaps after the handler has returned.
                self.cancel(CancelReason::HeadersTooLarge);
            } else if let Some(recorders) = self.recorders() {
                recorders.record(&CallEvent::OutHeader(&header));
            }
            self.0.send_head(header);
        }
    }
}

/// Records the last events of a call.
fn record_end(
    recorders: &CallRecorders,
    header: Option<&Metadata>,
    sent: Option<MessageView<'_>>,
    outcome: &CallOutcome<'_>,
    trailer: Option<&Metadata>,
) {
    // The whole response of a unary call at once.
    if let (Some(header), Some(sent), Some(trailer)) = (header, sent, trailer) {
        return recorders.record_all(&[
            CallEvent::OutHeader(header),
            CallEvent::OutPayload(recorders.payload(sent)),
            CallEvent::OutTrailer(trailer),
            CallEvent::End(*outcome),
        ]);
    }
    // Headers without metadata and without a message are left out (trailers-only).
    if let Some(header) = header
        && (sent.is_some() || !header.is_empty())
    {
        recorders.record(&CallEvent::OutHeader(header));
    }
    if let Some(sent) = sent {
        recorders.record(&CallEvent::OutPayload(recorders.payload(sent)));
    }
    if let Some(trailer) = trailer {
        recorders.record(&CallEvent::OutTrailer(trailer));
    }
    recorders.record(&CallEvent::End(*outcome));
}

/// The status of a cancelled call, for the hooks and stats handlers of this side.
#[cold]
fn cancelled_status(reason: Option<CancelReason>) -> Status {
    match reason {
        Some(reason @ CancelReason::DeadlineExceeded) => {
            Status::deadline_exceeded(reason.to_string())
        }
        Some(reason @ CancelReason::ServerStopped) => Status::unavailable(reason.to_string()),
        Some(reason @ CancelReason::HeadersTooLarge) => Status::internal(reason.to_string()),
        Some(reason) => Status::cancelled(reason.to_string()),
        None => Status::cancelled("the call has ended before its handler"),
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
        if self.0.call().has_encoding() {
            self.find_compressor()
        } else {
            None
        }
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.send_unsent_header();
        self.0.send_message(message)
    }

    /// The call ends when its handler returns.
    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        self.send(message)
    }

    /// The call ends when its handler returns.
    fn close(&self) {}

    fn abandon(&self) {}
}

impl MessageSource for CallContext {
    /// The request has its metadata.
    fn poll_head(&self, _: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        Poll::Ready(Err(NoHead))
    }

    fn buffer_pool(&self) -> BufferPool {
        let resources = self.resources();
        resources.map_or_else(BufferPool::shared, |resources| resources.pool.clone())
    }

    fn poll_whole(
        &self,
        cx: &mut Context<'_>,
        fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeContent>> {
        self.0.poll_whole(cx, fits)
    }

    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent> {
        self.0.poll_data(cx, read_demand).map(SourceEvent::from)
    }

    /// Does nothing: the handler gets the status, and decides how the call ends.
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
