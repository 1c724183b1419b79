//! The receiving side of a stream, alike on clients and servers. The call and the connection's task
//! use it, under the stream's lock.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rgrpc_http2::BytesQueue;
use rgrpc_http2::Reading;

use super::large_message::Assembly;

use crate::metadata::Metadata;
use crate::transport::{Incoming, MessageMemory, ReadDemand, StreamEnd};

/// The receiving side of a stream: the DATA that has come and that the call has not taken, and the
/// call's reading of it. Flow control bounds it.
///
/// It owns the state of reading. The connection's core has a copy of [`Reading`], by which it
/// grants credit to the peer. The call posts to the connection's task when its reading has moved,
/// and the task [takes it over](Self::take_reading).
#[derive(Debug, Default)]
pub(super) struct Inbound {
    content: Content,
    end: Option<StreamEnd>,
    /// The end has come, taken or not.
    ended: bool,
    reading: Reading,
    report: ReadingReport,
    waker: Option<Waker>,
}

/// ```text
///              ┌──────push──────┐          ┌──push, direct read──┐
///              ▼                │          ▼                     │
///  ┌──────► Ready ──poll──► Awaited ─push─► Assembling ──────────┘
///  │           ▲  (if empty)    (of a large     │
///  │ poll      │                  message)      │ the message is complete, or the stream has ended
///  └───────────┴────────────────────────────────┘
///
///  any ──discard──► Discarded
/// ```
#[derive(Debug)]
enum Content {
    /// DATA that the call can take, or none.
    Ready(BytesQueue),
    /// There is no DATA, and the call waits for this demand.
    Awaited(ReadDemand),
    /// The call waits for a large message, which has arrived in part.
    Assembling(Box<Assembly>),
    /// The call takes nothing more: all that comes counts as taken.
    Discarded,
}

impl Default for Content {
    fn default() -> Self {
        Self::Ready(BytesQueue::default())
    }
}

/// The report of the call's reading to the connection's task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ReadingReport {
    /// The task knows it.
    #[default]
    Current,
    /// It has moved since.
    Due,
    /// It has moved, and the task is told.
    Posted,
}

/// The effects of DATA that has arrived.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// The waker of the task that waits for it.
    pub(super) waker: Option<Waker>,
    /// The reading, if a large message has begun. The peer needs credit for all of the message.
    pub(super) reading: Option<Reading>,
}

impl Inbound {
    /// Creates the regular end of a request that has been taken whole.
    pub(super) fn ended() -> Self {
        Self {
            end: Some(StreamEnd::new(Ok(Metadata::new()))),
            ended: true,
            ..Self::default()
        }
    }

    /// Adds DATA that has arrived.
    #[inline]
    pub(super) fn push(&mut self, data: Bytes, memory: &MessageMemory) -> Pushed {
        if data.is_empty() || self.ended {
            return Pushed::default();
        }
        match &mut self.content {
            Content::Ready(pieces) => {
                pieces.push(data);
                Pushed::waking(self.waker.take())
            }
            &mut Content::Awaited(read_demand) => match Assembly::begin(read_demand, &data, memory)
            {
                Some(assembly) => {
                    self.need(assembly.len());
                    self.content = Content::Assembling(Box::new(assembly));
                    Pushed {
                        waker: None,
                        reading: Some(self.take_reading()),
                    }
                }
                None => {
                    self.content = Content::Ready(data.into());
                    Pushed::waking(self.waker.take())
                }
            },
            Content::Assembling(assembly) => {
                let rest = assembly.push(data);
                Pushed::waking(self.complete(rest))
            }
            Content::Discarded => Pushed {
                waker: None,
                reading: self.discarding(),
            },
        }
    }

    /// Takes the buffer of a large message that has begun, to read the next `len` octets of DATA
    /// into it. The caller [returns the buffer](Self::return_buffer) with them.
    pub(super) fn take_buffer(&mut self, len: usize) -> Option<Vec<u8>> {
        match &mut self.content {
            Content::Assembling(assembly) => assembly.take_buffer(len),
            Content::Ready(_) | Content::Awaited(_) | Content::Discarded => None,
        }
    }

    /// Returns the [buffer](Self::take_buffer), with DATA that has arrived. Returns the waker of
    /// the task that waits for it.
    pub(super) fn return_buffer(&mut self, buffer: Vec<u8>) -> Option<Waker> {
        let Content::Assembling(assembly) = &mut self.content else {
            return None;
        };
        assembly.return_buffer(buffer);
        self.complete(Bytes::new())
    }

    /// Makes the assembled message and the octets after it available, if the message is complete.
    /// Returns the waker of the task that waits for it.
    fn complete(&mut self, rest: Bytes) -> Option<Waker> {
        match std::mem::take(&mut self.content) {
            Content::Assembling(assembly) if assembly.missing() == 0 => {
                let mut pieces = BytesQueue::from(assembly.into_bytes());
                pieces.push(rest);
                self.content = Content::Ready(pieces);
                self.waker.take()
            }
            content => {
                self.content = content;
                None
            }
        }
    }

    /// Ends receiving. The first end stays. Returns the waker of the task that waits for it.
    pub(super) fn end(&mut self, end: StreamEnd) -> Option<Waker> {
        if self.ended {
            return None;
        }
        match &self.content {
            Content::Ready(_) | Content::Discarded => {}
            Content::Awaited(_) => self.content = Content::default(),
            Content::Assembling(_) => self.give_up_message(),
        }
        self.ended = true;
        self.end = Some(end);
        self.waker.take()
    }

    /// Makes the part of the message that has arrived available.
    #[cold]
    fn give_up_message(&mut self) {
        if let Content::Assembling(assembly) = std::mem::take(&mut self.content) {
            self.content = Content::Ready(assembly.into_bytes().into());
        }
    }

    /// Ends receiving as [`end`](Self::end) does, and drops the DATA that was received before. A
    /// stream that had ended does not change: a reset after the trailers takes nothing back.
    pub(super) fn break_off(&mut self, end: StreamEnd) -> Option<Waker> {
        if self.ended {
            return None;
        }
        self.content = Content::default();
        self.ended = true;
        self.end = Some(end);
        self.waker.take()
    }

    /// Discards the DATA that has arrived and that will arrive.
    ///
    /// Afterwards the reading may have to be [reported](Self::is_report_due).
    pub(super) fn discard(&mut self) {
        self.content = Content::Discarded;
        // The core knows how much has arrived, and counts no more than that as taken.
        self.reading.taken = u64::MAX;
        if self.report == ReadingReport::Current {
            self.report = ReadingReport::Due;
        }
    }

    /// Returns the reading for the connection's core when DATA arrives that is discarded.
    pub(super) fn discarding(&mut self) -> Option<Reading> {
        matches!(self.content, Content::Discarded).then(|| self.take_reading())
    }

    /// Returns whether receiving has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Receives the next DATA, of which `read_demand` can be used at once, or the end.
    ///
    /// Afterwards the reading may have to be [reported](Self::is_report_due).
    pub(super) fn poll(&mut self, cx: &Context<'_>, read_demand: ReadDemand) -> Poll<Incoming> {
        if let Content::Ready(pieces) = &mut self.content {
            if !pieces.is_empty() {
                let len = match read_demand {
                    ReadDemand::Message { .. } => 0,
                    ReadDemand::Rest(len) => len,
                };
                let data = pieces.take_at_least(len);
                self.taken(data.len());
                return Poll::Ready(Incoming::Data(data));
            }
            if let Some(end) = self.end.take() {
                return Poll::Ready(Incoming::End(end));
            }
        }
        match self.content {
            // The call has taken nothing since it asked for the message.
            Content::Assembling(_) | Content::Discarded => {}
            Content::Ready(_) | Content::Awaited(_) => {
                self.content = Content::Awaited(read_demand);
                if let ReadDemand::Rest(len) = read_demand {
                    self.need(len);
                }
            }
        }
        self.wait(cx);
        Poll::Pending
    }

    /// Records that the call has taken this number of octets.
    fn taken(&mut self, len: usize) {
        self.reading.taken += len as u64;
        if self.report == ReadingReport::Current {
            self.report = ReadingReport::Due;
        }
    }

    /// Records that the call takes nothing before this number of octets has arrived.
    fn need(&mut self, len: usize) {
        let needed = self.reading.taken + len as u64;
        if needed > self.reading.needed {
            self.reading.needed = needed;
            if self.report == ReadingReport::Current {
                self.report = ReadingReport::Due;
            }
        }
    }

    /// Returns whether the call has to report its reading to the connection's task. The caller then
    /// does so, and the task [takes the reading over](Self::take_reading).
    ///
    /// A stream whose end has come needs no more credit.
    #[must_use]
    pub(super) fn is_report_due(&mut self) -> bool {
        let due = self.report == ReadingReport::Due && !self.ended;
        if due {
            self.report = ReadingReport::Posted;
        }
        due
    }

    /// Returns the reading, for the connection's core.
    pub(super) fn take_reading(&mut self) -> Reading {
        self.report = ReadingReport::Current;
        self.reading
    }

    /// Takes the whole DATA and the end, which must be regular; see
    /// [`Stream::poll_whole`](crate::transport::Stream::poll_whole).
    #[inline]
    pub(super) fn take_whole(&mut self, fits: &dyn Fn(&[u8]) -> bool) -> Option<(Bytes, Metadata)> {
        let Some(StreamEnd {
            outcome: Ok(metadata),
            ..
        }) = &mut self.end
        else {
            return None;
        };
        let Content::Ready(pieces) = &mut self.content else {
            return None;
        };
        if !pieces.is_one() || !fits(pieces.first()) {
            return None;
        }
        let metadata = std::mem::take(metadata);
        self.end = None;
        Some((pieces.pop()?, metadata))
    }

    /// Registers this task to be woken when something arrives.
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        remember(&mut self.waker, cx);
    }

    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

impl Pushed {
    fn waking(waker: Option<Waker>) -> Self {
        Self {
            waker,
            reading: None,
        }
    }
}

/// Stores the waker of the current task.
pub(super) fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    const ANY: ReadDemand = ReadDemand::Message { max: usize::MAX };

    fn push(inbound: &mut Inbound, data: Bytes) -> Pushed {
        inbound.push(data, &MessageMemory::default())
    }

    fn next(inbound: &mut Inbound) -> Option<Incoming> {
        match inbound.poll(&Context::from_waker(Waker::noop()), ANY) {
            Poll::Ready(incoming) => Some(incoming),
            Poll::Pending => None,
        }
    }

    fn data(inbound: &mut Inbound) -> Bytes {
        match next(inbound) {
            Some(Incoming::Data(mut data)) => data.pop().expect("a piece"),
            other => panic!("no data but {other:?}"),
        }
    }

    #[test]
    fn all_that_comes_counts_as_taken_once_it_is_discarded() {
        let mut inbound = Inbound::default();
        assert!(inbound.discarding().is_none());
        push(&mut inbound, Bytes::from_static(b"one"));
        inbound.discard();
        assert!(inbound.is_report_due());
        assert_eq!(inbound.take_reading().taken, u64::MAX);
        let pushed = push(&mut inbound, Bytes::from_static(b"two"));
        assert_eq!(pushed.reading.expect("credit").taken, u64::MAX);
        inbound.end(StreamEnd::new(Ok(Metadata::new())));
        assert!(!inbound.is_report_due());
    }

    #[test]
    fn a_message_whose_buffer_was_taken_when_it_was_discarded_counts_as_taken() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        let len = 100_000;
        let mut begin = vec![0];
        begin.extend(u32::to_be_bytes(len));
        push(&mut inbound, begin.into());
        let buffer = inbound.take_buffer(50_000).expect("a large message");
        inbound.discard();
        assert!(inbound.return_buffer(buffer).is_none());
        assert_eq!(inbound.discarding().expect("credit").taken, u64::MAX);
        assert!(inbound.take_buffer(10).is_none());
    }

    #[test]
    fn pieces_come_in_order_and_the_end_after_them() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        for piece in ["a", "b", "c"] {
            push(&mut inbound, Bytes::from_static(piece.as_bytes()));
        }
        inbound.end(StreamEnd::new(Ok(Metadata::new())));
        assert_eq!(data(&mut inbound), "a");
        assert_eq!(
            data(&mut inbound),
            "bc",
            "small pieces that wait are kept together"
        );
        assert!(matches!(next(&mut inbound), Some(Incoming::End(_))));
    }

    #[test]
    fn a_stream_that_breaks_off_ends_at_once_and_once() {
        let mut inbound = Inbound::default();
        push(&mut inbound, Bytes::from_static(b"lost"));
        inbound.break_off(StreamEnd::new(Err(Status::unavailable("first"))));
        inbound.end(StreamEnd::new(Ok(Metadata::new())));
        match next(&mut inbound) {
            Some(Incoming::End(end)) => assert!(end.outcome.is_err()),
            other => panic!("no end but {other:?}"),
        }
        inbound.break_off(StreamEnd::new(Ok(Metadata::new())));
        assert!(next(&mut inbound).is_none());
    }

    #[test]
    fn a_reset_after_the_end_takes_nothing_back() {
        let mut inbound = Inbound::default();
        push(&mut inbound, Bytes::from_static(b"kept"));
        inbound.end(StreamEnd::new(Ok(Metadata::new())));
        inbound.break_off(StreamEnd::new(Err(Status::internal("reset"))));
        assert_eq!(data(&mut inbound), "kept");
        match next(&mut inbound) {
            Some(Incoming::End(end)) => assert!(end.outcome.is_ok()),
            other => panic!("no end but {other:?}"),
        }
    }

    #[test]
    fn a_waiting_task_is_woken_by_data() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        assert!(push(&mut inbound, Bytes::from_static(b"a")).waker.is_some());
        assert!(push(&mut inbound, Bytes::from_static(b"b")).waker.is_none());
    }

    /// A message of 100,000 bytes with its prefix.
    fn large() -> Bytes {
        let mut message = vec![0, 0, 1, 0x86, 0xa0];
        message.extend((0..100_000).map(|at| at as u8));
        message.into()
    }

    #[test]
    fn a_large_message_that_is_waited_for_comes_in_one_piece_and_wakes_once() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        let message = large();
        let pushed = push(&mut inbound, message.slice(..16_384));
        let reading = Reading {
            taken: 0,
            needed: 100_005,
        };
        assert_eq!(
            (pushed.waker.is_some(), pushed.reading),
            (false, Some(reading))
        );
        assert!(inbound.take_buffer(83_622).is_none(), "past its end");
        let mut buffer = inbound.take_buffer(16_384).expect("within the message");
        buffer.extend_from_slice(&message[16_384..32_768]);
        assert!(inbound.return_buffer(buffer).is_none());
        assert!(next(&mut inbound).is_none(), "not whole yet");
        let mut rest = message[32_768..].to_vec();
        rest.extend_from_slice(b"next");
        assert!(push(&mut inbound, rest.into()).waker.is_some());
        assert_eq!(data(&mut inbound), message);
        assert_eq!(data(&mut inbound), "next");
    }

    #[test]
    fn a_call_that_polls_again_during_a_large_message_leaves_no_demand_behind() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        let message = large();
        push(&mut inbound, message.slice(..16_384));
        assert!(next(&mut inbound).is_none(), "polled again");
        assert!(push(&mut inbound, message.slice(16_384..)).waker.is_some());
        // The front of the next message comes before the call has taken the first.
        let pushed = push(&mut inbound, message.slice(..10));
        assert_eq!(pushed.reading, None);
        assert_eq!(data(&mut inbound), message);
        assert_eq!(data(&mut inbound), message.slice(..10));
    }

    #[test]
    fn a_reading_is_reported_once_it_has_moved_and_once_until_it_is_taken_over() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        assert!(!inbound.is_report_due(), "nothing was taken");
        push(&mut inbound, Bytes::from_static(b"abc"));
        data(&mut inbound);
        assert!(inbound.is_report_due());
        push(&mut inbound, Bytes::from_static(b"de"));
        data(&mut inbound);
        assert!(!inbound.is_report_due(), "the task was told");
        let cx = Context::from_waker(Waker::noop());
        assert!(inbound.poll(&cx, ReadDemand::Rest(10)).is_pending());
        let reading = Reading {
            taken: 5,
            needed: 15,
        };
        assert_eq!(inbound.take_reading(), reading);
        assert!(inbound.poll(&cx, ReadDemand::Rest(10)).is_pending());
        assert!(!inbound.is_report_due(), "nothing has moved");
        assert!(inbound.poll(&cx, ReadDemand::Rest(11)).is_pending());
        assert!(inbound.is_report_due());
        inbound.end(StreamEnd::new(Ok(Metadata::new())));
        assert!(!inbound.is_report_due());
    }

    #[test]
    fn a_large_message_that_nobody_waits_for_is_left_in_pieces() {
        let mut inbound = Inbound::default();
        let pushed = push(&mut inbound, large().slice(..16_384));
        assert_eq!(pushed.reading, None);
        assert!(inbound.take_buffer(1).is_none());
        assert_eq!(data(&mut inbound).len(), 16_384);
    }

    #[test]
    fn part_of_a_large_message_comes_before_the_end_and_not_after_a_reset() {
        for broken in [false, true] {
            let mut inbound = Inbound::default();
            assert!(next(&mut inbound).is_none());
            push(&mut inbound, large().slice(..16_384));
            let end = StreamEnd::new(Ok(Metadata::new()));
            let waker = if broken {
                inbound.break_off(end)
            } else {
                inbound.end(end)
            };
            assert!(waker.is_some());
            if !broken {
                assert_eq!(data(&mut inbound).len(), 16_384);
            }
            assert!(matches!(next(&mut inbound), Some(Incoming::End(_))));
        }
    }

    #[test]
    fn a_buffer_that_was_taken_from_a_stream_that_has_broken_off_is_dropped() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        push(&mut inbound, large().slice(..16_384));
        let buffer = inbound.take_buffer(16_384).expect("within the message");
        inbound.break_off(StreamEnd::new(Ok(Metadata::new())));
        assert!(inbound.return_buffer(buffer).is_none());
        assert!(matches!(next(&mut inbound), Some(Incoming::End(_))));
    }
}
