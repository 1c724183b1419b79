//! A streaming call without a connection, for interceptors that answer one themselves, and for mocks.
//!
//! ```text
//!  caller: SendStream, RecvStream ◄──► LocalCall ◄──► LocalStreams: interceptor, mock
//! ```
//!
//! Used on the tasks of both ends. It has no task but the one that watches over a deadline.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use rgrpc_http2::BytesQueue;
use tokio::task::AbortHandle;

use super::{MessageSink, MessageSource, RecvStream, SendStream, SourceEvent};
use crate::buffer_pool::BufferPool;
use crate::codec::{Codec, MessageLimit, frame};
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;
use crate::task::{current_runtime, watched};
use crate::transport::{IncomingHead, NoHead, ReadDemand, ended_well};

/// Makes the two ends of a streaming call without a connection: the halves for a stub's caller,
/// and the end for a mock. For an [`Invoke`](super::Invoke) of your own; its documentation has an
/// example.
///
/// For tests: messages wait without bound until they are received. An interceptor answers by
/// [`OutgoingCall::reply_streamed`](super::OutgoingCall::reply_streamed), which has bounds.
///
/// Messages go through the codec. Neither end needs a runtime.
pub fn test_streams<C, Req, Res>(
    codec: C,
) -> (SendStream<Req>, RecvStream<Res>, LocalStreams<Req, Res>)
where
    C: Codec<Req> + Codec<Res>,
{
    let call = LocalCall::new(usize::MAX);
    let (requests, responses) = call.client_halves::<C, Req, Res>();
    (requests, responses, call.server_end(codec))
}

/// The server's end of a streaming call that an interceptor or a mock answers itself: of
/// [`OutgoingCall::reply_streamed`](super::OutgoingCall::reply_streamed) or [`test_streams`].
///
/// Dropping it before [`finish`](Self::finish) ends the call with CANCELLED.
#[derive(Debug)]
pub struct LocalStreams<Req, Res> {
    requests: RecvStream<Req>,
    responses: SendStream<Res>,
    call: Arc<LocalCall>,
}

impl<Req, Res> LocalStreams<Req, Res> {
    /// The next message that the caller has sent; `None` when it has closed its half.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// The status that the call has ended with: CANCELLED when the caller has dropped it,
    /// DEADLINE_EXCEEDED. INTERNAL when the codec fails.
    pub async fn recv(&mut self) -> Result<Option<Req>, Status> {
        self.requests.recv().await
    }

    /// Sends a message to the caller, with empty header metadata before it unless
    /// [`send_header`](Self::send_header) was called. Waits while the messages that the caller has not
    /// received are at their bound, if the call has one.
    ///
    /// Cancel-safe: a future that is dropped before it is ready has not sent the message.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn send(&mut self, message: Res) -> Result<(), Status> {
        self.responses.send(message).await
    }

    /// Sends the header metadata. After the first message, or another call of this, it does
    /// nothing.
    pub fn send_header(&self, metadata: Metadata) {
        self.call.update(|state| {
            state.header.get_or_insert(Some(metadata.into_received()));
        });
    }

    /// Ends the call: with OK and these trailers, or with a failure.
    pub fn finish(self, outcome: Result<Metadata, Status>) {
        self.call.finish(outcome);
    }
}

impl<Req, Res> Drop for LocalStreams<Req, Res> {
    fn drop(&mut self) {
        self.call.end(Err(Status::cancelled(
            "the end that answers the call was dropped",
        )));
    }
}

/// The state that both ends share.
pub(crate) struct LocalCall {
    state: Mutex<LocalCallState>,
    /// A sender waits while the messages of its direction have this many bytes.
    max_queued: usize,
}

#[derive(Default)]
struct LocalCallState {
    requests: Queue,
    /// No request follows.
    closed: bool,
    /// `Some` once it was sent; `Some(None)` once it was received.
    header: Option<Option<Metadata>>,
    responses: Queue,
    /// The call's end: trailers or a status.
    end: Option<Result<Metadata, Status>>,
    wakers: [Option<Waker>; 4],
    /// The task that watches over the bounds, until the end.
    watch: Option<AbortHandle>,
}

/// The messages of one direction, framed.
#[derive(Default)]
struct Queue {
    messages: VecDeque<BytesQueue>,
    /// Their size in bytes.
    len: usize,
}

impl Queue {
    fn push(&mut self, message: BytesQueue) {
        self.len += message.len();
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<BytesQueue> {
        let message = self.messages.pop_front()?;
        self.len -= message.len();
        Some(message)
    }
}

/// The halves that wait; each has a waker.
#[derive(Clone, Copy)]
enum Waiter {
    ServerReceives,
    ClientReceives,
    ServerSends,
    ClientSends,
}

impl LocalCall {
    /// Creates a call in which a sender waits while the messages of its direction have this many bytes.
    pub(crate) fn new(max_queued: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            max_queued,
        })
    }

    /// Creates a call that has ended with OK after these responses.
    ///
    /// # Errors
    /// INTERNAL when the codec fails.
    pub(crate) fn answered<C: Codec<M>, M>(
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Arc<Self>, Status> {
        let call = Self::new(usize::MAX);
        for message in messages {
            let framed = frame::<C, M>(&message, MessageLimit::largest(Side::Server))?;
            call.respond(framed);
        }
        call.finish(Ok(Metadata::new()));
        Ok(call)
    }

    /// The halves for the caller. Made once.
    pub(crate) fn client_halves<C, Req, Res>(self: &Arc<Self>) -> (SendStream<Req>, RecvStream<Res>)
    where
        C: Codec<Req> + Codec<Res>,
    {
        let client = || Arc::new(ClientEnd(Arc::clone(self)));
        let limit = MessageLimit::largest(Side::Client);
        let requests = SendStream::new::<C>(client(), limit);
        let responses = RecvStream::new::<C>(client(), limit);
        (requests, responses)
    }

    /// The server's end. Made once.
    pub(crate) fn server_end<C, Req, Res>(self: &Arc<Self>, _codec: C) -> LocalStreams<Req, Res>
    where
        C: Codec<Req> + Codec<Res>,
    {
        let server = || Arc::new(ServerEnd(Arc::clone(self)));
        let limit = MessageLimit::largest(Side::Server);
        LocalStreams {
            requests: RecvStream::new::<C>(server(), limit),
            responses: SendStream::new::<C>(server(), limit),
            call: Arc::clone(self),
        }
    }

    /// Ends the call with a status when it is ready: a bound was exceeded. Messages that wait are
    /// dropped then. Spawns a task, which ends with the call.
    ///
    /// # Errors
    /// INTERNAL outside of a tokio runtime.
    pub(crate) fn watch(
        self: &Arc<Self>,
        exceeded: impl Future<Output = Status> + Send + 'static,
    ) -> Result<(), Status> {
        let runtime = current_runtime("a call was answered")?;
        let call = Arc::downgrade(self);
        let task = runtime.spawn(watched(exceeded, move |ended| {
            if let Some(call) = call.upgrade() {
                call.abort(ended.unwrap_or_else(|lost| {
                    Status::unavailable(format!(
                        "the call's deadline is not watched over any more: {lost}"
                    ))
                }));
            }
        }));
        self.update(|state| match state.end {
            None => state.watch = Some(task.abort_handle()),
            Some(_) => task.abort(),
        });
        Ok(())
    }

    /// Returns whether the call has ended.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    fn update<T>(&self, change: impl FnOnce(&mut LocalCallState) -> T) -> T {
        let mut state = lock(&self.state);
        let output = change(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        output
    }

    /// Returns the result of `look`, or registers this task to be woken at the next change.
    fn poll<T>(
        &self,
        waiter: Waiter,
        cx: &Context<'_>,
        look: impl FnOnce(&mut LocalCallState) -> Option<T>,
    ) -> Poll<T> {
        let mut state = lock(&self.state);
        match look(&mut state) {
            Some(found) => Poll::Ready(found),
            None => {
                let replaced = state.wakers[waiter as usize].replace(cx.waker().clone());
                drop(state);
                drop(replaced);
                Poll::Pending
            }
        }
    }

    /// As [`poll`](Self::poll), for a message that was received: its sender may go on.
    fn poll_queue<T>(
        &self,
        waiter: Waiter,
        sender: Waiter,
        cx: &Context<'_>,
        look: impl FnOnce(&mut LocalCallState) -> Option<T>,
    ) -> Poll<T> {
        let mut woken = None;
        let polled = self.poll(waiter, cx, |state| {
            let found = look(state)?;
            woken = state.wakers[sender as usize].take();
            Some(found)
        });
        if let Some(woken) = woken {
            woken.wake();
        }
        polled
    }

    /// Sends a response, with empty header metadata before the first one.
    fn respond(&self, message: BytesQueue) {
        self.update(|state| {
            state.header.get_or_insert_with(|| Some(Metadata::new()));
            state.responses.push(message);
        });
    }

    /// Ends the call as a server does. The caller gets metadata as received from a peer, so it is not
    /// forwarded.
    fn finish(&self, outcome: Result<Metadata, Status>) {
        self.end(match outcome {
            Ok(trailer) => Ok(trailer.into_received()),
            Err(mut status) => {
                let trailer = status.take_metadata().into_received();
                Err(status.with_metadata(trailer))
            }
        });
    }

    /// The first end stays.
    fn end(&self, outcome: Result<Metadata, Status>) {
        let watch = self.update(|state| {
            state.end.get_or_insert(outcome);
            state.watch.take()
        });
        if let Some(watch) = watch {
            watch.abort();
        }
    }

    /// As [`end`](Self::end), without the messages that wait.
    fn abort(&self, status: Status) {
        let dropped = self.update(|state| {
            if state.end.is_some() {
                return None;
            }
            state.end = Some(Err(status));
            let requests = std::mem::take(&mut state.requests);
            Some((requests, std::mem::take(&mut state.responses)))
        });
        drop(dropped);
    }

    /// Fails when the call has ended: nothing more can be sent.
    fn check_open(&self) -> Result<(), Status> {
        open(&lock(&self.state))
    }

    /// Ready when the queue of this direction takes another message.
    fn poll_sendable(
        &self,
        waiter: Waiter,
        cx: &Context<'_>,
        queue: impl FnOnce(&LocalCallState) -> &Queue,
    ) -> Poll<Result<(), Status>> {
        self.poll(waiter, cx, |state| match open(state) {
            Ok(()) if queue(state).len >= self.max_queued => None,
            open => Some(open),
        })
    }
}

/// Fails when the call has ended.
fn open(state: &LocalCallState) -> Result<(), Status> {
    match &state.end {
        None => Ok(()),
        Some(Ok(_)) => Err(ended_well()),
        Some(Err(status)) => Err(status.clone()),
    }
}

/// The caller's end.
struct ClientEnd(Arc<LocalCall>);

impl MessageSink for ClientEnd {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.0
            .poll_sendable(Waiter::ClientSends, cx, |state| &state.requests)
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.0.check_open()?;
        self.0.update(|state| state.requests.push(message));
        Ok(())
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        MessageSink::send(self, message)?;
        self.close();
        Ok(())
    }

    fn close(&self) {
        self.0.update(|state| state.closed = true);
    }

    fn abandon(&self) {
        MessageSource::abandon(self);
    }
}

impl MessageSource for ClientEnd {
    fn buffer_pool(&self) -> BufferPool {
        BufferPool::shared()
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        self.0.poll(Waiter::ClientReceives, cx, |state| {
            match (&mut state.header, &state.end) {
                (Some(header), _) => Some(header.take().map(IncomingHead::from).ok_or(NoHead)),
                (None, Some(_)) => Some(Err(NoHead)),
                (None, None) => None,
            }
        })
    }

    fn poll_data(&self, cx: &mut Context<'_>, _: ReadDemand) -> Poll<SourceEvent> {
        let (receiver, sender) = (Waiter::ClientReceives, Waiter::ServerSends);
        self.0
            .poll_queue(receiver, sender, cx, |state| match state.responses.pop() {
                Some(message) => Some(SourceEvent::Data(message)),
                None => state.end.clone().map(SourceEvent::End),
            })
    }

    fn fail(&self, status: Status) -> Status {
        self.0.end(Err(status.clone()));
        status
    }

    fn abandon(&self) {
        self.0.end(Err(Status::cancelled(
            "a half of the call's streams was dropped",
        )));
    }
}

/// The end of the interceptor or the mock.
struct ServerEnd(Arc<LocalCall>);

impl MessageSink for ServerEnd {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.0
            .poll_sendable(Waiter::ServerSends, cx, |state| &state.responses)
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.0.check_open()?;
        self.0.respond(message);
        Ok(())
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        self.send(message)
    }

    fn close(&self) {}

    fn abandon(&self) {}
}

impl MessageSource for ServerEnd {
    fn buffer_pool(&self) -> BufferPool {
        BufferPool::shared()
    }

    fn poll_head(&self, _: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        Poll::Ready(Err(NoHead))
    }

    fn poll_data(&self, cx: &mut Context<'_>, _: ReadDemand) -> Poll<SourceEvent> {
        let (receiver, sender) = (Waiter::ServerReceives, Waiter::ClientSends);
        self.0.poll_queue(receiver, sender, cx, |state| {
            if let Some(message) = state.requests.pop() {
                return Some(SourceEvent::Data(message));
            }
            match &state.end {
                Some(Err(status)) => Some(SourceEvent::End(Err(status.clone()))),
                _ if state.closed => Some(SourceEvent::End(Ok(Metadata::new()))),
                _ => None,
            }
        })
    }

    /// Does nothing: the end that answers gets the status, and decides how the call ends.
    fn fail(&self, status: Status) -> Status {
        status
    }

    fn abandon(&self) {}
}

impl fmt::Debug for LocalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("LocalCall")
            .field("closed", &state.closed)
            .field("end", &state.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::RawCodec;
    use crate::status::Code;

    fn streams() -> (
        SendStream<Bytes>,
        RecvStream<Bytes>,
        LocalStreams<Bytes, Bytes>,
    ) {
        test_streams(RawCodec)
    }

    const A: Bytes = Bytes::from_static(b"a");

    fn header() -> Metadata {
        let mut metadata = Metadata::new();
        metadata.append("key", "value").expect("valid");
        metadata
    }

    #[tokio::test]
    async fn each_end_receives_the_messages_of_the_other() {
        let (mut requests, mut responses, mut mock) = streams();
        requests.send(A).await.expect("open");
        requests.close();
        assert_eq!(mock.recv().await.expect("open"), Some(A));
        assert_eq!(mock.recv().await.expect("open"), None);
        mock.send_header(header());
        mock.send(A).await.expect("open");
        mock.finish(Ok(header()));
        assert_eq!(responses.header().await, &header());
        assert_eq!(responses.recv().await.expect("OK"), Some(A));
        assert_eq!(responses.recv().await.expect("OK"), None);
        assert_eq!(responses.trailer(), &header());
    }

    #[tokio::test]
    async fn a_failure_comes_after_the_messages_before_it() {
        let (mut requests, mut responses, mut mock) = streams();
        mock.send(A).await.expect("open");
        mock.finish(Err(Status::not_found("no more")));
        assert_eq!(responses.recv().await.expect("one"), Some(A));
        let status = responses.recv().await.expect_err("failed");
        assert_eq!(status.code(), Code::NotFound);
        requests.send(A).await.expect_err("ended");
    }

    #[tokio::test]
    async fn an_end_that_is_dropped_cancels_the_call() {
        let (_requests, mut responses, mock) = streams();
        drop(mock);
        let status = responses.recv().await.expect_err("dropped");
        assert_eq!(status.code(), Code::Cancelled);

        let (requests, _responses, mut mock) = streams();
        drop(requests);
        let status = mock.recv().await.expect_err("dropped");
        assert_eq!(status.code(), Code::Cancelled);
        mock.send(A).await.expect_err("dropped");
    }

    #[tokio::test]
    async fn a_receiver_waits_until_something_comes() {
        let (mut requests, mut responses, mut mock) = streams();
        let answering = tokio::spawn(async move {
            while let Some(message) = mock.recv().await.expect("open") {
                mock.send(message).await.expect("open");
            }
            mock.finish(Ok(Metadata::new()));
        });
        for _ in 0..3 {
            requests.send(A).await.expect("open");
            assert_eq!(responses.recv().await.expect("OK"), Some(A));
        }
        requests.close();
        assert_eq!(responses.recv().await.expect("OK"), None);
        answering.await.expect("no panic");
    }
}
