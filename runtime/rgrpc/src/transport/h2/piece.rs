//! The pieces of messages that `h2` writes, and the count of those that it has not written. Calls make
//! them, and `h2` drops them on the connection's task; the task that discards the rest of a request waits
//! for the count.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use crate::lock::lock;

/// A piece of a message that `h2` writes.
pub(super) struct Piece {
    data: Bytes,
    _counted: Option<Counted>,
}

impl Piece {
    /// Creates a piece, which counts as unwritten until `h2` drops it.
    pub(super) fn new(data: Bytes, unwritten: Option<&Arc<Unwritten>>) -> Self {
        Self {
            data,
            _counted: unwritten.map(Counted::new),
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
    }
}

/// The number of pieces of a stream that `h2` has neither written nor dropped.
///
/// `h2` does not report the capacity of a stream once its end is queued. So the pieces themselves
/// report when the last of them was written.
#[derive(Default)]
pub(super) struct Unwritten {
    pieces: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Unwritten {
    pub(super) fn is_none(&self) -> bool {
        self.pieces.load(Ordering::Acquire) == 0
    }

    /// Ready when all pieces are written.
    pub(super) fn poll_none(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_none() {
            *lock(&self.waker) = Some(cx.waker().clone());
        }
        // The last piece may have been written before the waker was stored.
        if self.is_none() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// A share in the number: that of a piece, or that of a call that may still send pieces.
pub(super) struct Counted(Arc<Unwritten>);

impl Counted {
    pub(super) fn new(unwritten: &Arc<Unwritten>) -> Self {
        unwritten.pieces.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(unwritten))
    }

    pub(super) fn unwritten(&self) -> &Arc<Unwritten> {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.pieces.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waker = lock(&self.0.waker).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::checked_waker::{CheckedWakes, is_locked};

    #[test]
    fn pieces_are_unwritten_until_the_last_is_dropped() {
        let unwritten = Arc::new(Unwritten::default());
        let cx = Context::from_waker(Waker::noop());
        assert!(unwritten.poll_none(&cx).is_ready());
        let mut first = Piece::new(Bytes::from_static(b"one"), Some(&unwritten));
        let second = Piece::new(Bytes::from_static(b"two"), Some(&unwritten));
        first.advance(3);
        assert_eq!(first.remaining(), 0);
        assert!(unwritten.poll_none(&cx).is_pending());
        drop(first);
        assert!(unwritten.poll_none(&cx).is_pending());
        drop(second);
        assert!(unwritten.poll_none(&cx).is_ready());
    }

    #[test]
    fn the_task_that_waits_for_the_last_piece_is_not_woken_under_the_lock() {
        let unwritten = Arc::new(Unwritten::default());
        let wakes = CheckedWakes::new({
            let unwritten = Arc::clone(&unwritten);
            move || is_locked(&unwritten.waker)
        });
        let piece = Piece::new(Bytes::from_static(b"one"), Some(&unwritten));
        let waker = wakes.waker();
        assert!(
            unwritten
                .poll_none(&Context::from_waker(&waker))
                .is_pending()
        );
        drop(piece);
        assert_eq!(wakes.take(), (1, 0));
    }
}
