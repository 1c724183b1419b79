use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{MessageSink, MessageSource, Received};
use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{Incoming, NoHead, ResponseHead, ServerStream};

/// A call in a server's hands: what its handler can know and say besides messages.
///
/// A handler has it from its [`Request`](super::Request). Cheap to clone, and may outlive the call,
/// which has [ended](Self::is_done) then.
///
/// Source: what grpc-go keeps in a handler's context, and its `SetHeader`, `SendHeader` and
/// `SetTrailer`.
#[derive(Clone)]
pub struct CallContext(Arc<Shared>);

struct Shared {
    stream: Arc<dyn ServerStream>,
    /// "/service/method", ASCII as all of a request's path.
    method: Bytes,
    content_subtype: Bytes,
    deadline: Option<Instant>,
    response: Mutex<ResponseMetadata>,
    done: AtomicBool,
    done_changed: Notify,
}

/// The metadata of the response as far as it has been set.
#[derive(Default)]
struct ResponseMetadata {
    header: Metadata,
    header_sent: bool,
    trailer: Metadata,
}

impl CallContext {
    pub(crate) fn new(
        stream: Arc<dyn ServerStream>,
        method: Bytes,
        content_subtype: Bytes,
        deadline: Option<Instant>,
    ) -> Self {
        Self(Arc::new(Shared {
            stream,
            method,
            content_subtype,
            deadline,
            response: Mutex::default(),
            done: AtomicBool::new(false),
            done_changed: Notify::new(),
        }))
    }

    /// The method's full name: `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        std::str::from_utf8(&self.0.method).unwrap_or_default()
    }

    /// The two ends of the connection that the call came by.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.0.stream.peer()
    }

    /// When the call ends with DEADLINE_EXCEEDED and its handler is dropped; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Adds to the header metadata, which goes with the first message or with the status.
    ///
    /// # Errors
    /// INTERNAL when the headers are out already.
    pub fn set_header(&self, metadata: Metadata) -> Result<(), Status> {
        let mut response = self.0.response();
        if response.header_sent {
            return Err(Status::internal(
                "header metadata was set after the headers were sent",
            ));
        }
        response.header.merge(metadata);
        Ok(())
    }

    /// Sends the headers now, with what was set before and with `metadata`.
    ///
    /// # Errors
    /// INTERNAL when the headers are out already.
    pub fn send_header(&self, metadata: Metadata) -> Result<(), Status> {
        self.set_header(metadata)?;
        if let Some(head) = self.0.take_head() {
            self.0.stream.send_head(head);
        }
        Ok(())
    }

    /// Adds to the trailers, which go with the status.
    pub fn set_trailer(&self, metadata: Metadata) {
        self.0.response().trailer.merge(metadata);
    }

    /// Ready when the call has ended: the handler has returned, the client has cancelled, the
    /// deadline has passed or the connection is gone. For work that a handler has spawned; the
    /// handler itself is dropped then.
    ///
    /// Cancel-safe.
    pub async fn done(&self) {
        loop {
            let changed = self.0.done_changed.notified();
            if self.is_done() {
                return;
            }
            changed.await;
        }
    }

    /// Whether the call has ended; see [`done`](Self::done).
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.done.load(Ordering::Acquire)
    }

    pub(crate) fn set_done(&self) {
        self.0.done.store(true, Ordering::Release);
        self.0.done_changed.notify_waiters();
    }

    pub(crate) fn sink(&self) -> Arc<dyn MessageSink> {
        Arc::clone(&self.0) as Arc<dyn MessageSink>
    }

    pub(crate) fn source(&self) -> Arc<dyn MessageSource> {
        Arc::clone(&self.0) as Arc<dyn MessageSource>
    }

    /// Ends the call with a complete unary reply.
    ///
    /// Header metadata of a response whose headers are out already is lost, as nothing can carry it.
    pub(crate) fn reply(&self, metadata: Metadata, message: Bytes, trailer: Metadata) {
        let mut all_trailers = std::mem::take(&mut self.0.response().trailer);
        all_trailers.merge(trailer);
        let head = self.0.take_head().map(|mut head| {
            head.metadata.merge(metadata);
            head
        });
        self.0.stream.reply(head, message, all_trailers);
    }

    /// Ends the call with a status, and with the metadata that was set.
    pub(crate) fn finish(&self, outcome: Result<(), Status>) {
        let outcome = match outcome {
            Ok(()) => Ok(std::mem::take(&mut self.0.response().trailer)),
            Err(status) => Err(self.with_trailer(status)),
        };
        self.0.stream.finish(self.0.take_head(), outcome);
    }

    /// Ends the call with a failure now, whatever still waits to be sent.
    pub(crate) fn abort(&self, status: Status) {
        let status = self.with_trailer(status);
        self.0.stream.abort(self.0.take_head(), status);
    }

    fn with_trailer(&self, mut status: Status) -> Status {
        let mut trailer = std::mem::take(&mut self.0.response().trailer);
        trailer.merge(status.take_metadata());
        status.with_metadata(trailer)
    }
}

impl Shared {
    fn response(&self) -> MutexGuard<'_, ResponseMetadata> {
        lock(&self.response)
    }

    /// The headers, if they are still to be sent.
    fn take_head(&self) -> Option<ResponseHead> {
        let mut response = self.response();
        if response.header_sent {
            return None;
        }
        response.header_sent = true;
        Some(ResponseHead {
            content_subtype: self.content_subtype.clone(),
            metadata: std::mem::take(&mut response.header),
        })
    }
}

impl MessageSink for Shared {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.stream.poll_send_ready(cx)
    }

    fn send(&self, message: Bytes) -> Result<(), Status> {
        if let Some(head) = self.take_head() {
            self.stream.send_head(head);
        }
        self.stream.send_message(message)
    }

    /// The call ends when its handler returns.
    fn send_last(&self, message: Bytes) -> Result<(), Status> {
        self.send(message)
    }

    /// As above.
    fn close(&self) {}

    fn abandon(&self) {}
}

impl MessageSource for Shared {
    /// The request has its metadata.
    fn poll_head(&self, _: &mut Context<'_>) -> Poll<Result<Metadata, NoHead>> {
        Poll::Ready(Err(NoHead))
    }

    fn poll_data(&self, cx: &mut Context<'_>) -> Poll<Received> {
        self.stream.poll_data(cx).map(|incoming| match incoming {
            Incoming::Data(data) => Received::Data(data),
            Incoming::End(end) => Received::End(end.outcome),
        })
    }

    fn expect_data(&self, len: usize) {
        self.stream.expect_data(len);
    }

    /// The handler is told, and decides how the call ends.
    fn fail(&self, status: Status) -> Status {
        status
    }

    fn abandon(&self) {}
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("method", &self.method())
            .field("peer", &self.peer())
            .field("deadline", &self.deadline())
            .field("done", &self.is_done())
            .finish_non_exhaustive()
    }
}
