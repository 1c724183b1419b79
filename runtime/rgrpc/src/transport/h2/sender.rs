//! The sending half of a stream over `h2`, alike on clients and servers. The stream's call uses it.

use std::sync::Arc;
use std::task::{Context, Poll};

use h2::{Reason, SendStream};
use http::HeaderMap;
use rgrpc_http2::BytesQueue;

use super::error::{cancel_reason, stream_end};
use super::piece::{Piece, Unwritten};
use crate::side::Side;
use crate::status::Status;
use crate::transport::{CancelReason, ResetCode};

/// The sending half of a stream whose headers have been sent.
pub(super) struct Sender {
    stream: SendStream<Piece>,
    /// The side that sends.
    side: Side,
    /// The counter of unwritten messages, if they are counted.
    unwritten: Option<Arc<Unwritten>>,
}

impl Sender {
    pub(super) fn new(
        stream: SendStream<Piece>,
        side: Side,
        unwritten: Option<Arc<Unwritten>>,
    ) -> Self {
        Self {
            stream,
            side,
            unwritten,
        }
    }

    /// Ready when everything sent before has received its share of the window. A stream may exceed
    /// its window by one message, as in grpc-go.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        while !self.has_capacity() {
            match self.stream.poll_capacity(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(failed(self.side, &error)));
                }
                Poll::Ready(None) => return Poll::Ready(Err(closed())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Returns whether everything sent before has received its share of the window.
    pub(super) fn has_capacity(&mut self) -> bool {
        self.stream.reserve_capacity(1);
        self.stream.capacity() > 0
    }

    /// Queues a message. An empty one queues only the end.
    pub(super) fn send(&mut self, mut data: BytesQueue, end_stream: bool) -> Result<(), Status> {
        loop {
            let piece = data.pop().unwrap_or_default();
            let last = data.is_empty();
            let piece = Piece::new(piece, self.unwritten.as_ref());
            self.stream
                .send_data(piece, end_stream && last)
                .map_err(|error| failed(self.side, &error))?;
            if last {
                return Ok(());
            }
        }
    }

    /// Returns the counter of unwritten messages, if they are counted.
    pub(super) fn unwritten(&self) -> Option<&Arc<Unwritten>> {
        self.unwritten.as_ref()
    }

    /// Queues the trailers. Returns the counter of unwritten messages, if they are counted.
    pub(super) fn finish(&mut self, trailers: HeaderMap) -> Option<Arc<Unwritten>> {
        match self.stream.send_trailers(trailers) {
            Ok(()) => self.unwritten.take(),
            // The stream has been reset. The receiving half gets the status.
            Err(_) => None,
        }
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Ready when the peer or the connection has ended the stream.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<CancelReason> {
        self.stream.poll_reset(cx).map(closed_reason)
    }
}

/// Maps the outcome of `poll_reset`. It does not distinguish a reset from the end of the connection
/// by a protocol error.
pub(super) fn closed_reason(outcome: Result<Reason, h2::Error>) -> CancelReason {
    match outcome {
        Ok(reason) => CancelReason::of_reset(ResetCode(reason.into())),
        Err(error) => cancel_reason(&error),
    }
}

/// Returns the status of a failed send. `h2` reports little about the reason; receiving reports
/// more.
fn failed(side: Side, error: &h2::Error) -> Status {
    match stream_end(error, side, None).outcome {
        Err(status) => status,
        Ok(_) => closed(),
    }
}

/// Returns the status of a send on a closed stream.
pub(super) fn closed() -> Status {
    Status::unavailable("the stream has ended")
}
