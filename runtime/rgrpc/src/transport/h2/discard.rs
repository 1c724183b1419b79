//! The rest of a request that the call does not read. The call has ended or has dropped the
//! receiving half.
//!
//! `h2` resets a stream with NO_ERROR when its handles are dropped before the request has ended.
//! RFC 9113, section 8.1, allows that once the response is complete. `h2` gives no credit for the
//! request from then on, also while the response waits for the client's window. A client that sends
//! all of its request before it reads the response would wait forever.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::task::consume_budget;

use super::body::Body;
use super::piece::Unwritten;

/// Discards the rest of a request, on a task of its own, until the whole response is written. Then
/// `h2` resets the stream.
pub(super) fn discard_rest(body: Body, unwritten: Arc<Unwritten>) {
    if body.0.is_end_stream() || unwritten.is_none() {
        return;
    }
    // Without a runtime the connection is gone as well.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(discard(body, unwritten));
    }
}

async fn discard(mut body: Body, unwritten: Arc<Unwritten>) {
    loop {
        let goes_on = poll_fn(|cx| {
            if unwritten.poll_none(cx).is_ready() {
                return Poll::Ready(false);
            }
            let data = body.poll_data(cx);
            data.map(|data| matches!(data, Some(Ok(_))))
        });
        if !goes_on.await {
            return;
        }
        consume_budget().await;
    }
}
