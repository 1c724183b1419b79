//! A client's stream in the native engine. The call uses it from any task; the connection's task
//! delivers to it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use rgrpc_http2::BytesQueue;
use rgrpc_http2::{Reading, StreamKey};

use super::request_head::RequestFields;
use crate::lock::lock;
use crate::status::Status;
use crate::transport::native::fields::ReadResponse;
use crate::transport::native::inbound::{Inbound, Pushed};
use crate::transport::native::outbox::Outbox;
use crate::transport::native::outgoing::Outgoing;
use crate::transport::native::wakers::{Wakers, wake};
use crate::transport::{
    ClientTransportStream, HeadersBlock, Incoming, IncomingHead, LastReceived, MessageMemory,
    NoHead, NotGrpc, ReadDemand, ResetCode, ResponseError, Stream, StreamEnd, StreamQuota,
    Trailers, WholeContent, ended_well,
};

/// The state that a connection's task shares with its transport and its streams.
pub(super) struct ClientShared {
    pub(super) outbox: Outbox<ClientPost>,
    /// True once no new stream is accepted.
    pub(super) gone: AtomicBool,
    pub(super) quota: StreamQuota,
    pub(super) last_received: LastReceived,
}

impl ClientShared {
    pub(super) fn new() -> Self {
        Self {
            outbox: Outbox::new(),
            gone: AtomicBool::new(false),
            quota: StreamQuota::new(),
            last_received: LastReceived::new(),
        }
    }
}

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
    shared: Arc<ClientShared>,
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
    NotGrpc(NotGrpc),
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
    /// Counts a response that is a failure, and resets the stream, if it is open.
    Failed(Option<ResetCode>),
}

impl NativeClientStream {
    #[inline]
    pub(super) fn new(shared: Arc<ClientShared>, half_closed: bool) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            shared,
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
        let (wakers, after) = state.headers(block, end_stream);
        drop(state);
        wakers.wake();
        after
    }

    /// Receives DATA, and the end of the stream if that came with it.
    #[inline]
    pub(super) fn receive(&self, data: Bytes, end_stream: bool, memory: &MessageMemory) -> After {
        let mut state = lock(&self.state);
        let (wakers, after) = state.data(data, end_stream, memory);
        drop(state);
        wakers.wake();
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
        let (mut wakers, after) = if end_stream {
            state.ended_with_data()
        } else {
            (Wakers::default(), After::Nothing)
        };
        wakers.receiver = waker.or(wakers.receiver);
        drop(state);
        wakers.wake();
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
        let wakers = Wakers {
            receiver: state.inbound.break_off(end),
            sender: state.outgoing.take_waker(),
        };
        drop(state);
        wakers.wake();
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
            let _ = self.shared.outbox.post(ClientPost { stream, what });
        }
    }
}

impl ClientStreamState {
    fn headers(&mut self, block: &ReadResponse, end_stream: bool) -> (Wakers, After) {
        match self.head {
            Head::Awaited => {}
            Head::Here(_) | Head::Done if end_stream => {
                return self.trailers(block.trailers());
            }
            // Trailers of a response that is not gRPC, or headers where trailers belong, which the
            // core does not let through.
            Head::NotGrpc(_) => return self.end_foreign(),
            _ => return self.ended_with_data(),
        }
        match block.headers(end_stream) {
            HeadersBlock::Head(head) => {
                self.head = Head::Here(head);
                (self.inbound.take_waker().into(), After::Nothing)
            }
            HeadersBlock::TrailersOnly(trailers) => {
                self.head = Head::Done;
                self.trailers(trailers)
            }
            HeadersBlock::NotGrpc(response) => {
                self.head = Head::NotGrpc(response);
                if end_stream {
                    self.end_foreign()
                } else {
                    (Wakers::default(), After::Nothing)
                }
            }
            HeadersBlock::Malformed(error) => self.malformed(&error),
        }
    }

    fn data(&mut self, data: Bytes, end_stream: bool, memory: &MessageMemory) -> (Wakers, After) {
        if let Head::NotGrpc(response) = &mut self.head {
            return if response.push(&data) || end_stream {
                self.end_foreign()
            } else {
                (Wakers::default(), After::Nothing)
            };
        }
        let Pushed { waker, reading } = self.inbound.push(data, memory);
        if end_stream {
            let (mut wakers, after) = self.ended_with_data();
            wakers.receiver = waker.or(wakers.receiver);
            return (wakers, after);
        }
        let after = reading.map_or(After::Nothing, After::Read);
        (waker.into(), after)
    }

    /// Ends a stream whose DATA ended without trailers.
    fn ended_with_data(&mut self) -> (Wakers, After) {
        self.malformed(&ResponseError::NoTrailers)
    }

    fn trailers(&mut self, trailers: Trailers) -> (Wakers, After) {
        let is_ok = trailers.outcome.is_ok();
        let sending = self.sending.end(trailers.outcome.as_ref().map(|_| ()));
        let wakers = Wakers {
            receiver: self.inbound.end(StreamEnd::new(trailers.outcome)),
            sender: self.outgoing.take_waker(),
        };
        let reset = match sending {
            // The server has ended the call. If it has not seen the end of sending, it is told that
            // no message follows.
            Sending::Open if trailers.malformed => Some(ResetCode::PROTOCOL_ERROR),
            Sending::Open => Some(ResetCode::NO_ERROR),
            Sending::HalfClosed | Sending::Ended(_) => None,
        };
        let after = match reset {
            _ if !is_ok => After::Failed(reset),
            Some(code) => After::Reset(code),
            None => After::Nothing,
        };
        (wakers, after)
    }

    fn end_foreign(&mut self) -> (Wakers, After) {
        match std::mem::replace(&mut self.head, Head::Done) {
            Head::NotGrpc(response) => self.malformed(&ResponseError::NotGrpc(response)),
            _ => (Wakers::default(), After::Nothing),
        }
    }

    fn malformed(&mut self, error: &ResponseError) -> (Wakers, After) {
        let status = error.to_status();
        if !matches!(self.head, Head::Here(_)) {
            self.head = Head::Done;
        }
        self.sending.end(Err(&status));
        let wakers = Wakers {
            receiver: self.inbound.end(StreamEnd::new(Err(status))),
            sender: self.outgoing.take_waker(),
        };
        (wakers, After::Failed(Some(ResetCode::PROTOCOL_ERROR)))
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
            Head::NotGrpc(_) | Head::Done => return Poll::Ready(None),
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

impl ClientTransportStream for NativeClientStream {
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

#[cfg(test)]
mod tests {
    use rgrpc_http2::FieldRef;

    use super::*;
    use crate::transport::checked_waker::{CheckedWakes, is_locked};
    use crate::transport::native::fields::read_response;
    use crate::transport::native::outgoing::SEND_QUOTA;

    const ANY: ReadDemand = ReadDemand::Message { max: usize::MAX };

    fn block(fields: &[(&str, &str)]) -> Arc<ReadResponse> {
        let fields = fields
            .iter()
            .map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()).to_field());
        read_response(&fields.collect::<Vec<_>>(), None)
    }

    fn headers() -> Arc<ReadResponse> {
        block(&[(":status", "200"), ("content-type", "application/grpc")])
    }

    fn trailers() -> Arc<ReadResponse> {
        block(&[("grpc-status", "0")])
    }

    /// The beginning of a message of 100,000 bytes.
    fn large() -> Bytes {
        let mut message = vec![0, 0, 1, 0x86, 0xa0];
        message.resize(16_384, 0);
        message.into()
    }

    #[test]
    fn no_task_is_woken_under_the_streams_lock() {
        type Event = fn(&NativeClientStream);
        // Each with whether the head has come before, and the number of tasks that it wakes.
        let cases: [(&str, bool, Event, usize); 8] = [
            (
                "trailers-only",
                false,
                |stream| {
                    let block = block(&[
                        (":status", "200"),
                        ("content-type", "application/grpc"),
                        ("grpc-status", "5"),
                    ]);
                    stream.receive_headers(&block, true);
                },
                2,
            ),
            (
                "headers that are not gRPC",
                false,
                |stream| {
                    stream.receive_headers(&block(&[(":status", "503")]), true);
                },
                2,
            ),
            (
                "headers",
                false,
                |stream| {
                    stream.receive_headers(&headers(), false);
                },
                1,
            ),
            (
                "trailers",
                true,
                |stream| {
                    stream.receive_headers(&trailers(), true);
                },
                2,
            ),
            (
                "DATA that ends the stream",
                true,
                |stream| {
                    stream.receive(Bytes::from_static(b"a"), true, &MessageMemory::default());
                },
                2,
            ),
            (
                "DATA that is read directly and ends the stream",
                true,
                |stream| {
                    stream.receive(large(), false, &MessageMemory::default());
                    let buffer = stream.take_buffer(100).expect("a large message");
                    stream.return_buffer(buffer, true);
                },
                2,
            ),
            (
                "a reset",
                true,
                |stream| {
                    stream.break_off(StreamEnd::new(Err(Status::internal("reset"))));
                },
                2,
            ),
            (
                "a quota that is free again",
                true,
                |stream| {
                    let _ = stream.take_messages();
                    stream.set_queued(0);
                },
                1,
            ),
        ];
        for (event, has_head, run, woken) in cases {
            let stream = NativeClientStream::new(Arc::new(ClientShared::new()), false);
            let wakes = CheckedWakes::new({
                let stream = Arc::clone(&stream);
                move || is_locked(&stream.state)
            });
            let waker = wakes.waker();
            let cx = &mut Context::from_waker(&waker);
            if has_head {
                stream.receive_headers(&headers(), false);
                assert!(stream.poll_head(cx).is_ready(), "{event}");
                assert!(stream.poll_data(cx, ANY).is_pending(), "{event}");
            } else {
                assert!(stream.poll_head(cx).is_pending(), "{event}");
            }
            let message = Bytes::from(vec![0; SEND_QUOTA]);
            stream.send_message(message.into()).expect("open");
            assert!(stream.poll_send_ready(cx).is_pending(), "{event}");
            run(&stream);
            assert_eq!(wakes.take(), (woken, 0), "{event}");
        }
    }
}
