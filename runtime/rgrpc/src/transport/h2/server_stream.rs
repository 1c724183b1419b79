use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};

use super::body::Body;
use super::error::{cancel_reason, stream_end};
use super::fields;
use super::sender::{Sender, closed, closed_reason};
use crate::codec::CompressorRegistry;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{
    CallEnd, CallState, CancelReason, ConnectionHandle, Incoming, ResetCode, ResponseHead,
    ServerStream, Stream, StreamEnd, Wanted,
};
use rgrpc_http2::BytesQueue;

/// A server's stream over `h2`'s handles.
pub(super) struct H2ServerStream {
    receive: Mutex<Body>,
    send: Mutex<Sending>,
    wakers: Arc<SendWakers>,
    connection: ConnectionHandle,
    compressors: Arc<CompressorRegistry>,
    /// True if the server has stopped, which is why the connection ends then.
    stopped: Arc<AtomicBool>,
    call: CallState,
}

/// ```text
///  Head ──headers──► Messages ──trailers──► Ended
///    └──────trailers-only, reset──────────────▲
/// ```
enum Sending {
    Head(SendResponse<Bytes>),
    Messages(Sender),
    Ended,
}

impl H2ServerStream {
    pub(super) fn new(
        body: RecvStream,
        respond: SendResponse<Bytes>,
        connection: ConnectionHandle,
        compressors: Arc<CompressorRegistry>,
        stopped: Arc<AtomicBool>,
        call: CallState,
    ) -> Self {
        Self {
            receive: Mutex::new(Body(body)),
            send: Mutex::new(Sending::Head(respond)),
            wakers: Arc::default(),
            connection,
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
                    send.send_head(self.head(&header));
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

    fn reply(&self, header: Option<Metadata>, message: BytesQueue, trailer: Metadata) {
        let mut send = lock(&self.send);
        if let Some(header) = header {
            send.send_head(self.head(&header));
        }
        if let Sending::Messages(sender) = &mut *send {
            // An error says that the stream has been reset; whoever polls it is told.
            let _ = sender.send(message, false);
        }
        send.send_trailers(&Ok(trailer));
    }
}

impl Sending {
    fn send_head(&mut self, head: ResponseHead<'_>) {
        if let Self::Head(respond) = self {
            // An error says that the stream has been reset; whoever polls it is told.
            *self = match respond.send_response(fields::response(head), false) {
                Ok(stream) => Self::Messages(Sender(stream)),
                Err(_) => Self::Ended,
            };
        }
    }

    fn send_trailers(&mut self, outcome: &Result<Metadata, Status>) {
        if let Self::Messages(sender) = self {
            // As above.
            let _ = sender.0.send_trailers(fields::trailers(outcome));
        }
        *self = Self::Ended;
    }
}

impl Stream for H2ServerStream {
    fn poll_data(&self, cx: &mut Context<'_>, _wanted: Wanted) -> Poll<Incoming> {
        lock(&self.receive).poll_data(cx).map(|data| match data {
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
            Sending::Ended => Poll::Ready(Err(closed())),
        }
    }

    fn send_message(&self, message: BytesQueue) -> Result<(), Status> {
        match &mut *lock(&self.send) {
            Sending::Messages(sender) => sender.send(message, false),
            Sending::Head(_) | Sending::Ended => Err(closed()),
        }
    }

    fn reset(&self, code: ResetCode) {
        let mut send = lock(&self.send);
        match &mut *send {
            Sending::Head(respond) => respond.send_reset(Reason::from(code.0)),
            Sending::Messages(sender) => sender.reset(Reason::from(code.0)),
            Sending::Ended => {}
        }
        *send = Sending::Ended;
    }
}

impl ServerStream for H2ServerStream {
    fn connection(&self) -> &ConnectionHandle {
        &self.connection
    }

    fn compressors(&self) -> &CompressorRegistry {
        &self.compressors
    }

    fn call(&self) -> &CallState {
        &self.call
    }

    fn send_head(&self, header: Metadata) {
        lock(&self.send).send_head(self.head(&header));
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
            Sending::Ended => Poll::Pending,
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
