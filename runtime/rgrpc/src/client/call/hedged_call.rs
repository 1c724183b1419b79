//! A hedged call: a unary call with several attempts at once.
//!
//! Called by the unary call, on the caller's task, if its method's policy is to hedge. It is a
//! streaming call inside, with one message that is sent by each attempt; its future drives all
//! attempts.
//!
//! Source: gRFC A6, "Hedging Policy".

use std::pin::pin;
use std::sync::Arc;

use rgrpc_http2::BytesQueue;

use super::bounds::Bounds;
use super::resolved_call::ResolvedCall;
use super::scheduler::AttemptScheduler;
use super::stream::{RecordRequest, StreamCall, StreamContext};
use super::wait_reason::WaitRecorder;
use crate::call::{Accepted, CallObserver, FinishHooks, MethodName, Response, receive_response};
use crate::client::ClientConn;
use crate::codec::Codec;
use crate::status::Status;

/// Makes a hedged call with this framed request. `observed` has its observers and the recording of the
/// request, if it has any.
///
/// Dropping the future cancels the call and its attempts.
pub(super) async fn hedge<C, Res>(
    conn: ClientConn,
    method: MethodName,
    framed: BytesQueue,
    call: ResolvedCall,
    scheduler: AttemptScheduler,
    observed: Option<(Arc<CallObserver>, Arc<RecordRequest>)>,
) -> Result<Response<Res>, Status>
where
    C: Codec<Res>,
    Res: 'static,
{
    let bounds = Bounds::of_call(&call);
    let limit = call.receive_limit();
    let encodings = call.accept_compressors().cloned();
    let (observer, record_request) = observed.unzip();
    let context = StreamContext {
        conn: conn.clone(),
        method,
        content_subtype: C::NAME,
        call,
        only_message: Some(framed),
        recorder: WaitRecorder::default(),
        observer,
        record_request,
    };
    let call = Arc::new(StreamCall::new(context, scheduler, FinishHooks::default()));
    let recorder = WaitRecorder::default();
    let response = async {
        let accepted = Accepted {
            limit,
            encodings: encodings.as_ref(),
        };
        let response = pin!(receive_response::<C, Res>(&call, accepted));
        recorder.during(response, || call.give_up()).await
    };
    let response = pin!(Some(response));
    bounds
        .run(response, conn.target(), || recorder.take())
        .await
}
