use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use h2::server::SendResponse;
use h2::{Reason, RecvStream};

use super::body::Body;
use super::discard::discard_rest;
use super::error::{cancel_reason, stream_end};
use super::fields;
use super::piece::{Counted, Piece, Unwritten};
use super::sender::{Sender, closed, closed_reason};
use crate::codec::CompressorRegistry;
use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::pieces::Pieces;
use crate::status::Status;
use crate::transport::{
    CallEnd, CallState, CancelReason, Incoming, ResetCode, ResponseHead, ServerStream, Stream,
    StreamEnd, Wanted,
};

/// A server's stream over `h2`'s handles.
pub(super) struct H2ServerStream {
    receive: Mutex<Receiving>,
    send: Mutex<Sending>,
    wakers: Arc<SendWakers>,
    peer: Arc<Peer>,
    compressors: Arc<CompressorRegistry>,
    /// True if the server has stopped, which is why the connection ends then.
    stopped: Arc<AtomicBool>,
    call: CallState,
}

/// ```text
///  Open ──the call takes nothing more──► Discarding ──drop──► Gone
///    └───────────────────────drop──────────────────────────────▲
/// ```
enum Receiving {
    Open(Body),
    /// A task discards the rest of the request until the call has ended and the response is written.
    Discarding(Counted),
    Gone,
}

/// ```text
///  Head ──headers──► Messages ──trailers──► Ended, Finished
///    └──────trailers-only, reset──────────────▲
/// ```
enum Sending {
    Head(SendResponse<Piece>),
    Messages(Sender),
    Ended,
    /// The end is queued behind messages, which may be unwritten.
    Finished(Arc<Unwritten>),
}

impl H2ServerStream {
    pub(super) fn new(
        body: RecvStream,
        respond: SendResponse<Piece>,
        peer: Arc<Peer>,
        compressors: Arc<CompressorRegistry>,
        stopped: Arc<AtomicBool>,
        call: CallState,
    ) -> Self {
        Self {
            receive: Mutex::new(Receiving::Open(Body(body))),
            send: Mutex::new(Sending::Head(respond)),
            wakers: Arc::default(),
            peer,
            compressors,
            stopped,
            call,
        }
    }

    /// The peer or the connection has ended the stream.
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

    /// Returns the counter of the response's messages; `None` if the request has ended, so that nothing
    /// of it is to be discarded.
    fn unwritten(&self) -> Option<Arc<Unwritten>> {
        match &*lock(&self.receive) {
            Receiving::Open(body) if !body.0.is_end_stream() => Some(Arc::default()),
            Receiving::Discarding(call) => Some(Arc::clone(call.unwritten())),
            Receiving::Open(_) | Receiving::Gone => None,
        }
    }

    fn finish(&self, header: Option<Metadata>, outcome: Result<Metadata, Status>) {
        let mut send = lock(&self.send);
        match (&mut *send, header) {
            (Sending::Head(respond), Some(header)) if header.is_empty() => {
                let response = fields::trailers_only(self.head(&header), &outcome);
                // An error says that the stream has been reset; whoever polls it is told.
                let _ = respond.send_response(response, true);
                *send = Sending::Ended;
            }
            (send, header) => {
                if let Some(header) = header {
                    send.send_head(self.head(&header), self.unwritten());
                }
                send.send_trailers(&outcome);
            }
        }
    }

    fn abort(&self, header: Option<Metadata>, status: Status) {
        if let Sending::Messages(sender) = &mut *lock(&self.send)
            && !sender.has_capacity()
        {
            return sender.reset(Reason::CANCEL);
        }
        self.finish(header, Err(status));
    }

    fn reply(&self, header: Option<Metadata>, message: Pieces, trailer: Metadata) {
        let mut send = lock(&self.send);
        if let Some(header) = header {
            send.send_head(self.head(&header), self.unwritten());
        }
        if let Sending::Messages(sender) = &mut *send {
            // An error says that the stream has been reset; whoever polls it is told.
            let _ = sender.send(message, false);
        }
        send.send_trailers(&Ok(trailer));
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
    fn send_head(&mut self, head: ResponseHead<'_>, unwritten: Option<Arc<Unwritten>>) {
        if let Self::Head(respond) = self {
            // An error says that the stream has been reset; whoever polls it is told.
            *self = match respond.send_response(fields::response(head), false) {
                Ok(stream) => Self::Messages(Sender::new(stream, unwritten)),
                Err(_) => Self::Ended,
            };
        }
    }

    fn send_trailers(&mut self, outcome: &Result<Metadata, Status>) {
        let unwritten = match self {
            Self::Messages(sender) => sender.finish(fields::trailers(outcome)),
            _ => None,
        };
        *self = unwritten.map_or(Self::Ended, Self::Finished);
    }
}

impl Stream for H2ServerStream {
    fn poll_data(&self, cx: &mut Context<'_>, _wanted: Wanted) -> Poll<Incoming> {
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
                Incoming::End(stream_end(&error, "server", None))
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
            Sending::Ended | Sending::Finished(_) => Poll::Ready(Err(closed())),
        }
    }

    fn send_message(&self, message: Pieces) -> Result<(), Status> {
        match &mut *lock(&self.send) {
            Sending::Messages(sender) => sender.send(message, false),
            Sending::Head(_) | Sending::Ended | Sending::Finished(_) => Err(closed()),
        }
    }

    fn reset(&self, code: ResetCode) {
        let mut send = lock(&self.send);
        match &mut *send {
            Sending::Head(respond) => respond.send_reset(Reason::from(code.0)),
            Sending::Messages(sender) => sender.reset(Reason::from(code.0)),
            Sending::Ended | Sending::Finished(_) => return,
        }
        *send = Sending::Ended;
    }
}

impl ServerStream for H2ServerStream {
    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn compressors(&self) -> &CompressorRegistry {
        &self.compressors
    }

    fn call(&self) -> &CallState {
        &self.call
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
            // It is discarded when the last holder of the stream is gone, which is about to be.
            Sending::Ended | Sending::Finished(_) => return,
        };
        let mut receive = lock(&self.receive);
        let call = Receiving::Discarding(Counted::new(&unwritten));
        match std::mem::replace(&mut *receive, call) {
            Receiving::Open(body) => discard_rest(body, unwritten),
            other => *receive = other,
        }
    }

    fn send_head(&self, header: Metadata) {
        let unwritten = self.unwritten();
        lock(&self.send).send_head(self.head(&header), unwritten);
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
            Sending::Ended | Sending::Finished(_) => Poll::Pending,
        };
        reason.map(|reason| self.closed(reason))
    }
}

/// `h2` remembers one waker for everything that concerns sending, but a handler may send from one
/// task while the call watches for cancellation from another: this waker wakes both.
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
