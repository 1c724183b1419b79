//! The DATA of a stream over `h2`. The call that receives it polls it, or the task that discards the rest
//! of a request.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;

/// The DATA of a stream. A read returns its window to the peer.
#[derive(Debug)]
pub(super) struct Body(pub(super) RecvStream);

impl Body {
    /// Receives the next DATA that is not empty; `None` at the end of DATA.
    pub(super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, h2::Error>>> {
        loop {
            match ready!(self.0.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // Fails only when the stream has ended, and then there is no window to return.
                    let _ = self.0.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(data)));
                }
                other => return Poll::Ready(other),
            }
        }
    }
}
