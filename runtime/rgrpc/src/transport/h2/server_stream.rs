//! A server's stream over `h2`. The call uses it from any task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Response};
use rgrpc_http2::BytesQueue;

use super::body::Body;
use super::discard::discard_rest;
use super::error::{cancel_reason, stream_end};
use super::fields;
use super::header_list_limit::HeaderListLimit;
use super::piece::{Counted, Piece, Unwritten};
use super::sender::{Sender, closed, closed_reason};
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;
use crate::transport::statistics::CountedStream;
use crate::transport::{
    CallEnd, CallState, CancelReason, ConnectionHandle, Incoming, Last, ReadDemand, ResetCode,
    ResponseHead, ServerTransportStream, Stream, StreamEnd, too_large,
};

/// A server's stream over `h2`'s handles.
pub(super) struct H2ServerStream {
    receive: Mutex<Receiving>,
    send: Mutex<Sending>,
    wakers: Arc<SendWakers>,
    connection: ConnectionHandle,
    /// True if the server has stopped and has ended the connection for that.
    stopped: Arc<AtomicBool>,
    header_list: Arc<HeaderListLimit>,
    call: CallState,
    counted: CountedStream,
}

/// ```text
///  Open ──the call takes nothing more──► Discarding ──drop──► Gone
///    └───────────────────────drop──────────────────────────────▲
/// ```
enum Receiving {
    Open(Body),
    /// A task discards the rest of the request until the call has ended and its response is sent.
    Discarding(Counted),
    Gone,
}

/// ```text
///  Head ──headers──► Messages ──trailers──► Ended, Finished
///    ├──────trailers-only, reset──────────────▲
///    └──headers that are too large──► Refused
/// ```
enum Sending {
    Head(SendResponse<Piece>),
    Messages(Sender),
    /// The call has failed with this status, because the client does not accept its headers.
    Refused(Status),
    Ended,
    /// The end is queued behind messages, which may be unwritten.
    Finished(Arc<Unwritten>),
}

impl H2ServerStream {
    pub(super) fn new(
        body: RecvStream,
        respond: SendResponse<Piece>,
        connection: ConnectionHandle,
        stopped: Arc<AtomicBool>,
        header_list: Arc<HeaderListLimit>,
        call: CallState,
        counted: CountedStream,
    ) -> Self {
        Self {
            receive: Mutex::new(Receiving::Open(Body(body))),
            send: Mutex::new(Sending::Head(respond)),
            wakers: Arc::default(),
            connection,
            stopped,
            header_list,
            call,
            counted,
        }
    }

    /// Closes a stream that the peer or the connection has ended.
    fn closed(&self, reason: CancelReason) {
        self.call.cancel(if self.stopped.load(Ordering::Acquire) {
            CancelReason::ServerStopped
        } else {
            reason
        });
    }
}

impl H2ServerStream {
    fn head<'a>(&'a self, metadata: &'a Metadata) -> ResponseHead<'a> {
        ResponseHead {
            content_subtype: &self.call.head().content_subtype,
            encoding: self.call.encoding_field(),
            metadata,
        }
    }

    /// Returns the counter of the response's unwritten messages; `None` if the request has ended,
    /// so that nothing of it is discarded.
    fn unwritten(&self) -> Option<Arc<Unwritten>> {
        match &*lock(&self.receive) {
            Receiving::Open(body) if !body.0.is_end_stream() => Some(Arc::default()),
            Receiving::Discarding(call) => Some(Arc::clone(call.unwritten())),
            Receiving::Open(_) | Receiving::Gone => None,
        }
    }

    fn finish(&self, header: Option<Metadata>, outcome: Result<Metadata, Status>) {
        self.finish_sending(&mut lock(&self.send), header, outcome);
    }

    /// Ends a call. A failure whose header list is larger than the client accepts keeps its code. A
    /// success whose metadata does not fit becomes a failure, because the metadata would be lost
    /// silently.
    fn finish_sending(
        &self,
        send: &mut Sending,
        header: Option<Metadata>,
        outcome: Result<Metadata, Status>,
    ) {
        if let (Sending::Head(_), Some(header)) = (&*send, header) {
            if header.is_empty() {
                let response = fields::trailers_only(self.head(&header), &outcome);
                return match self.response_excess(&response) {
                    None => {
                        self.counted.complete(outcome.is_ok());
                        send.send_whole(response);
                    }
                    Some(excess) => self.finish_fitted(send, Last::TrailersOnly, outcome, excess),
                };
            }
            let response = fields::response(self.head(&header));
            if let Some(excess) = self.response_excess(&response) {
                return self.finish_fitted(send, Last::Headers, outcome, excess);
            }
            send.send_head(response, self.unwritten());
        }
        let trailers = fields::trailers(&outcome);
        match self.trailers_excess(&trailers) {
            None => {
                self.counted.complete(outcome.is_ok());
                send.send_trailers(trailers);
            }
            Some(excess) => self.finish_fitted(send, Last::Trailers, outcome, excess),
        }
    }

    /// Ends a call whose `last` header list is larger than the client accepts. A client that does
    /// not accept even a header list with a code alone has its stream reset.
    #[cold]
    fn finish_fitted(
        &self,
        send: &mut Sending,
        last: Last,
        outcome: Result<Metadata, Status>,
        (size, limit): (usize, u32),
    ) {
        self.counted.complete(false);
        let status = outcome.map_or_else(|status| status, |_| too_large(last, size, limit));
        tracing::debug!(
            peer = %self.connection.peer().remote, size, limit, code = %status.code(),
            "a response is larger than the header list that the client takes",
        );
        match last {
            Last::Headers | Last::TrailersOnly => {
                let header = Metadata::new();
                let head = self.head(&header);
                let make = |status| fields::trailers_only(head.clone(), &Err(status));
                let response = fields::fitted(status, limit, make, fields::response_size);
                match self.response_excess(&response) {
                    None => send.send_whole(response),
                    Some(_) => send.reset(Reason::INTERNAL_ERROR),
                }
            }
            Last::Trailers => {
                let make = |status| fields::trailers(&Err(status));
                let trailers = fields::fitted(status, limit, make, fields::list_size);
                match self.trailers_excess(&trailers) {
                    None => send.send_trailers(trailers),
                    Some(_) => send.reset(Reason::INTERNAL_ERROR),
                }
            }
        }
    }

    /// Returns the size and the limit of a response whose header list is larger than the client
    /// accepts.
    fn response_excess(&self, response: &Response<()>) -> Option<(usize, u32)> {
        let size = || fields::response_size(response);
        self.header_list.exceeded_by(size)
    }

    /// Returns the size and the limit of trailers that are larger than the client accepts.
    fn trailers_excess(&self, trailers: &HeaderMap) -> Option<(usize, u32)> {
        let size = || fields::list_size(trailers);
        self.header_list.exceeded_by(size)
    }

    fn abort(&self, header: Option<Metadata>, status: Status) {
        if let Sending::Messages(sender) = &mut *lock(&self.send)
            && !sender.has_capacity()
        {
            return sender.reset(Reason::CANCEL);
        }
        self.finish(header, Err(status));
    }

    fn reply(&self, header: Option<Metadata>, message: BytesQueue, trailer: Metadata) {
        let mut send = lock(&self.send);
        let outcome = Ok(trailer);
        let trailers = fields::trailers(&outcome);
        if let Some(header) = header {
            let response = fields::response(self.head(&header));
            let of_head = self.response_excess(&response);
            let of_trailers = || self.trailers_excess(&trailers);
            let excess = of_head.map(|excess| (Last::Headers, excess));
            let excess = excess.or_else(|| Some((Last::Trailers, of_trailers()?)));
            if let Some((last, (size, limit))) = excess {
                // A response that cannot be sent whole is not sent at all.
                let failure = Err(too_large(last, size, limit));
                return self.finish_sending(&mut send, Some(header), failure);
            }
            send.send_head(response, self.unwritten());
        }
        if let Sending::Messages(sender) = &mut *send {
            // An error means that the stream has been reset. The receiving half gets the status.
            let _ = sender.send(message, false);
        }
        match self.trailers_excess(&trailers) {
            None => {
                self.counted.complete(true);
                send.send_trailers(trailers);
            }
            Some(excess) => self.finish_fitted(&mut send, Last::Trailers, outcome, excess),
        }
    }
}

/// The handler is gone, and so are the halves that it may have moved to other tasks.
impl Drop for H2ServerStream {
    fn drop(&mut self) {
        let send = std::mem::replace(&mut *lock(&self.send), Sending::Ended);
        let receive = std::mem::replace(&mut *lock(&self.receive), Receiving::Gone);
        if let (Sending::Finished(unwritten), Receiving::Open(body)) = (send, receive) {
            discard_rest(body, unwritten);
        }
    }
}

impl Sending {
    fn send_head(&mut self, response: Response<()>, unwritten: Option<Arc<Unwritten>>) {
        if let Self::Head(respond) = self {
            // An error means that the stream has been reset. The receiving half gets the status.
            *self = match respond.send_response(response, false) {
                Ok(stream) => Self::Messages(Sender::new(stream, Side::Server, unwritten)),
                Err(_) => Self::Ended,
            };
        }
    }

    /// Sends a response that is one header list.
    fn send_whole(&mut self, response: Response<()>) {
        if let Self::Head(respond) = self {
            // An error means that the stream has been reset.
            let _ = respond.send_response(response, true);
        }
        *self = Self::Ended;
    }

    fn send_trailers(&mut self, trailers: HeaderMap) {
        let unwritten = match self {
            Self::Messages(sender) => sender.finish(trailers),
            Self::Refused(_) => return,
            Self::Head(_) | Self::Ended | Self::Finished(_) => None,
        };
        *self = unwritten.map_or(Self::Ended, Self::Finished);
    }

    fn reset(&mut self, reason: Reason) {
        match self {
            Self::Head(respond) => respond.send_reset(reason),
            Self::Messages(sender) => sender.reset(reason),
            Self::Refused(_) | Self::Ended | Self::Finished(_) => return,
        }
        *self = Self::Ended;
    }
}

impl Stream for H2ServerStream {
    fn poll_data(&self, cx: &mut Context<'_>, _read_demand: ReadDemand) -> Poll<Incoming> {
        let mut receive = lock(&self.receive);
        let Receiving::Open(body) = &mut *receive else {
            let end = StreamEnd::new(Err(CallState::outlived()));
            return Poll::Ready(Incoming::End(end));
        };
        body.poll_data(cx).map(|data| match data {
            Some(Ok(data)) => Incoming::Data(data.into()),
            Some(Err(_)) if self.call.is_done() => {
                Incoming::End(StreamEnd::new(Err(CallState::outlived())))
            }
            Some(Err(error)) => {
                self.closed(cancel_reason(&error));
                Incoming::End(stream_end(&error, Side::Server, None))
            }
            None => Incoming::End(StreamEnd::new(Ok(Metadata::new()))),
        })
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &mut *lock(&self.send) {
            Sending::Head(_) => Poll::Ready(Ok(())),
            Sending::Messages(sender) => {
                let waker = self.wakers.sending(cx);
                let mut cx = Context::from_waker(&waker);
                let ready = sender.poll_ready(&mut cx);
                if let Poll::Ready(Err(_)) = ready
                    && let Poll::Ready(reason) = sender.poll_closed(&mut cx)
                {
                    self.closed(reason);
                }
                ready
            }
            Sending::Refused(status) => Poll::Ready(Err(status.clone())),
            Sending::Ended | Sending::Finished(_) => Poll::Ready(Err(closed())),
        }
    }

    fn send_message(&self, message: BytesQueue) -> Result<(), Status> {
        match &mut *lock(&self.send) {
            Sending::Messages(sender) => sender.send(message, false),
            Sending::Refused(status) => Err(status.clone()),
            Sending::Head(_) | Sending::Ended | Sending::Finished(_) => Err(closed()),
        }
    }

    fn reset(&self, code: ResetCode) {
        lock(&self.send).reset(Reason::from(code.0));
    }
}

impl ServerTransportStream for H2ServerStream {
    fn connection(&self) -> &ConnectionHandle {
        &self.connection
    }

    fn call(&self) -> &CallState {
        &self.call
    }

    fn max_header_list(&self) -> u32 {
        self.header_list.get()
    }

    fn discard(&self) {
        let send = lock(&self.send);
        let unwritten = match &*send {
            Sending::Head(_) => Arc::default(),
            Sending::Messages(sender) => match sender.unwritten() {
                Some(unwritten) => Arc::clone(unwritten),
                // The request has ended.
                None => return,
            },
            // The rest is discarded when the last holder of the stream is dropped, which happens
            // soon.
            Sending::Refused(_) | Sending::Ended | Sending::Finished(_) => return,
        };
        let mut receive = lock(&self.receive);
        let call = Receiving::Discarding(Counted::new(&unwritten));
        match std::mem::replace(&mut *receive, call) {
            Receiving::Open(body) => discard_rest(body, unwritten),
            other => *receive = other,
        }
    }

    fn send_head(&self, header: Metadata) {
        let response = fields::response(self.head(&header));
        let mut send = lock(&self.send);
        let Some((size, limit)) = self.response_excess(&response) else {
            return send.send_head(response, self.unwritten());
        };
        let status = too_large(Last::Headers, size, limit);
        self.finish_sending(&mut send, Some(Metadata::new()), Err(status.clone()));
        // The reason comes first: a task that sees the end also sees the reason.
        self.closed(CancelReason::HeadersTooLarge);
        *send = Sending::Refused(status);
        drop(send);
        self.wakers.wake_by_ref();
    }

    fn end(&self, end: CallEnd) {
        match end {
            CallEnd::Reply {
                header,
                message,
                trailer,
            } => self.reply(header, message, trailer),
            CallEnd::Finish { header, outcome } => self.finish(header, outcome),
            CallEnd::Abort { header, status } => self.abort(header, status),
            CallEnd::Closed => {}
        }
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = self.wakers.closed(cx);
        let mut cx = Context::from_waker(&waker);
        let reason = match &mut *lock(&self.send) {
            Sending::Head(respond) => respond.poll_reset(&mut cx).map(closed_reason),
            Sending::Messages(sender) => sender.poll_closed(&mut cx),
            // The call has its reason already.
            Sending::Refused(_) => return Poll::Ready(()),
            Sending::Ended | Sending::Finished(_) => Poll::Pending,
        };
        reason.map(|reason| self.closed(reason))
    }
}

/// A waker that wakes the sender and the call. `h2` keeps one waker for everything that concerns
/// sending, but a handler may send from one task while the call waits for cancellation on another.
#[derive(Default)]
struct SendWakers {
    sending: Mutex<Option<Waker>>,
    closed: Mutex<Option<Waker>>,
}

impl SendWakers {
    fn sending(self: &Arc<Self>, cx: &Context<'_>) -> Waker {
        remember(&self.sending, cx.waker());
        Waker::from(Arc::clone(self))
    }

    fn closed(self: &Arc<Self>, cx: &Context<'_>) -> Waker {
        remember(&self.closed, cx.waker());
        Waker::from(Arc::clone(self))
    }
}

impl Wake for SendWakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        for waker in [&self.sending, &self.closed] {
            let waker = lock(waker).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

fn remember(slot: &Mutex<Option<Waker>>, waker: &Waker) {
    let mut slot = lock(slot);
    match &mut *slot {
        Some(remembered) => remembered.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}
