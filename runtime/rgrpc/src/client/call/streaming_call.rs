//! A client-streaming, server-streaming or bidirectional call, until its halves are ready.
//!
//! Called by [`ClientConn::new_stream`](crate::Invoke::new_stream) and by the chains of
//! interceptors and filters, on the caller's task. The halves share a `StreamCall`, which goes on
//! from there.
//!
//! Source: grpc-go `newClientStream`.

use std::pin::pin;
use std::sync::Arc;

use super::bounds::Bounds;
use super::chained_call::{ChainStage, ChainedStream};
use super::resolved_call::OptionsSlot;
use super::stream::{StreamCall, StreamContext};
use super::wait_reason::WaitRecorder;
use crate::call::{
    CallHead, CallOptions, ChainEnd, ClientReply, MessageSink, MessageSource, MethodName,
    RecvStream, ReplyFuture, SendStream, TypedCall, run_streaming,
};
use crate::client::ClientConn;
use crate::codec::Codec;
use crate::status::Status;

/// Makes a call that is not unary, from this stage on.
pub(super) async fn streaming<C, Req, Res>(
    conn: &ClientConn,
    method: MethodName,
    options: CallOptions,
    stage: ChainStage,
) -> Result<(SendStream<Req>, RecvStream<Res>), Status>
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + 'static,
    Res: Send + 'static,
{
    let mut slot = OptionsSlot::new(options);
    if stage == ChainStage::New
        && let Some(interceptors) = conn.interceptors(slot.passed_mut())
    {
        let options = slot.into_passed();
        let call = ChainedStream::<C, Req, Res>::begin(conn, method, options);
        return run_streaming(call, interceptors).await;
    }
    let mut hooks = slot.complete(conn.defaults(stage));
    let kind = slot.passed().streaming_kind(&method);
    conn.observe(&method, kind, &mut slot, &mut hooks);
    let begun = conn.begin_call(&method, &mut slot, hooks.observer());
    let scheduler = match begun.await {
        Ok(scheduler) => scheduler,
        Err(status) => {
            hooks.call(Err(&status));
            return Err(status);
        }
    };
    let call = match slot.into_filtered() {
        Ok((filters, mut options)) => {
            let handed = hooks.hand_over(&mut options);
            let call = ChainedStream::<C, Req, Res>::begin(conn, method, options);
            call.on_end(move |outcome| hooks.call_filtered(&handed, outcome));
            return Box::pin(run_streaming(call, filters)).await;
        }
        Err(call) => call,
    };
    let observer = hooks.observer().cloned();
    let bounds = Bounds::of_call(&call);
    let (send_limit, receive_limit) = (call.send_limit(), call.receive_limit());
    let accepted = call.accept_compressors().cloned();
    let context = StreamContext {
        conn: conn.clone(),
        method,
        content_subtype: <C as Codec<Res>>::NAME,
        call,
        only_message: None,
        record_request: None,
        recorder: WaitRecorder::default(),
        observer,
    };
    let call = Arc::new(StreamCall::new(context, scheduler, hooks));
    let opened = {
        let opened = pin!(Some(call.opened()));
        bounds.run(opened, conn.target(), || call.give_up()).await
    };
    if let Err(status) = opened {
        call.finish(Err(&status));
        return Err(status);
    }
    call.watch_bounds();
    let is_observed = call.is_observed();
    let requests = SendStream::new::<C>(Arc::clone(&call) as Arc<dyn MessageSink>, send_limit);
    let responses = RecvStream::new::<C>(call, receive_limit).accepting(accepted.as_ref());
    if is_observed {
        return Ok((requests.observed::<C>(), responses.observed::<C>()));
    }
    Ok((requests, responses))
}

impl<C, Req, Res> TypedCall for ChainedStream<C, Req, Res>
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + 'static,
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
        Box::pin(async move {
            let call = streaming::<C, Req, Res>(&self.conn, method, options, stage);
            let (requests, responses): (SendStream<Req>, RecvStream<Res>) = call.await?;
            Ok(ClientReply::streams(requests, responses))
        })
    }
}
