//! A unary call, from its options to its response: one attempt after the other, in the caller's
//! future.
//!
//! Called by [`ClientConn::invoke`](crate::Invoke::invoke) and by the chains of interceptors and
//! filters, on the caller's task. Most calls of most programs are unary; their futures are moved
//! once and kept for as long as the server takes. So each of their variables is there once, and the
//! functions take references.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rgrpc_http2::BytesQueue;
use tokio::time::{Instant, sleep};

use super::attempt::{AttemptContext, CallAttempt};
use super::bounds::Bounds;
use super::chained_call::{ChainStage, ChainedUnary, UnaryReply, UnaryRequest};
use super::hedged_call::hedge;
use super::resolved_call::{OptionsSlot, ResolvedCall};
use super::scheduler::{AttemptDecision, AttemptFailure, AttemptScheduler};
use super::stream::RecordRequest;
use super::wait_reason::{WaitReason, WaitRecorder};
use crate::call::{
    Accepted, CallHead, CallObserver, CallOptions, ChainEnd, ClientReply, FinishHooks, MethodName,
    ReplyFuture, Response, TypedCall, receive_response, run_unary,
};
use crate::codec::{Codec, Compressor, MessageLimit, PREFIX_LEN, frame_measured, frame_with};
use crate::interceptor::{CallKind, MessageView};
use crate::status::Status;
use crate::task::{current_runtime, pin_in_place};

/// Makes a unary call, from this stage on.
pub(super) fn unary<C, Req, Res, R, Reply>(
    method: MethodName,
    request: R,
    options: CallOptions,
    stage: ChainStage,
) -> impl Future<Output = Result<Reply, Status>> + Send
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + Sync + 'static,
    Res: Send + 'static,
    R: UnaryRequest<Req>,
    Reply: UnaryReply<Res>,
{
    let mut slot = OptionsSlot::new(options);
    // Not an async function, which keeps its arguments twice.
    async move {
        if stage == ChainStage::New
            && let Some(interceptors) = request.conn().interceptors(slot.passed_mut())
        {
            let options = slot.into_passed();
            let call = ChainedUnary::<C, Req, Res>::begin(method, request, options);
            return run_unary(call, interceptors).await.map(Reply::of_response);
        }
        let mut hooks = slot.complete(request.conn().defaults(stage));
        request
            .conn()
            .observe(&method, CallKind::Unary, &mut slot, &mut hooks);
        let begun = request
            .conn()
            .begin_call(&method, &mut slot, hooks.observer());
        let mut scheduler = match begun.await {
            Ok(scheduler) => scheduler,
            Err(status) => {
                hooks.call(Err(&status));
                return Err(status);
            }
        };
        if scheduler.is_hedged() || slot.has_filters() {
            let call = boxed::<C, Req, Res, R>(method, request, slot, scheduler, hooks);
            return call.await.map(Reply::of_response);
        }
        let result = {
            let call = slot.resolved();
            let recorder = WaitRecorder::default();
            let context = AttemptContext {
                conn: request.conn(),
                method: &method,
                content_subtype: <C as Codec<Res>>::NAME,
                call,
                recorder: &recorder,
                observer: hooks.observer(),
            };
            let attempts =
                make_attempts::<C, Req, Res>(&context, request.message(), &mut scheduler);
            let attempts = pin!(Some(attempts));
            let bounds = Bounds::of_call(call);
            bounds
                .run(attempts, context.conn.target(), || recorder.take())
                .await
        };
        hooks.call(result.as_ref().map(Response::trailer));
        match result {
            Ok(response) => Ok(Reply::of_response(response)),
            Err(status) => Err(status),
        }
    }
}

/// Makes a unary call that has filters, which run first, or that is hedged. Boxed, so that other
/// calls need no space for it.
fn boxed<'r, C, Req, Res, R>(
    method: MethodName,
    request: R,
    slot: OptionsSlot,
    scheduler: AttemptScheduler,
    mut hooks: FinishHooks,
) -> Pin<Box<dyn Future<Output = Result<Response<Res>, Status>> + Send + 'r>>
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + Sync + 'static,
    Res: Send + 'static,
    R: UnaryRequest<Req> + 'r,
{
    match slot.into_filtered() {
        Ok((filters, mut options)) => {
            let handed = hooks.hand_over(&mut options);
            let call = ChainedUnary::<C, Req, Res>::begin(method, request, options);
            call.on_end(move |outcome| hooks.call_filtered(&handed, outcome));
            Box::pin(run_unary(call, filters))
        }
        Err(call) => Box::pin(async move {
            let observer = hooks.observer();
            let result = match frame_hedged::<C, Req>(&call, request.message(), observer) {
                Ok(framed) => {
                    let conn = request.conn().clone();
                    let observed = observer.map(|observer| {
                        let message = request.into_chain();
                        let record =
                            move |attempt: &CallAttempt| attempt.record_only_message(message.get());
                        (Arc::clone(observer), Arc::new(record) as Arc<RecordRequest>)
                    });
                    hedge::<C, Res>(conn, method, framed, call, scheduler, observed).await
                }
                Err(status) => Err(status),
            };
            hooks.with(result)
        }),
    }
}

/// Makes one attempt after the other, until one has succeeded or the policy allows no other.
async fn make_attempts<C, Req, Res>(
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
                current_runtime("a call was retried")?;
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

/// Frames the request of an attempt.
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

/// Frames the request of a hedged call, once for all attempts.
fn frame_hedged<C: Codec<Req>, Req: 'static>(
    call: &ResolvedCall,
    message: &Req,
    observer: Option<&Arc<CallObserver>>,
) -> Result<BytesQueue, Status> {
    let (compressor, limit) = (call.send_compressor(), call.send_limit());
    match observer {
        None => frame_with::<C, Req>(message, compressor, limit),
        Some(observer) => frame_shown::<C, Req>(observer, message, compressor, limit),
    }
}

/// Frames the only message of a call, and shows it to message interceptors.
fn frame_shown<C: Codec<Req>, Req: 'static>(
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
    let reason = || Some(WaitReason::Backoff { attempt, last });
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
    let reason = || Some(attempt.wait_reason());
    let response = context.recorder.during(response, reason).await;
    response.map_err(|status| attempt.failure(status))
}

impl<C, Req, Res> TypedCall for ChainedUnary<C, Req, Res>
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + Sync + 'static,
    Res: Send + 'static,
{
    fn end(&self) -> &ChainEnd {
        &self.end
    }

    fn start(self: Arc<Self>, head: CallHead) -> ReplyFuture {
        let CallHead {
            method, options, ..
        } = head;
        let stage = ChainStage::Intercepted;
        pin_in_place(|| unary::<C, Req, Res, _, ClientReply>(method, self, options, stage))
    }
}
