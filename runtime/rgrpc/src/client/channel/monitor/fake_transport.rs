//! A connection on which a test answers.
//!
//! Used by the tests of monitors alone, on their tasks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use prost::Message;
use rgrpc_http2::BytesQueue;
use tokio::time::Instant;

use crate::codec::{MessageLimit, PREFIX_LEN, ProtoCodec, frame};
use crate::io::{Address, Peer};
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;
use crate::transport::{
    ClientTransport, ClientTransportStream, ConnectionSnapshot, Incoming, IncomingHead, NoHead,
    OpenError, OpenRequest, ReadDemand, ResetCode, Stream, StreamEnd,
};

/// The connection. It remembers the streams that were opened.
pub(super) struct FakeTransport {
    peer: Arc<Peer>,
    streams: Mutex<Vec<Arc<FakeStream>>>,
    is_gone: AtomicBool,
}

/// A stream.
pub(super) struct FakeStream {
    pub(super) path: String,
    pub(super) opened: Instant,
    request: BytesQueue,
    incoming: Mutex<(VecDeque<Incoming>, Option<Waker>)>,
    was_reset: AtomicBool,
}

impl Default for FakeTransport {
    fn default() -> Self {
        Self {
            peer: Arc::new(Peer::new(Address::Pipe, Address::Pipe)),
            streams: Mutex::default(),
            is_gone: AtomicBool::new(false),
        }
    }
}

impl FakeTransport {
    pub(super) fn streams(&self) -> Vec<Arc<FakeStream>> {
        lock(&self.streams).clone()
    }

    /// The only stream that is open.
    pub(super) fn open_stream(&self) -> Arc<FakeStream> {
        let mut open = self.streams();
        open.retain(|stream| !stream.was_reset());
        assert_eq!(open.len(), 1, "{:?}", paths(&open));
        open.remove(0)
    }

    /// It takes no more streams.
    pub(super) fn go(&self) {
        self.is_gone.store(true, Ordering::Release);
    }
}

fn paths(streams: &[Arc<FakeStream>]) -> Vec<&str> {
    streams.iter().map(|stream| &*stream.path).collect()
}

impl FakeStream {
    /// The message that it was opened with.
    pub(super) fn request<M: Message + Default>(&self) -> M {
        M::decode(&self.request.clone().into_bytes()[PREFIX_LEN..]).expect("a valid message")
    }

    pub(super) fn answer<M: Message + Default>(&self, message: M) {
        let framed =
            frame::<ProtoCodec, M>(&message, MessageLimit::largest(Side::Server)).expect("it fits");
        self.push(Incoming::Data(framed));
    }

    pub(super) fn end(&self, outcome: Result<(), Status>) {
        let outcome = outcome.map(|()| Metadata::new());
        self.push(Incoming::End(StreamEnd::new(outcome)));
    }

    /// Returns whether this side has cancelled it.
    pub(super) fn was_reset(&self) -> bool {
        self.was_reset.load(Ordering::Acquire)
    }

    fn push(&self, incoming: Incoming) {
        let mut state = lock(&self.incoming);
        state.0.push_back(incoming);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl ClientTransport for FakeTransport {
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    fn open(&self, request: OpenRequest<'_>) -> Result<Arc<dyn ClientTransportStream>, OpenError> {
        if self.is_gone() {
            return Err(OpenError::Gone(request.only_message));
        }
        let stream = Arc::new(FakeStream {
            path: request.path.to_string(),
            opened: Instant::now(),
            request: request
                .only_message
                .expect("a message that is the only one"),
            incoming: Mutex::default(),
            was_reset: AtomicBool::new(false),
        });
        lock(&self.streams).push(Arc::clone(&stream));
        Ok(stream)
    }

    fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    fn max_concurrent_streams(&self) -> usize {
        usize::MAX
    }

    fn waiting_streams(&self) -> usize {
        0
    }

    fn statistics(&self) -> ConnectionSnapshot {
        unreachable!("monitors ask for no statistics")
    }

    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.go();
    }
}

impl Stream for FakeStream {
    fn poll_data(&self, cx: &mut Context<'_>, _read_demand: ReadDemand) -> Poll<Incoming> {
        let mut state = lock(&self.incoming);
        match state.0.pop_front() {
            Some(incoming) => Poll::Ready(incoming),
            None => {
                state.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Err(Status::internal("the only message was sent")))
    }

    fn send_message(&self, _message: BytesQueue) -> Result<(), Status> {
        Err(Status::internal("the only message was sent"))
    }

    fn reset(&self, _code: ResetCode) {
        self.was_reset.store(true, Ordering::Release);
    }
}

impl ClientTransportStream for FakeStream {
    fn poll_head(&self, _cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        Poll::Ready(Ok(IncomingHead::default()))
    }

    fn waits_for_its_turn(&self) -> bool {
        false
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        self.send_message(message)
    }

    fn half_close(&self) {}
}
