//! A streaming call without a connection, for mocks.
//!
//! Used by the mocks of users' tests, on any task.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use rgrpc_http2::BytesQueue;

use super::{MessageSink, MessageSource, RecvStream, SendStream, SourceEvent};
use crate::buffer_pool::BufferPool;
use crate::codec::Codec;
use crate::codec::MessageLimit;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;
use crate::transport::{IncomingHead, NoHead, ReadDemand, ended_well};

/// Makes the two ends of a streaming call without a connection: the halves for a stub's caller,
/// and the end for a mock. For an [`Invoke`](super::Invoke) of your own; its documentation has an
/// example.
///
/// Messages go through the codec, and wait without bound until they are received. Neither end needs
/// a runtime.
pub fn test_streams<C, Req, Res>(
    _codec: C,
) -> (SendStream<Req>, RecvStream<Res>, TestStreams<Req, Res>)
where
    C: Codec<Req> + Codec<Res>,
{
    let shared = Arc::new(Shared::default());
    let client = || Arc::new(ClientEnd(Arc::clone(&shared)));
    let server = || Arc::new(ServerEnd(Arc::clone(&shared)));
    let requests = SendStream::new::<C>(client(), MessageLimit::largest(Side::Client));
    let responses = RecvStream::new::<C>(client(), MessageLimit::largest(Side::Client));
    let streams = TestStreams {
        requests: RecvStream::new::<C>(server(), MessageLimit::largest(Side::Server)),
        responses: SendStream::new::<C>(server(), MessageLimit::largest(Side::Server)),
        shared,
    };
    (requests, responses, streams)
}

/// The server's end of a call that [`test_streams`] made. Dropping it before
/// [`finish`](Self::finish) ends the call with CANCELLED.
#[derive(Debug)]
pub struct TestStreams<Req, Res> {
    requests: RecvStream<Req>,
    responses: SendStream<Res>,
    shared: Arc<Shared>,
}

impl<Req, Res> TestStreams<Req, Res> {
    /// The next message that the caller has sent; `None` when it has closed its half.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// CANCELLED when the caller has dropped the call; INTERNAL when the codec fails.
    pub async fn recv(&mut self) -> Result<Option<Req>, Status> {
        self.requests.recv().await
    }

    /// Sends a message to the caller, with empty header metadata before it unless
    /// [`send_header`](Self::send_header) was called.
    ///
    /// # Errors
    /// CANCELLED when the caller has dropped the call; INTERNAL when the codec fails.
    pub async fn send(&mut self, message: Res) -> Result<(), Status> {
        self.responses.send(message).await
    }

    /// Sends the header metadata. After the first message, or another call of this, it does
    /// nothing.
    pub fn send_header(&self, metadata: Metadata) {
        self.shared.update(|state| {
            state.header.get_or_insert(Some(metadata.into_received()));
        });
    }

    /// Ends the call: with OK and these trailers, or with a failure.
    pub fn finish(self, outcome: Result<Metadata, Status>) {
        // The caller gets them as received from a peer, so they are not forwarded.
        self.shared.end(match outcome {
            Ok(trailer) => Ok(trailer.into_received()),
            Err(mut status) => {
                let trailer = status.take_metadata().into_received();
                Err(status.with_metadata(trailer))
            }
        });
    }
}

impl<Req, Res> Drop for TestStreams<Req, Res> {
    fn drop(&mut self) {
        self.shared
            .end(Err(Status::cancelled("the mock dropped the call")));
    }
}

/// The state that both ends share.
#[derive(Default)]
struct Shared(Mutex<TestStreamState>);

#[derive(Default)]
struct TestStreamState {
    requests: VecDeque<BytesQueue>,
    /// No request follows.
    closed: bool,
    /// `Some` once it was sent; `Some(None)` once it was received.
    header: Option<Option<Metadata>>,
    responses: VecDeque<BytesQueue>,
    /// The call's end: trailers or a status.
    end: Option<Result<Metadata, Status>>,
    /// The tasks that wait for a request and for a response.
    wakers: [Option<Waker>; 2],
}

#[derive(Clone, Copy)]
enum End {
    Server,
    Client,
}

impl Shared {
    fn update<T>(&self, change: impl FnOnce(&mut TestStreamState) -> T) -> T {
        let mut state = lock(&self.0);
        let output = change(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        output
    }

    /// Returns the result of `look`, or registers this end's task to be woken at the next change.
    fn poll<T>(
        &self,
        end: End,
        cx: &Context<'_>,
        look: impl FnOnce(&mut TestStreamState) -> Option<T>,
    ) -> Poll<T> {
        let mut state = lock(&self.0);
        match look(&mut state) {
            Some(found) => Poll::Ready(found),
            None => {
                state.wakers[end as usize] = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The first end stays.
    fn end(&self, outcome: Result<Metadata, Status>) {
        self.update(|state| {
            state.end.get_or_insert(outcome);
        });
    }

    /// Fails when the call has ended: nothing more can be sent.
    fn check_open(&self) -> Result<(), Status> {
        match &lock(&self.0).end {
            None => Ok(()),
            Some(Ok(_)) => Err(ended_well()),
            Some(Err(status)) => Err(status.clone()),
        }
    }
}

/// The caller's end.
struct ClientEnd(Arc<Shared>);

impl MessageSink for ClientEnd {
    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(self.0.check_open())
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.0.check_open()?;
        self.0.update(|state| state.requests.push_back(message));
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
        self.0.poll(End::Client, cx, |state| {
            match (&mut state.header, &state.end) {
                (Some(header), _) => Some(header.take().map(IncomingHead::from).ok_or(NoHead)),
                (None, Some(_)) => Some(Err(NoHead)),
                (None, None) => None,
            }
        })
    }

    fn poll_data(&self, cx: &mut Context<'_>, _: ReadDemand) -> Poll<SourceEvent> {
        self.0
            .poll(End::Client, cx, |state| match state.responses.pop_front() {
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

/// The mock's end.
struct ServerEnd(Arc<Shared>);

impl MessageSink for ServerEnd {
    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(self.0.check_open())
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.0.check_open()?;
        self.0.update(|state| {
            state.header.get_or_insert_with(|| Some(Metadata::new()));
            state.responses.push_back(message);
        });
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
        self.0.poll(End::Server, cx, |state| {
            if let Some(message) = state.requests.pop_front() {
                return Some(SourceEvent::Data(message));
            }
            match &state.end {
                Some(Err(status)) => Some(SourceEvent::End(Err(status.clone()))),
                _ if state.closed => Some(SourceEvent::End(Ok(Metadata::new()))),
                _ => None,
            }
        })
    }

    /// Does nothing: the mock gets the status, and decides how the call ends.
    fn fail(&self, status: Status) -> Status {
        status
    }

    fn abandon(&self) {}
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.0);
        f.debug_struct("Shared")
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
        TestStreams<Bytes, Bytes>,
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
