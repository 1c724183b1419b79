use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::metadata::Metadata;
use crate::pieces::Pieces;
use crate::transport::{Incoming, StreamEnd};

/// What a stream has received and its call has not taken yet. Flow control bounds it: window is
/// given back when DATA is taken.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    pieces: Pieces,
    end: Option<StreamEnd>,
    /// The end has come, taken or not.
    ended: bool,
    waker: Option<Waker>,
}

impl Inbound {
    /// The regular end of a request of which nothing else is to be taken.
    pub(super) fn ended() -> Self {
        Self {
            pieces: Pieces::default(),
            end: Some(StreamEnd::new(Ok(Metadata::new()))),
            ended: true,
            waker: None,
        }
    }

    /// DATA came. Returns who waits for it.
    pub(super) fn push(&mut self, data: Bytes) -> Option<Waker> {
        if data.is_empty() || self.ended {
            return None;
        }
        self.pieces.push(data);
        self.waker.take()
    }

    /// Nothing more comes; the first end stays. Returns who waits for it.
    pub(super) fn end(&mut self, end: StreamEnd) -> Option<Waker> {
        if self.ended {
            return None;
        }
        self.ended = true;
        self.end = Some(end);
        self.waker.take()
    }

    /// As [`end`](Self::end), and what was received before is thrown away. A stream that had ended
    /// before stays as it is: a reset after the trailers takes nothing back.
    pub(super) fn break_off(&mut self, end: StreamEnd) -> Option<Waker> {
        if self.ended {
            return None;
        }
        self.pieces = Pieces::default();
        self.ended = true;
        self.end = Some(end);
        self.waker.take()
    }

    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next DATA, of which `wanted` bytes can be used at once, or the end.
    pub(super) fn poll(&mut self, cx: &Context<'_>, wanted: usize) -> Poll<Incoming> {
        if !self.pieces.is_empty() {
            return Poll::Ready(Incoming::Data(self.pieces.take_at_least(wanted)));
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(Incoming::End(end));
        }
        self.wait(cx);
        Poll::Pending
    }

    /// All there is and will be; see [`Stream::take_whole`](crate::transport::Stream::take_whole).
    /// The end is taken with it, which must be a regular one.
    pub(super) fn take_whole(&mut self, fits: &dyn Fn(&[u8]) -> bool) -> Option<(Bytes, Metadata)> {
        let Some(StreamEnd {
            outcome: Ok(metadata),
            ..
        }) = &mut self.end
        else {
            return None;
        };
        if !self.pieces.is_one() || !fits(self.pieces.first()) {
            return None;
        }
        let metadata = std::mem::take(metadata);
        self.end = None;
        Some((self.pieces.pop()?, metadata))
    }

    /// Wakes this task when something comes.
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        remember(&mut self.waker, cx);
    }

    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

/// Keeps the task to wake.
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

    fn next(inbound: &mut Inbound) -> Option<Incoming> {
        match inbound.poll(&Context::from_waker(Waker::noop()), 0) {
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
    fn pieces_come_in_order_and_the_end_after_them() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        for piece in ["a", "b", "c"] {
            inbound.push(Bytes::from_static(piece.as_bytes()));
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
        inbound.push(Bytes::from_static(b"lost"));
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
        inbound.push(Bytes::from_static(b"kept"));
        inbound.end(StreamEnd::new(Ok(Metadata::new())));
        inbound.break_off(StreamEnd::new(Err(Status::internal("reset"))));
        assert_eq!(data(&mut inbound), "kept");
        match next(&mut inbound) {
            Some(Incoming::End(end)) => assert!(end.outcome.is_ok()),
            other => panic!("no end but {other:?}"),
        }
    }

    #[test]
    fn whoever_waits_is_woken_by_what_comes() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        assert!(inbound.push(Bytes::from_static(b"a")).is_some());
        assert!(inbound.push(Bytes::from_static(b"b")).is_none());
    }
}
