//! A unary call without hedging: one attempt after the other, in the caller's future.
//!
//! Called by [`ClientConn::invoke`](crate::Invoke::invoke), on the caller's task. Most calls of
//! most programs are unary; their futures are moved once and kept for as long as the server takes.
//! So each of their variables is there once, and the functions take references.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rgrpc_http2::BytesQueue;
use tokio::time::{Instant, sleep};

use super::attempt::{AttemptContext, CallAttempt};
use super::scheduler::{AttemptDecision, AttemptFailure, AttemptScheduler};
use super::wait_reason::{WaitReason, WaitRecorder};
use crate::call::{Accepted, CallObserver, Response, receive_response};
use crate::codec::{Codec, Compressor, MessageLimit, PREFIX_LEN, frame_measured, frame_with};
use crate::interceptor::MessageView;
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
    Req: 'static,
    Res: 'static,
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
        let number = scheduler.begin_next();
        let failure = match context.begin_attempt(number, &mut framed).await {
            Ok(attempt) => {
                attempt.record_only_message(message);
                match receive::<C, Res>(context, &attempt).await {
                    Ok(response) => {
                        scheduler.succeeded();
                        return Ok(response);
                    }
                    Err(failure) => failure,
                }
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
            AttemptDecision::Fail(status) => return Err(status),
        }
    }
}

fn frame<C: Codec<Req>, Req: 'static>(
    context: &AttemptContext<'_>,
    message: &Req,
) -> Result<BytesQueue, Status> {
    let (compressor, limit) = (context.call.send_compressor(), context.call.send_limit());
    match context.observer {
        None => frame_with::<C, Req>(message, compressor, limit),
        Some(observer) => frame_shown::<C, Req>(observer, message, compressor, limit),
    }
}

/// Frames the only message of a call, and shows it to message interceptors.
pub(super) fn frame_shown<C: Codec<Req>, Req: 'static>(
    observer: &CallObserver,
    message: &Req,
    compressor: Option<&Arc<dyn Compressor>>,
    limit: MessageLimit,
) -> Result<BytesQueue, Status> {
    if compressor.is_none() && !observer.shows_messages() {
        let framed = frame_with::<C, Req>(message, compressor, limit)?;
        let len = framed.len().saturating_sub(PREFIX_LEN);
        observer.measured(len, len);
        return Ok(framed);
    }
    let (framed, encoded_len) = frame_measured::<C, Req>(message, compressor, limit)?;
    let compressed_len = framed.len().saturating_sub(PREFIX_LEN);
    let view = MessageView::new(Some(message), encoded_len, compressed_len);
    observer.sending_only(&view)?;
    Ok(framed)
}

/// Waits until this attempt is due; `last` is the failure of the one before.
async fn back_off(context: &AttemptContext<'_>, delay: Duration, attempt: u32, last: Status) {
    let reason = || WaitReason::Backoff { attempt, last };
    context.recorder.during(pin!(sleep(delay)), reason).await;
}

/// Waits for the response to an attempt.
async fn receive<C: Codec<Res>, Res: 'static>(
    context: &AttemptContext<'_>,
    attempt: &Arc<CallAttempt>,
) -> Result<Response<Res>, AttemptFailure> {
    let accepted = Accepted {
        limit: context.call.receive_limit(),
        encodings: context.call.accept_compressors(),
    };
    let response = pin!(receive_response::<C, Res>(attempt, accepted));
    let abandoned = |recorder: &WaitRecorder| attempt.abandoned(recorder);
    let response = context.recorder.watch(response, abandoned).await;
    response.map_err(|status| attempt.failure(status))
}
