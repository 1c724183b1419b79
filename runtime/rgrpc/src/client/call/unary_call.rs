//! A unary call without hedging: one attempt after the other, in the caller's future.
//!
//! Called by [`ClientConn::invoke`](crate::Invoke::invoke), on the caller's task. Most calls of
//! most programs are unary; their futures are moved once and kept for as long as the server takes.
//! So each of their variables is there once, and the functions take references.

use std::pin::pin;
use std::time::Duration;

use rgrpc_http2::BytesQueue;
use tokio::time::{Instant, sleep};

use super::attempt::AttemptContext;
use super::scheduler::{AttemptDecision, AttemptFailure, AttemptScheduler};
use super::wait_reason::WaitReason;
use crate::call::{Accepted, Response, receive_response};
use crate::codec::{Codec, frame_with};
use crate::status::Status;
use crate::task::current_runtime;

/// Makes attempts until one has decided the call.
pub(super) async fn run<C, Req, Res>(
    context: &AttemptContext<'_>,
    message: &Req,
    scheduler: &mut AttemptScheduler,
) -> Result<Response<Res>, Status>
where
    C: Codec<Req> + Codec<Res>,
{
    let compressed = match context.call.send_compressor() {
        Some(_) => Some(Box::new(frame::<C, Req>(context, message)?)),
        None => None,
    };
    loop {
        // A message that is not compressed is framed for each attempt again, which are few: keeping
        // the bytes for the next would cost every call an allocation.
        let mut framed = Some(match &compressed {
            Some(framed) => BytesQueue::clone(framed),
            None => frame::<C, Req>(context, message)?,
        });
        let previous = scheduler.begin_next();
        let failure = match attempt::<C, Res>(context, previous, &mut framed).await {
            Ok(response) => {
                scheduler.succeeded();
                return Ok(response);
            }
            Err(failure) => failure,
        };
        // The text of a deadline that passes during a backoff has the failure before it.
        let last = failure.status.clone();
        match scheduler.failed(failure, Instant::now, fastrand::f64()) {
            AttemptDecision::RetryAfter(Duration::ZERO) => {}
            // Boxed, so that calls that need no other attempt need no space for it.
            AttemptDecision::RetryAfter(delay) => {
                current_runtime("a call was made, which was to be retried,")?;
                let attempt = scheduler.begun() + 1;
                Box::pin(back_off(context, delay, attempt, last)).await;
            }
            // These two are for hedged calls.
            AttemptDecision::RepeatNow | AttemptDecision::AwaitOthers => {}
            AttemptDecision::Fail(status) => {
                context.call.commit();
                return Err(status);
            }
        }
    }
}

fn frame<C: Codec<Req>, Req>(
    context: &AttemptContext<'_>,
    message: &Req,
) -> Result<BytesQueue, Status> {
    let call = context.call;
    frame_with::<C, Req>(message, call.send_compressor(), call.send_limit())
}

/// Waits until this attempt is due; `last` is the failure of the one before.
async fn back_off(context: &AttemptContext<'_>, delay: Duration, attempt: u32, last: Status) {
    let reason = || Some(WaitReason::Backoff { attempt, last });
    context.recorder.during(pin!(sleep(delay)), reason).await;
}

/// One attempt: sends the message and waits for the response.
async fn attempt<C: Codec<Res>, Res>(
    context: &AttemptContext<'_>,
    previous: u32,
    framed: &mut Option<BytesQueue>,
) -> Result<Response<Res>, AttemptFailure> {
    let attempt = context.begin_attempt(previous, framed).await?;
    let accepted = Accepted {
        limit: context.call.receive_limit(),
        encodings: context.call.accept_compressors(),
    };
    let response = pin!(receive_response::<C, Res>(&attempt, accepted));
    let reason = || Some(attempt.wait_reason());
    let response = context.recorder.during(response, reason).await;
    response.map_err(|status| attempt.failure(status))
}
