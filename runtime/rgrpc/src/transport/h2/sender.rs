use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::error::{cancel_reason, stream_end};
use crate::status::Status;
use crate::transport::{CancelReason, ResetCode};
use rgrpc_http2::BytesQueue;

/// The sending half of a stream whose headers are out.
#[derive(Debug)]
pub(super) struct Sender(pub(super) SendStream<Bytes>);

impl Sender {
    /// Ready when everything sent before has got its share of the window: a stream may be over its
    /// window by one message, as in grpc-go.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        while !self.has_capacity() {
            match self.0.poll_capacity(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(failed(&error))),
                Poll::Ready(None) => return Poll::Ready(Err(closed())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether everything sent before has got its share of the window.
    pub(super) fn has_capacity(&mut self) -> bool {
        self.0.reserve_capacity(1);
        self.0.capacity() > 0
    }

    /// Queues a message; without any bytes only the end.
    pub(super) fn send(&mut self, mut data: BytesQueue, end_stream: bool) -> Result<(), Status> {
        loop {
            let piece = data.pop().unwrap_or_default();
            let last = data.is_empty();
            self.0
                .send_data(piece, end_stream && last)
                .map_err(|error| failed(&error))?;
            if last {
                return Ok(());
            }
        }
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        self.0.send_reset(reason);
    }

    /// Ready when the peer or the connection has ended the stream.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<CancelReason> {
        self.0.poll_reset(cx).map(closed_reason)
    }
}

/// Maps the outcome of `poll_reset`. It does not tell a reset from the end of the connection by an
/// error of the protocol.
pub(super) fn closed_reason(outcome: Result<Reason, h2::Error>) -> CancelReason {
    match outcome {
        Ok(reason) => CancelReason::of_reset(ResetCode(reason.into())),
        Err(error) => cancel_reason(&error),
    }
}

/// Sending failed. `h2` says little about why; receiving tells more.
fn failed(error: &h2::Error) -> Status {
    match stream_end(error, "sender", None).outcome {
        Err(status) => status,
        Ok(_) => closed(),
    }
}

/// The stream takes nothing more.
pub(super) fn closed() -> Status {
    Status::unavailable("the stream has ended")
}
