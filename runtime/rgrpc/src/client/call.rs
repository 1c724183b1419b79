use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use tokio::time::Instant;

use super::calls::CountedCall;
use super::done::Done;
use super::half_wakers::Half;
use super::picker::closed;
use super::retry::Failure;
use super::wait::{Wait, deadline_exceeded};
use crate::balancer::StreamPermit;
use crate::call::{CallOptions, Exchange, MessageSink, MessageSource, Received};
use crate::codec::Compressor;
use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::transport::{
    ClientStream, Delivery, Incoming, IncomingHead, NoHead, ResetCode, Wanted, WholeResponse,
    is_ended_well,
};
use rgrpc_http2::BytesQueue;

/// An attempt at a call that is under way: one stream of a connection, and what bounds it. Most
/// calls are one attempt.
pub(super) struct ClientCall {
    stream: Arc<dyn ClientStream>,
    /// Keeps the connection open, and its place there.
    permit: StreamPermit,
    deadline: Option<Instant>,
    /// A response has begun: headers came before the trailers.
    has_head: AtomicBool,
    /// Ends when receiving has ended; dropping a half cancels nothing then. Keeps the channel open
    /// as long as it has calls.
    counted: CountedCall,
    /// `None` when the picker wants nothing called at the end.
    done: Option<Mutex<Option<Done>>>,
    /// How far the call got, if it has failed.
    delivery: Mutex<Delivery>,
    ended_here: EndedHere,
    /// The response info of the call, if the user asked for it.
    exchange: Option<Arc<Exchange>>,
}

/// A stream that was opened for a call.
pub(super) struct Opened {
    pub(super) stream: Arc<dyn ClientStream>,
    pub(super) counted: CountedCall,
    pub(super) permit: StreamPermit,
    pub(super) done: Done,
}

impl ClientCall {
    /// A call whose caller keeps it within its deadline.
    pub(super) fn new(opened: Opened, options: &CallOptions) -> Self {
        let Opened {
            stream,
            counted,
            permit,
            done,
        } = opened;
        Self {
            stream,
            exchange: options.begin_exchange(permit.transport.peer()),
            permit,
            deadline: options.deadline(),
            has_head: AtomicBool::new(false),
            counted,
            done: (!done.is_none()).then(|| Mutex::new(Some(done))),
            delivery: Mutex::new(Delivery::Possible),
            ended_here: EndedHere::default(),
        }
    }

    /// The two ends of its connection.
    pub(super) fn peer(&self) -> &Arc<Peer> {
        self.permit.transport.peer()
    }

    /// The response info of the call, if the user asked for it.
    pub(super) fn told(&self) -> Option<&Arc<Exchange>> {
        self.exchange.as_ref()
    }

    fn exchange(&self, tell: impl FnOnce(&Exchange)) {
        if let Some(exchange) = &self.exchange {
            tell(exchange);
        }
    }

    /// What it waits for, as long as it has not ended.
    pub(super) fn waits_for(&self) -> Wait {
        let server = self.peer().remote.clone();
        if self.stream.waits_for_its_turn() {
            Wait::Stream { server }
        } else {
            Wait::Answer {
                server,
                silence: self.permit.transport.silence(),
            }
        }
    }

    /// The failure that the call ended with.
    pub(super) fn failure(&self, status: Status) -> Failure {
        Failure {
            status,
            delivery: *lock(&self.delivery),
            // Once a response has begun, the call must not be made again.
            is_final: self.has_head.load(Ordering::Acquire) || self.counted.conn().is_closed(),
        }
    }

    /// The status with which this side ended the call, if it did.
    pub(super) fn ended_here(&self) -> Option<Status> {
        self.ended_here.get()
    }

    /// Ends the call from this side, with the status that its halves report.
    pub(super) fn end(&self, status: Status) {
        // In this order, so that a half that sees the reset finds the reason for it.
        self.ended_here.set(status);
        self.stream.reset(ResetCode::CANCEL);
    }

    /// The attempt has ended.
    fn finish(&self, outcome: Result<&Metadata, &Status>) {
        self.counted.end();
        if let Some(done) = &self.done
            && let Some(done) = lock(done).take()
        {
            done.call(outcome);
        }
    }

    /// The status to report for one that came from the transport.
    fn status(&self, status: Status) -> Status {
        if let Some(status) = self.ended_here.get() {
            return status;
        }
        if is_ended_well(&status) {
            return status;
        }
        if self.counted.conn().is_closed() {
            return closed();
        }
        // The server's clock may be ahead: its reset for the deadline then comes before the
        // deadline here has been noticed.
        let has_passed = |deadline| deadline <= Instant::now();
        if status.code() == Code::Cancelled && self.deadline.is_some_and(has_passed) {
            return deadline_exceeded(self.counted.conn().target(), Some(&self.waits_for()));
        }
        status
    }
}

impl MessageSink for ClientCall {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if let Some(status) = self.ended_here.poll(Half::Send, cx) {
            return Poll::Ready(Err(status));
        }
        self.stream
            .poll_send_ready(cx)
            .map_err(|status| self.status(status))
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        self.stream
            .send_message(message)
            .map_err(|status| self.status(status))
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        self.stream
            .send_last(message)
            .map_err(|status| self.status(status))
    }

    fn close(&self) {
        self.stream.half_close();
    }

    fn abandon(&self) {
        MessageSource::abandon(self);
    }
}

impl MessageSource for ClientCall {
    fn peer(&self) -> Option<&Arc<Peer>> {
        Some(Self::peer(self))
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        if self.ended_here.poll(Half::Receive, cx).is_some() {
            return Poll::Ready(Err(NoHead));
        }
        let head = ready!(self.stream.poll_head(cx));
        if let Ok(head) = &head {
            self.has_head.store(true, Ordering::Release);
            self.exchange(|exchange| exchange.set_header(&head.metadata));
        }
        Poll::Ready(head)
    }

    fn poll_whole(
        &self,
        cx: &mut Context<'_>,
        fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeResponse>> {
        // Whoever asks for this is the only one who could end the call here.
        let polled = self.stream.poll_whole(cx, fits);
        // Looked at where it lies: it is large.
        if let Poll::Ready(Some(whole)) = &polled {
            self.has_head.store(true, Ordering::Release);
            self.exchange(|exchange| {
                exchange.set_header(&whole.head.metadata);
                exchange.set_trailer(&whole.trailer);
            });
        }
        polled
    }

    fn poll_data(&self, cx: &mut Context<'_>, wanted: Wanted) -> Poll<Received> {
        if let Some(status) = self.ended_here.poll(Half::Receive, cx) {
            self.finish(Err(&status));
            return Poll::Ready(Received::End(Err(status)));
        }
        Poll::Ready(match ready!(self.stream.poll_data(cx, wanted)) {
            Incoming::Data(data) => Received::Data(data),
            Incoming::End(end) => {
                *lock(&self.delivery) = end.delivery;
                self.exchange(|exchange| {
                    exchange.set_trailer(end.outcome.as_ref().unwrap_or_else(Status::metadata));
                });
                let outcome = end.outcome.map_err(|status| self.status(status));
                if let Err(status) = &outcome {
                    self.finish(Err(status));
                }
                Received::End(outcome)
            }
        })
    }

    fn decompressor(&self, encoding: &[u8]) -> Option<Arc<dyn Compressor>> {
        let compression = &self.counted.conn().settings().compression;
        compression.compressors.get(encoding).cloned()
    }

    fn accept(&self, trailer: &Metadata) {
        self.finish(Ok(trailer));
    }

    fn fail(&self, status: Status) -> Status {
        self.end(status.clone());
        self.finish(Err(&status));
        status
    }

    fn abandon(&self) {
        if !self.counted.has_ended() {
            let status = Status::cancelled("the call was dropped before it had ended");
            self.end(status.clone());
            self.finish(Err(&status));
        }
    }
}

impl Drop for ClientCall {
    fn drop(&mut self) {
        MessageSource::abandon(self);
    }
}

/// The status with which this side ended a call, and who waits for it. Made when there is one or the
/// other: calls with one message each way seldom have either.
#[derive(Default)]
struct EndedHere(Mutex<Option<Box<EndState>>>);

#[derive(Default)]
struct EndState {
    status: Option<Status>,
    wakers: [Option<Waker>; 2],
}

impl EndedHere {
    /// The first status stays.
    fn set(&self, status: Status) {
        let mut ended = lock(&self.0);
        let state = ended.get_or_insert_default();
        state.status.get_or_insert(status);
        let wakers = std::mem::take(&mut state.wakers);
        drop(ended);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn get(&self) -> Option<Status> {
        lock(&self.0).as_ref()?.status.clone()
    }

    /// The status, or the promise to wake this half's task when there is one.
    fn poll(&self, half: Half, cx: &Context<'_>) -> Option<Status> {
        let mut ended = lock(&self.0);
        let state = ended.get_or_insert_default();
        if state.status.is_none() {
            let slot = &mut state.wakers[half as usize];
            match slot {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *slot = Some(cx.waker().clone()),
            }
        }
        state.status.clone()
    }
}
