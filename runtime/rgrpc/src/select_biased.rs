//! A choice of two futures, without a macro.
//!
//! Used by calls that wait for a picker, by resolvers and by servers that wait for their shutdown.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The output of the future that was ready first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Waits for either of two futures and drops the other. The first one wins if both are ready.
pub(crate) async fn select_biased<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> Either<A, B> {
    let mut first = pin!(first);
    let mut second = pin!(second);
    poll_fn(|cx| {
        if let Poll::Ready(first) = first.as_mut().poll(cx) {
            Poll::Ready(Either::First(first))
        } else {
            second.as_mut().poll(cx).map(Either::Second)
        }
    })
    .await
}
