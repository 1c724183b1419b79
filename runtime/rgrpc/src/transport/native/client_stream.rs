//! A client's stream in the native engine. The call uses it from any task; the connection's task
//! delivers to it.

use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rgrpc_http2::BytesQueue;
use rgrpc_http2::{Reading, StreamKey};

use super::fields::ReadResponse;
use super::inbound::{Inbound, Pushed};
use super::outbox::Outbox;
use super::outgoing::Outgoing;
use super::request_head::RequestFields;
use crate::lock::lock;
use crate::status::Status;
use crate::transport::{
    ClientStream, HeadersBlock, Incoming, IncomingHead, MessageMemory, NoHead, ReadDemand,
    ResetCode, Stream, StreamEnd, Trailers, WholeContent, ended_well,
};

/// The number of octets of a body that is not gRPC in the status, as in grpc-go.
const MAX_NOT_GRPC_BODY: usize = 1024;

/// A post of a call to its connection's task.
pub(super) struct ClientPost {
    pub(super) stream: Arc<NativeClientStream>,
    pub(super) what: ClientSend,
}

pub(super) enum ClientSend {
    /// Opens the stream. A message that comes with it is the only one.
    Open(RequestFields, Option<BytesQueue>),
    /// The stream has messages to send, or the end of sending.
    Messages,
    Reset(ResetCode),
    /// The call's reading has moved.
    Reading,
}

/// A client's stream, which the connection's task and the call share.
pub(super) struct NativeClientStream {
    /// The reference that its posts carry.
    this: Weak<Self>,
    outbox: Arc<Outbox<ClientPost>>,
    state: Mutex<ClientStreamState>,
}

struct ClientStreamState {
    /// The core's key of the stream, once it was opened.
    key: Option<StreamKey>,
    /// The core queues the stream until the server allows one more.
    is_held_back: bool,
    head: Head,
    inbound: Inbound,
    outgoing: Outgoing,
    sending: Sending,
}

/// The response's headers.
///
/// ```text
///  Awaited ──gRPC──► Here ──taken──► Done
///     ├──other headers──► NotGrpc ────▲
///     └──the stream's end─────────────┘
/// ```
enum Head {
    Awaited,
    Here(IncomingHead),
    /// A response that is not gRPC: the status, and the beginning of the body.
    NotGrpc(Status, Vec<u8>),
    Done,
}

enum Sending {
    Open,
    HalfClosed,
    /// The stream has ended. The status is `Some` if sending was open before: a call that sends
    /// nothing more does not need it.
    Ended(Option<Status>),
}

impl Sending {
    /// Ends sending with the stream's outcome. Returns the state before.
    fn end(&mut self, outcome: Result<(), &Status>) -> Self {
        let status = match self {
            Self::Open => outcome.err().cloned(),
            Self::HalfClosed => None,
            Self::Ended(status) => status.take(),
        };
        std::mem::replace(self, Self::Ended(status))
    }

    /// Returns the status of a message that is sent when sending has ended.
    fn closed(&self) -> Option<Status> {
        match self {
            Self::Open => None,
            Self::Ended(Some(status)) => Some(status.clone()),
            Self::HalfClosed | Self::Ended(None) => Some(ended_well()),
        }
    }
}

/// The action of the connection's task after a stream has received something.
pub(super) enum After {
    Nothing,
    /// Grants the server credit for the call's reading.
    Read(Reading),
    /// Resets the stream, if it is open.
    Reset(ResetCode),
}

impl NativeClientStream {
    #[inline]
    pub(super) fn new(outbox: Arc<Outbox<ClientPost>>, half_closed: bool) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            outbox,
            state: Mutex::new(ClientStreamState {
                key: None,
                is_held_back: false,
                head: Head::Awaited,
                inbound: Inbound::default(),
                outgoing: Outgoing::default(),
                sending: if half_closed {
                    Sending::HalfClosed
                } else {
                    Sending::Open
                },
            }),
        })
    }

    pub(super) fn key(&self) -> Option<StreamKey> {
        lock(&self.state).key
    }

    /// Records the core's key of the stream, and whether the core queues it until the server allows
    /// one more.
    pub(super) fn set_key(&self, key: StreamKey, is_held_back: bool) {
        let mut state = lock(&self.state);
        state.key = Some(key);
        state.is_held_back = is_held_back;
    }

    /// Records that the stream was opened on the wire.
    pub(super) fn begun(&self) {
        lock(&self.state).is_held_back = false;
    }

    /// Receives a header block: headers or trailers.
    #[inline]
    pub(super) fn receive_headers(&self, block: &ReadResponse, end_stream: bool) -> After {
        let mut state = lock(&self.state);
        let (waker, after) = state.headers(block, end_stream);
        drop(state);
        wake(waker);
        after
    }

    /// Receives DATA, and the end of the stream if that came with it.
    #[inline]
    pub(super) fn receive(&self, data: Bytes, end_stream: bool, memory: &MessageMemory) -> After {
        let mut state = lock(&self.state);
        let (waker, after) = state.data(data, end_stream, memory);
        drop(state);
        wake(waker);
        after
    }

    /// Takes the buffer for the next `len` octets of DATA; see [`Inbound::take_buffer`].
    pub(super) fn take_buffer(&self, len: usize) -> Option<Vec<u8>> {
        lock(&self.state).inbound.take_buffer(len)
    }

    /// Returns the [buffer](Self::take_buffer) with DATA that was read into it, as
    /// [`receive`](Self::receive).
    pub(super) fn return_buffer(&self, buffer: Vec<u8>, end_stream: bool) -> After {
        let mut state = lock(&self.state);
        let waker = state.inbound.return_buffer(buffer);
        let (ended, after) = if end_stream {
            state.ended_with_data()
        } else {
            (None, After::Nothing)
        };
        drop(state);
        wake(waker.or(ended));
        after
    }

    /// Ends a stream without trailers: it was reset, refused, or lost with its connection.
    pub(super) fn break_off(&self, end: StreamEnd) {
        let mut state = lock(&self.state);
        if !state.inbound.has_ended() {
            // The head of a response that has ended can still be read.
            state.head = Head::Done;
        }
        state.sending.end(end.outcome.as_ref().map(|_| ()));
        let wakers = [state.inbound.break_off(end), state.outgoing.take_waker()];
        drop(state);
        wakers.into_iter().for_each(wake);
    }

    /// Returns the call's reading, for the core.
    pub(super) fn take_reading(&self) -> Reading {
        lock(&self.state).inbound.take_reading()
    }

    /// Takes the messages to send, whether the end follows them, and their number.
    pub(super) fn take_messages(&self) -> (BytesQueue, bool, u64) {
        let outgoing = &mut lock(&self.state).outgoing;
        let (messages, ends) = outgoing.take();
        (messages, ends, outgoing.take_count())
    }

    /// Records the number of octets that wait in the core for flow control.
    pub(super) fn set_queued(&self, queued: usize) {
        let waker = lock(&self.state).outgoing.set_queued(queued);
        wake(waker);
    }

    fn post(&self, what: ClientSend) {
        // The caller holds a reference, and a connection that is gone has told its streams.
        if let Some(stream) = self.this.upgrade() {
            let _ = self.outbox.post(ClientPost { stream, what });
        }
    }
}

impl ClientStreamState {
    fn headers(&mut self, block: &ReadResponse, end_stream: bool) -> (Option<Waker>, After) {
        match self.head {
            Head::Awaited => {}
            Head::Here(_) | Head::Done if end_stream => {
                return self.trailers(block.trailers());
            }
            // Trailers of a response that is not gRPC, or headers where trailers belong, which the
            // core does not let through.
            Head::NotGrpc(..) => return self.end_foreign(),
            _ => return self.ended_with_data(),
        }
        match block.headers(end_stream) {
            HeadersBlock::Head(head) => {
                self.head = Head::Here(head);
                (self.inbound.take_waker(), After::Nothing)
            }
            HeadersBlock::TrailersOnly(trailers) => {
                self.head = Head::Done;
                self.trailers(trailers)
            }
            HeadersBlock::NotGrpc(status) => {
                self.head = Head::NotGrpc(status, Vec::new());
                if end_stream {
                    self.end_foreign()
                } else {
                    (None, After::Nothing)
                }
            }
            HeadersBlock::Malformed(status) => self.malformed(status),
        }
    }

    fn data(
        &mut self,
        data: Bytes,
        end_stream: bool,
        memory: &MessageMemory,
    ) -> (Option<Waker>, After) {
        if let Head::NotGrpc(_, body) = &mut self.head {
            let free = MAX_NOT_GRPC_BODY - body.len();
            body.extend_from_slice(&data[..data.len().min(free)]);
            return if end_stream || body.len() == MAX_NOT_GRPC_BODY {
                self.end_foreign()
            } else {
                (None, After::Nothing)
            };
        }
        let Pushed { waker, reading } = self.inbound.push(data, memory);
        if end_stream {
            let (ended, after) = self.ended_with_data();
            return (waker.or(ended), after);
        }
        (waker, reading.map_or(After::Nothing, After::Read))
    }

    /// Ends a stream whose DATA ended without trailers.
    fn ended_with_data(&mut self) -> (Option<Waker>, After) {
        self.malformed(Status::internal(
            "the server closed the stream without sending trailers",
        ))
    }

    fn trailers(&mut self, trailers: Trailers) -> (Option<Waker>, After) {
        let sending = self.sending.end(trailers.outcome.as_ref().map(|_| ()));
        let waker = self.inbound.end(StreamEnd::new(trailers.outcome));
        let sender = self.outgoing.take_waker();
        let after = match sending {
            // The server has ended the call. If it has not seen the end of sending, it is told that
            // no message follows.
            Sending::Open if trailers.malformed => After::Reset(ResetCode::PROTOCOL_ERROR),
            Sending::Open => After::Reset(ResetCode::NO_ERROR),
            Sending::HalfClosed | Sending::Ended(_) => After::Nothing,
        };
        wake(sender);
        (waker, after)
    }

    fn end_foreign(&mut self) -> (Option<Waker>, After) {
        let Head::NotGrpc(status, body) = std::mem::replace(&mut self.head, Head::Done) else {
            return (None, After::Nothing);
        };
        self.malformed(if body.is_empty() {
            status
        } else {
            let data = String::from_utf8_lossy(&body);
            let text = format!("{}; data: {data:?}", status.message());
            Status::new(status.code(), text)
        })
    }

    fn malformed(&mut self, status: Status) -> (Option<Waker>, After) {
        if !matches!(self.head, Head::Here(_)) {
            self.head = Head::Done;
        }
        self.sending.end(Err(&status));
        wake(self.outgoing.take_waker());
        let waker = self.inbound.end(StreamEnd::new(Err(status)));
        (waker, After::Reset(ResetCode::PROTOCOL_ERROR))
    }
}

impl Stream for NativeClientStream {
    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<Incoming> {
        let mut state = lock(&self.state);
        let incoming = state.inbound.poll(cx, read_demand);
        let is_report_due = state.inbound.is_report_due();
        drop(state);
        if is_report_due {
            self.post(ClientSend::Reading);
        }
        incoming
    }

    fn poll_whole(
        &self,
        cx: &mut Context<'_>,
        fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeContent>> {
        let mut state = lock(&self.state);
        match &state.head {
            Head::Awaited => {
                state.inbound.wait(cx);
                return Poll::Pending;
            }
            Head::Here(_) => {}
            Head::NotGrpc(..) | Head::Done => return Poll::Ready(None),
        }
        let Some((data, trailer)) = state.inbound.take_whole(fits) else {
            return Poll::Ready(None);
        };
        let head = match std::mem::replace(&mut state.head, Head::Done) {
            Head::Here(head) => head,
            _ => IncomingHead::default(),
        };
        Poll::Ready(Some(WholeContent {
            head,
            data,
            trailer,
        }))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let mut state = lock(&self.state);
        match state.sending.closed() {
            None => state.outgoing.poll(cx).map(Ok),
            Some(status) => Poll::Ready(Err(status)),
        }
    }

    fn send_message(&self, message: BytesQueue) -> Result<(), Status> {
        let mut state = lock(&self.state);
        if let Some(status) = state.sending.closed() {
            return Err(status);
        }
        let is_first = state.outgoing.push(message);
        drop(state);
        if is_first {
            self.post(ClientSend::Messages);
        }
        Ok(())
    }

    fn reset(&self, code: ResetCode) {
        let mut state = lock(&self.state);
        if matches!(state.sending, Sending::Ended(_)) && state.inbound.has_ended() {
            return;
        }
        // The call knows the reason of its own reset.
        let reset = Status::cancelled("the call was ended by the client");
        state.sending.end(Err(&reset));
        drop(state);
        self.post(ClientSend::Reset(code));
    }
}

impl ClientStream for NativeClientStream {
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut state.head, Head::Done) {
            Head::Here(head) => Poll::Ready(Ok(head)),
            Head::Done => Poll::Ready(Err(NoHead)),
            awaited => {
                state.head = awaited;
                state.inbound.wait(cx);
                Poll::Pending
            }
        }
    }

    fn waits_for_its_turn(&self) -> bool {
        lock(&self.state).is_held_back
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        let mut state = lock(&self.state);
        if let Some(status) = state.sending.closed() {
            return Err(status);
        }
        state.sending = Sending::HalfClosed;
        let is_first = state.outgoing.push_last(message);
        drop(state);
        if is_first {
            self.post(ClientSend::Messages);
        }
        Ok(())
    }

    fn half_close(&self) {
        // An error means that nothing more can be sent, or that the stream has ended. The receiving
        // half gets the status.
        let _ = self.send_last(BytesQueue::default());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
