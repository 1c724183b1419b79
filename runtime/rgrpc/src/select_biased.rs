use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// What the first of two futures to be ready gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Waits until either of two futures is ready, and drops the other. When both are, the first
/// counts.
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
