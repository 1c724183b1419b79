use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::assembly::Assembly;

use crate::metadata::Metadata;
use crate::pieces::Pieces;
use crate::transport::{Incoming, StreamEnd, Wanted};

/// What a stream has received and its call has not taken yet. Flow control bounds it: window is
/// given back when DATA is taken.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    pieces: Pieces,
    /// What comes behind them: a large message of which the call gets nothing before it is whole.
    assembly: Option<Box<Assembly>>,
    end: Option<StreamEnd>,
    /// The end has come, taken or not.
    ended: bool,
    /// What the call waits for that the waker is of.
    wanted: Option<Wanted>,
    waker: Option<Waker>,
}

/// What is to be done when DATA has come.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// Who waits for it.
    pub(super) waker: Option<Waker>,
    /// How long the message is that has begun, if it is large: none of it is read before it is whole,
    /// so the peer needs window for all of it.
    pub(super) expected: usize,
}

impl Inbound {
    /// The regular end of a request of which nothing else is to be taken.
    pub(super) fn ended() -> Self {
        Self {
            end: Some(StreamEnd::new(Ok(Metadata::new()))),
            ended: true,
            ..Self::default()
        }
    }

    /// DATA came.
    pub(super) fn push(&mut self, data: Bytes) -> Pushed {
        if data.is_empty() || self.ended {
            return Pushed::default();
        }
        if let Some(assembly) = &mut self.assembly {
            let rest = assembly.push(data);
            let waker = self.complete();
            self.pieces.push(rest);
            return Pushed { waker, expected: 0 };
        }
        if let Some(wanted) = self.wanted.take()
            && let Some(assembly) = Assembly::begin(wanted, &data)
        {
            let expected = match wanted {
                Wanted::Message { .. } => assembly.len(),
                // The call has said so.
                Wanted::Rest(_) => 0,
            };
            self.assembly = Some(Box::new(assembly));
            return Pushed {
                waker: None,
                expected,
            };
        }
        self.pieces.push(data);
        Pushed {
            waker: self.waker.take(),
            expected: 0,
        }
    }

    /// Where the next `len` octets of DATA belong, if that is a large message that has begun; to be
    /// [given back](Self::give_back) with them.
    pub(super) fn lend(&mut self, len: usize) -> Option<Vec<u8>> {
        self.assembly.as_mut()?.lend(len)
    }

    /// DATA came, to what was [lent](Self::lend). Returns who waits for it.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) -> Option<Waker> {
        self.assembly.as_mut()?.give_back(buffer);
        self.complete()
    }

    /// Hands on the message that has come whole, if it has. Returns who waits for it.
    fn complete(&mut self) -> Option<Waker> {
        let assembly = self.assembly.take_if(|assembly| assembly.missing() == 0)?;
        self.pieces.push(assembly.into_bytes());
        self.waker.take()
    }

    /// Nothing more comes; the first end stays. Returns who waits for it.
    pub(super) fn end(&mut self, end: StreamEnd) -> Option<Waker> {
        if self.ended {
            return None;
        }
        if let Some(assembly) = self.assembly.take() {
            self.pieces.push(assembly.into_bytes());
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
        self.assembly = None;
        self.ended = true;
        self.end = Some(end);
        self.waker.take()
    }

    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next DATA, of which `wanted` can be used at once, or the end.
    pub(super) fn poll(&mut self, cx: &Context<'_>, wanted: Wanted) -> Poll<Incoming> {
        if !self.pieces.is_empty() {
            self.wanted = None;
            let len = match wanted {
                Wanted::Message { .. } => 0,
                Wanted::Rest(len) => len,
            };
            return Poll::Ready(Incoming::Data(self.pieces.take_at_least(len)));
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(Incoming::End(end));
        }
        self.wanted = Some(wanted);
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

    const ANY: Wanted = Wanted::Message { max: usize::MAX };

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
        assert!(inbound.push(Bytes::from_static(b"a")).waker.is_some());
        assert!(inbound.push(Bytes::from_static(b"b")).waker.is_none());
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
        let pushed = inbound.push(message.slice(..16_384));
        assert_eq!((pushed.waker.is_some(), pushed.expected), (false, 100_005));
        assert!(inbound.lend(83_622).is_none(), "past its end");
        let mut lent = inbound.lend(16_384).expect("within the message");
        lent.extend_from_slice(&message[16_384..32_768]);
        assert!(inbound.give_back(lent).is_none());
        assert!(next(&mut inbound).is_none(), "not whole yet");
        let mut rest = message[32_768..].to_vec();
        rest.extend_from_slice(b"next");
        assert!(inbound.push(rest.into()).waker.is_some());
        assert_eq!(data(&mut inbound), message);
        assert_eq!(data(&mut inbound), "next");
    }

    #[test]
    fn a_large_message_that_nobody_waits_for_is_left_in_pieces() {
        let mut inbound = Inbound::default();
        let pushed = inbound.push(large().slice(..16_384));
        assert_eq!(pushed.expected, 0);
        assert!(inbound.lend(1).is_none());
        assert_eq!(data(&mut inbound).len(), 16_384);
    }

    #[test]
    fn part_of_a_large_message_comes_before_the_end_and_not_after_a_reset() {
        for broken in [false, true] {
            let mut inbound = Inbound::default();
            assert!(next(&mut inbound).is_none());
            inbound.push(large().slice(..16_384));
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
    fn what_was_lent_to_a_stream_that_has_broken_off_is_dropped() {
        let mut inbound = Inbound::default();
        assert!(next(&mut inbound).is_none());
        inbound.push(large().slice(..16_384));
        let lent = inbound.lend(16_384).expect("within the message");
        inbound.break_off(StreamEnd::new(Ok(Metadata::new())));
        assert!(inbound.give_back(lent).is_none());
        assert!(matches!(next(&mut inbound), Some(Incoming::End(_))));
    }
}
