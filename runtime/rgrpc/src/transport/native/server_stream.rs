//! A server's stream in the native engine. The call uses it from any task; the connection's task
//! delivers to it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rgrpc_http2::BytesQueue;
use rgrpc_http2::{Reading, StreamKey};

use super::inbound::{Inbound, Pushed, remember};
use super::outbox::Outbox;
use super::outgoing::Outgoing;
use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{
    CallEnd, CallState, CancelReason, ConnectionHandle, Incoming, IncomingHead, MessageMemory,
    ReadDemand, ResetCode, ServerStream, Stream, StreamEnd, WholeContent,
};

/// The state that a connection's streams share.
pub(super) struct ServerShared {
    pub(super) outbox: Outbox<ServerPost>,
    pub(super) peer: Arc<Peer>,
    pub(super) connection: ConnectionHandle,
    pub(super) memory: MessageMemory,
    /// The client's SETTINGS_MAX_HEADER_LIST_SIZE; the task writes it.
    pub(super) max_header_list: AtomicU32,
}

/// A post of a call to its connection's task.
pub(super) struct ServerPost {
    pub(super) key: StreamKey,
    pub(super) what: ServerSend,
}

pub(super) enum ServerSend {
    Head(Metadata),
    /// The stream has messages to send.
    Messages,
    End(CallEnd),
    Reset(ResetCode),
    /// The call's reading has moved.
    Reading,
}

/// A server's stream, which the connection's task and the call share.
pub(super) struct NativeServerStream {
    key: StreamKey,
    shared: Arc<ServerShared>,
    call: CallState,
    /// Created when it is needed. A call that has arrived whole and does not wait ends without it.
    state: OnceLock<Box<Mutex<ServerStreamState>>>,
}

#[derive(Default)]
struct ServerStreamState {
    inbound: Inbound,
    outgoing: Outgoing,
    /// The reason why the stream is closed, if it is.
    closed: Option<Closed>,
    closed_waker: Option<Waker>,
}

/// The reason why a stream is closed.
enum Closed {
    /// The peer or the connection has ended it.
    Broken(Status),
    /// The call has ended, and its handler's halves with it.
    CallEnded,
}

impl Closed {
    fn status(&self) -> Status {
        match self {
            Self::Broken(status) => status.clone(),
            Self::CallEnded => CallState::outlived(),
        }
    }
}

impl NativeServerStream {
    /// Creates the stream of a request that has arrived whole, and was given to the call.
    #[inline]
    pub(super) fn new(key: StreamKey, shared: Arc<ServerShared>, call: CallState) -> Self {
        Self {
            key,
            shared,
            call,
            state: OnceLock::new(),
        }
    }

    /// The request has not ended. Called before the stream is used.
    pub(super) fn expect_more(&self) {
        self.state.get_or_init(Box::default);
    }

    /// Runs the operation on the state, under its lock.
    fn state<R>(&self, operation: impl FnOnce(&mut ServerStreamState) -> R) -> R {
        let state = self
            .state
            .get_or_init(|| Box::new(Mutex::new(self.late_state())));
        operation(&mut lock(state))
    }

    /// Creates the state of a request that has arrived whole.
    fn late_state(&self) -> ServerStreamState {
        ServerStreamState {
            inbound: Inbound::ended(),
            closed: self.call.is_done().then_some(Closed::CallEnded),
            ..ServerStreamState::default()
        }
    }

    /// Returns whether a waiting half outlives the call. The caller has stored its waker before: a
    /// call that ends later wakes it.
    fn is_outlived<T>(&self, polled: &Poll<T>) -> bool {
        polled.is_pending() && self.call.is_done()
    }

    /// Receives DATA, and the end of the request if that came with it. Returns the call's reading,
    /// if the peer needs credit for it.
    pub(super) fn receive(&self, data: Bytes, end_stream: bool) -> Option<Reading> {
        let (waker, reading) = self.state(|state| {
            let Pushed { waker, reading } = state.inbound.push(data, &self.shared.memory);
            (waker.or(state.end_if(end_stream)), reading)
        });
        wake(waker);
        reading
    }

    /// Takes the buffer for the next `len` octets of DATA; see [`Inbound::take_buffer`].
    pub(super) fn take_buffer(&self, len: usize) -> Option<Vec<u8>> {
        self.state(|state| state.inbound.take_buffer(len))
    }

    /// Returns the [buffer](Self::take_buffer) with DATA that was read into it, as
    /// [`receive`](Self::receive).
    pub(super) fn return_buffer(&self, buffer: Vec<u8>, end_stream: bool) -> Option<Reading> {
        let (waker, reading) = self.state(|state| {
            let waker = state.inbound.return_buffer(buffer);
            let reading = state.inbound.discarding();
            (waker.or(state.end_if(end_stream)), reading)
        });
        wake(waker);
        reading
    }

    /// Returns the call's reading, for the core.
    pub(super) fn take_reading(&self) -> Reading {
        self.state(|state| state.inbound.take_reading())
    }

    /// Closes a stream that the peer or the connection has ended.
    pub(super) fn close(&self, status: Status, reason: CancelReason) {
        // The reason comes first: a task that sees the end also sees the reason.
        self.call.cancel(reason);
        let wakers = self.state(|state| {
            let end = StreamEnd::new(Err(status.clone()));
            state.closed.get_or_insert(Closed::Broken(status));
            [
                state.inbound.break_off(end),
                state.outgoing.take_waker(),
                state.closed_waker.take(),
            ]
        });
        wakers.into_iter().for_each(wake);
    }

    /// Returns whether the call has waited for anything on the stream. A task may then still wait.
    #[inline]
    pub(super) fn has_state(&self) -> bool {
        self.state.get().is_some()
    }

    /// Tells halves of the stream that outlive the handler that the call has ended.
    pub(super) fn call_ended(&self) {
        let wakers = self.state(|state| {
            state.closed.get_or_insert(Closed::CallEnded);
            let inbound = std::mem::take(&mut state.inbound).take_waker();
            [
                inbound,
                state.outgoing.take_waker(),
                state.closed_waker.take(),
            ]
        });
        wakers.into_iter().for_each(wake);
    }

    /// Takes the messages to send, and their number.
    pub(super) fn take_messages(&self) -> (BytesQueue, u64) {
        // A server ends its stream with trailers, so the flag is not needed.
        self.state(|state| (state.outgoing.take().0, state.outgoing.take_count()))
    }

    /// Records the number of octets that wait in the core for flow control.
    pub(super) fn set_queued(&self, queued: usize) {
        wake(self.state(|state| state.outgoing.set_queued(queued)));
    }

    /// Posts to the connection's task. If the task is gone, so is the receiver of the post.
    fn post(&self, what: ServerSend) {
        let key = self.key;
        let _ = self.shared.outbox.post(ServerPost { key, what });
    }
}

impl ServerStreamState {
    /// Ends the request if `end_stream` is set. Returns the waker of the task that waits for it.
    fn end_if(&mut self, end_stream: bool) -> Option<Waker> {
        let end = end_stream.then(|| StreamEnd::new(Ok(Metadata::new())))?;
        self.inbound.end(end)
    }
}

impl Stream for NativeServerStream {
    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<Incoming> {
        let (incoming, is_report_due) = self.state(|state| {
            if let Some(closed @ Closed::CallEnded) = &state.closed {
                let end = StreamEnd::new(Err(closed.status()));
                return (Poll::Ready(Incoming::End(end)), false);
            }
            let incoming = state.inbound.poll(cx, read_demand);
            (incoming, state.inbound.is_report_due())
        });
        if is_report_due {
            self.post(ServerSend::Reading);
        }
        if self.is_outlived(&incoming) {
            let end = StreamEnd::new(Err(CallState::outlived()));
            return Poll::Ready(Incoming::End(end));
        }
        incoming
    }

    fn poll_whole(
        &self,
        _: &mut Context<'_>,
        fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeContent>> {
        // The end has arrived, so the stream needs no more window.
        let whole = self.state(|state| state.inbound.take_whole(fits));
        Poll::Ready(whole.map(|(data, trailer)| WholeContent {
            head: IncomingHead::default(),
            data,
            trailer,
        }))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let ready = self.state(|state| match &state.closed {
            Some(closed) => Poll::Ready(Err(closed.status())),
            None => state.outgoing.poll(cx).map(Ok),
        });
        if self.is_outlived(&ready) {
            return Poll::Ready(Err(CallState::outlived()));
        }
        ready
    }

    fn send_message(&self, message: BytesQueue) -> Result<(), Status> {
        let is_first = self.state(|state| match &state.closed {
            Some(closed) => Err(closed.status()),
            None => Ok(state.outgoing.push(message)),
        })?;
        if is_first {
            self.post(ServerSend::Messages);
        }
        Ok(())
    }

    fn reset(&self, code: ResetCode) {
        self.post(ServerSend::Reset(code));
    }
}

impl ServerStream for NativeServerStream {
    fn connection(&self) -> &ConnectionHandle {
        &self.shared.connection
    }

    fn call(&self) -> &CallState {
        &self.call
    }

    fn max_header_list(&self) -> u32 {
        self.shared.max_header_list.load(Ordering::Relaxed)
    }

    fn discard(&self) {
        // Without state the request has arrived whole.
        let Some(state) = self.state.get() else {
            return;
        };
        let is_report_due = {
            let mut state = lock(state);
            if state.closed.is_some() {
                return;
            }
            state.inbound.discard();
            state.inbound.is_report_due()
        };
        if is_report_due {
            self.post(ServerSend::Reading);
        }
    }

    fn send_head(&self, header: Metadata) {
        self.post(ServerSend::Head(header));
    }

    fn end(&self, end: CallEnd) {
        self.post(ServerSend::End(end));
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.state(|state| {
            if state.closed.is_some() {
                return Poll::Ready(());
            }
            remember(&mut state.closed_waker, cx);
            Poll::Pending
        })
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
