//! An attempt at a call that has a stream.
//!
//! Created by [`AttemptContext::begin_attempt`](super::AttemptContext::begin_attempt); polled by
//! the call's halves, on their tasks; ended from there, from the task that watches the call's
//! bounds, or by being dropped.
//!
//! Source: grpc-go `csAttempt`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use rgrpc_http2::BytesQueue;
use tokio::time::Instant;

use super::counted_call::CountedCall;
use super::pick::PickerCallback;
use super::recorded::{self, RecordedAttempt};
use crate::buffer_pool::BufferPool;
use crate::call::{CallObserver, Exchange, MessageSink, MessageSource, SelectedCall, SourceEvent};
use crate::client::call::resolved_call::ResolvedCall;
use crate::client::call::scheduler::AttemptFailure;
use crate::client::call::stream_wakers::StreamHalf;
use crate::client::call::wait_reason::{WaitReason, deadline_exceeded};
use crate::client::connectivity::{StreamPermit, closed};
use crate::codec::Compressor;
use crate::interceptor::MessageView;
use crate::io::Peer;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::stats::CallEvent;
use crate::status::{Code, Origin, Status};
use crate::transport::{
    ClientStream, Delivery, Incoming, IncomingHead, NoHead, ReadDemand, ResetCode, WholeContent,
    is_ended_well,
};

/// An attempt at a call: one stream of a connection. Most calls are one attempt.
pub(in crate::client::call) struct CallAttempt {
    stream: Arc<dyn ClientStream>,
    /// Keeps the connection open, and the attempt's place there.
    permit: StreamPermit,
    deadline: Option<Instant>,
    /// A response has begun: headers came before the trailers.
    has_head: AtomicBool,
    /// Ends when receiving has ended; dropping a half cancels nothing then. Keeps the channel open
    /// as long as it has calls.
    counted: CountedCall,
    /// `None` when the picker wants nothing called at the end.
    callback: Option<Mutex<Option<PickerCallback>>>,
    /// The extent to which the attempt was delivered, if it has failed.
    delivery: Mutex<Delivery>,
    local_end: LocalEnd,
    /// The response info of the attempt, if the user has asked for it.
    exchange: Option<Arc<Exchange>>,
    /// The selection of the channel's config selector, if it has one.
    selected: Option<Arc<SelectedCall>>,
    /// The observers of the call, and the attempt's part of its recording, if there are any.
    observer: Option<Arc<CallObserver>>,
    recorded: Option<Box<RecordedAttempt>>,
    /// The half-close was recorded.
    is_closing_recorded: AtomicBool,
}

impl CallAttempt {
    /// Creates an attempt whose call is kept within its deadline elsewhere.
    pub(in crate::client::call) fn new(
        stream: Arc<dyn ClientStream>,
        counted: CountedCall,
        permit: StreamPermit,
        callback: PickerCallback,
        call: &ResolvedCall,
        observer: Option<Arc<CallObserver>>,
        recorded: Option<Box<RecordedAttempt>>,
    ) -> Self {
        Self {
            stream,
            exchange: call.begin_exchange(permit.transport.peer()),
            permit,
            deadline: call.deadline(),
            has_head: AtomicBool::new(false),
            counted,
            callback: (!callback.is_none()).then(|| Mutex::new(Some(callback))),
            delivery: Mutex::new(Delivery::Possible),
            local_end: LocalEnd::default(),
            selected: call.selected().cloned(),
            observer,
            recorded,
            is_closing_recorded: AtomicBool::new(false),
        }
    }

    /// A response has begun, so that no other attempt follows.
    fn commit(&self) {
        self.has_head.store(true, Ordering::Release);
        if let Some(selected) = &self.selected {
            selected.commit();
        }
    }

    /// Records an event, if the call has observers.
    #[inline]
    fn record_event<'e>(&self, event: impl FnOnce() -> CallEvent<'e>) {
        if let Some(observer) = &self.observer {
            recorded::record(observer, self.recorded.as_deref(), &event());
        }
    }

    /// Records a message that is sent, of which the call's recorders know already.
    pub(in crate::client::call) fn record_sent(&self, compressed_len: usize, encoded_len: usize) {
        if let Some(attempt) = &self.recorded {
            let sent = MessageView::new(None, encoded_len, compressed_len);
            attempt.record_own(&CallEvent::OutPayload(sent));
        }
    }

    /// Records the half-close, the first time.
    pub(in crate::client::call) fn record_closed(&self) {
        static NONE: Metadata = Metadata::new();
        if self.observer.is_some() && !self.is_closing_recorded.swap(true, Ordering::Relaxed) {
            self.record_event(|| CallEvent::OutTrailer(&NONE));
        }
    }

    /// Records the only message of a unary call, which was sent when the stream was opened.
    #[inline]
    pub(in crate::client::call) fn record_only_message<Req: 'static>(&self, message: &Req) {
        if let Some(observer) = &self.observer {
            self.record_only(observer, message);
        }
    }

    fn record_only<Req: 'static>(&self, observer: &CallObserver, message: &Req) {
        let (encoded_len, compressed_len) = observer.sizes();
        let sent = MessageView::new(Some(message), encoded_len, compressed_len);
        if self.recorded.is_none() && observer.sent_whole(&sent) {
            self.is_closing_recorded.store(true, Ordering::Relaxed);
            return;
        }
        observer.sent_only(&sent);
        self.record_sent(compressed_len, encoded_len);
        self.record_closed();
    }

    /// The two ends of its connection.
    pub(in crate::client::call) fn peer(&self) -> &Arc<Peer> {
        self.permit.transport.peer()
    }

    /// The response info of the attempt, if the user has asked for it.
    pub(in crate::client::call) fn response_info(&self) -> Option<&Arc<Exchange>> {
        self.exchange.as_ref()
    }

    fn record(&self, record: impl FnOnce(&Exchange)) {
        if let Some(exchange) = &self.exchange {
            record(exchange);
        }
    }

    /// The reason why it waits, until it has ended.
    pub(in crate::client::call) fn wait_reason(&self) -> WaitReason {
        let server = self.peer().remote.clone();
        if self.stream.waits_for_its_turn() {
            WaitReason::Stream { server }
        } else {
            WaitReason::Answer {
                server,
                silence: self.permit.transport.silence(),
            }
        }
    }

    /// The failure of an attempt that has ended with this status.
    pub(in crate::client::call) fn failure(&self, status: Status) -> AttemptFailure {
        AttemptFailure {
            status,
            delivery: *lock(&self.delivery),
            // Once a response has begun, nothing may follow.
            is_final: self.has_head.load(Ordering::Acquire) || self.counted.conn().is_closed(),
        }
    }

    /// The status with which this side ended the attempt, if it did.
    pub(in crate::client::call) fn local_end(&self) -> Option<Status> {
        self.local_end.get()
    }

    /// Ends the attempt from this side, with the status that its halves report.
    pub(in crate::client::call) fn end(&self, status: Status) {
        // In this order, so that a half that sees the reset finds the reason for it.
        self.local_end.set(status);
        self.stream.reset(ResetCode::CANCEL);
    }

    /// The attempt has ended. Every attempt that has a stream ends here, once for each effect.
    fn finish(&self, outcome: Result<(), &Status>, trailers: &Metadata) {
        self.counted.end();
        let callback = self.callback.as_ref().and_then(|slot| lock(slot).take());
        if let Some(callback) = callback {
            let was_sent = *lock(&self.delivery) != Delivery::NotSent;
            let has_received = self.has_head.load(Ordering::Acquire)
                || outcome.is_ok()
                || !trailers.is_empty()
                || outcome.is_err_and(is_ended_well);
            callback.call(outcome, trailers, (was_sent, has_received));
        }
        if let Some(attempt) = &self.recorded {
            attempt.end(outcome.map(|()| trailers));
        }
    }

    /// The attempt has failed; what the server sent last is in the status.
    fn failed(&self, status: &Status) {
        self.finish(Err(status), status.metadata());
    }

    /// The status to report for one that came from the transport.
    fn status(&self, status: Status) -> Status {
        if let Some(status) = self.local_end.get() {
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
            return deadline_exceeded(self.counted.conn().target(), Some(&self.wait_reason()));
        }
        status
    }
}

impl MessageSink for CallAttempt {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if let Some(status) = self.local_end.poll(StreamHalf::Send, cx) {
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

impl MessageSource for CallAttempt {
    fn peer(&self) -> Option<&Arc<Peer>> {
        Some(Self::peer(self))
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        if self.local_end.poll(StreamHalf::Receive, cx).is_some() {
            return Poll::Ready(Err(NoHead));
        }
        let head = ready!(self.stream.poll_head(cx));
        if let Ok(head) = &head {
            self.commit();
            self.record(|exchange| exchange.set_header(&head.metadata));
            self.record_event(|| CallEvent::InHeader(&head.metadata));
        }
        Poll::Ready(head)
    }

    fn poll_whole(
        &self,
        cx: &mut Context<'_>,
        fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeContent>> {
        // The caller is the only one who could end the call here.
        let polled = self.stream.poll_whole(cx, fits);
        // Borrowed, because a move of it is expensive.
        if let Poll::Ready(Some(whole)) = &polled {
            self.commit();
            self.record(|exchange| {
                exchange.set_header(&whole.head.metadata);
                exchange.set_trailer(&whole.trailer);
            });
            self.record_event(|| CallEvent::InHeader(&whole.head.metadata));
        }
        polled
    }

    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent> {
        if let Some(status) = self.local_end.poll(StreamHalf::Receive, cx) {
            self.failed(&status);
            return Poll::Ready(SourceEvent::End(Err(status)));
        }
        Poll::Ready(match ready!(self.stream.poll_data(cx, read_demand)) {
            Incoming::Data(data) => SourceEvent::Data(data),
            Incoming::End(end) => {
                *lock(&self.delivery) = end.delivery;
                self.record(|exchange| {
                    exchange.set_trailer(end.outcome.as_ref().unwrap_or_else(Status::metadata));
                });
                let outcome = end.outcome.map_err(|status| self.status(status));
                if let Err(status) = &outcome {
                    if status.origin() == Origin::Trailers {
                        self.record_event(|| CallEvent::InTrailer(status.metadata()));
                    }
                    self.failed(status);
                }
                SourceEvent::End(outcome)
            }
        })
    }

    fn buffer_pool(&self) -> BufferPool {
        self.counted.conn().settings().buffer_pool.clone()
    }

    fn decompressor(&self, encoding: &[u8]) -> Option<Arc<dyn Compressor>> {
        let compression = &self.counted.conn().settings().compression;
        compression.compressors.get(encoding).cloned()
    }

    fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let Some(observer) = &self.observer else {
            return Poll::Ready(Ok(()));
        };
        // An end by this side is not held back.
        if self.local_end.poll(StreamHalf::Receive, cx).is_some() {
            return Poll::Ready(Ok(()));
        }
        observer.poll_receive(cx)
    }

    fn observe_received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        let Some(observer) = &self.observer else {
            return Ok(());
        };
        if let Some(attempt) = &self.recorded {
            let (encoded_len, compressed_len) = (message.encoded_len(), message.compressed_len());
            let received = MessageView::new(None, encoded_len, compressed_len);
            attempt.record_own(&CallEvent::InPayload(received));
        }
        observer.received(message)
    }

    #[inline]
    fn accept(&self, trailer: &Metadata) {
        self.record_event(|| CallEvent::InTrailer(trailer));
        self.finish(Ok(()), trailer);
    }

    fn reject(&self, status: Status, trailer: &Metadata) -> Status {
        self.record_event(|| CallEvent::InTrailer(trailer));
        self.end(status.clone());
        self.finish(Err(&status), trailer);
        status
    }

    fn fail(&self, status: Status) -> Status {
        self.end(status.clone());
        self.failed(&status);
        status
    }

    fn abandon(&self) {
        if !self.counted.has_ended() {
            let status = Status::cancelled("the call was dropped before it had ended");
            self.end(status.clone());
            self.failed(&status);
        }
    }
}

impl Drop for CallAttempt {
    fn drop(&mut self) {
        MessageSource::abandon(self);
    }
}

/// The status with which this side ended an attempt, and the halves that wait for it. Allocated
/// when there is one or the other: unary calls seldom have either.
#[derive(Default)]
struct LocalEnd(Mutex<Option<Box<LocalEndState>>>);

#[derive(Default)]
struct LocalEndState {
    status: Option<Status>,
    wakers: [Option<Waker>; 2],
}

impl LocalEnd {
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
    fn poll(&self, half: StreamHalf, cx: &Context<'_>) -> Option<Status> {
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
