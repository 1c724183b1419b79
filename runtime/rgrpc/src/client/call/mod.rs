//! Calls: from the user's options to the response, over one attempt or several.
//!
//! Called by stubs through [`Invoke`], on the caller's task. Every call begins in `begin_call` and
//! ends in its `FinishHooks`; every attempt begins in `AttemptContext::begin_attempt` and ends in
//! `CallAttempt::finish`.
//!
//! ```text
//!   invoke ──► unary_call ◄────── chained_call ──────► streaming_call ◄── new_stream
//!                │    │        interceptors, filters      │      │
//!                │    └────► call_beginning, observation ◄┘      │
//!                │            ResolvedCall, AttemptScheduler     │
//!                │ hedged_call ──────────────────────────────┐   │
//!                │                                           ▼   ▼
//!                │ one attempt after the other            stream: several at once
//!                └──────────────┬────────────────────────────┘
//!                               ▼
//!   attempt: pick, authorize, open ──► CallAttempt
//! ```
//!
//! - [`unary_call`], [`hedged_call`], [`streaming_call`]: a call of each kind, as `Invoke` makes it;
//! - [`chained_call`]: the call at the end of a chain of interceptors or filters;
//! - [`call_beginning`]: name resolution, the config of the method, the resolved options;
//! - [`resolved_call`]: the options of a call, as passed and in force;
//! - [`observation`]: the begin of a call for stats handlers and message interceptors;
//! - [`scheduler`]: when attempts begin and what their failures mean, without a clock;
//! - [`attempt`]: an attempt, from the pick to the end of its stream;
//! - [`stream`]: the state that the halves of a streaming call share; [`stream_wakers`]: their wakers;
//! - [`bounds`]: the deadline, cancel handle and parent; [`wait_reason`]: the texts of the deadline.
//!
//! Source: grpc-go `stream.go`: `newClientStream`, `clientStream`, `csAttempt`.

mod attempt;
mod bounds;
mod call_beginning;
mod chained_call;
mod hedged_call;
mod observation;
mod resolved_call;
mod scheduler;
mod stream;
mod stream_wakers;
mod streaming_call;
mod unary_call;
mod wait_reason;

use std::future::Future;
use std::pin::Pin;

use self::chained_call::{ChainStage, ChainedUnary, PassedRequest};
use self::streaming_call::streaming;
use self::unary_call::unary;
use super::ClientConn;
use crate::call::{CallOptions, Invoke, MethodName, RecvStream, Response, SendStream, run_unary};
use crate::codec::Codec;
use crate::status::Status;
use crate::task::pin_in_place;

impl Invoke for ClientConn {
    fn invoke<C, Req, Res>(
        &self,
        _codec: C,
        method: MethodName,
        message: Req,
        options: CallOptions,
    ) -> impl Future<Output = Result<Response<Res>, Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        let stage = ChainStage::New;
        let request = PassedRequest {
            conn: self,
            message,
        };
        unary::<C, Req, Res, _, Response<Res>>(method, request, options, stage)
    }

    /// A call with interceptors needs no space for the call itself, which the chain allocates.
    fn start_invoke<'a, C, Req, Res>(
        &'a self,
        codec: C,
        method: MethodName,
        message: Req,
        mut options: CallOptions,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Res>, Status>> + Send + 'a>>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        let Some(interceptors) = self.interceptors(&mut options) else {
            return pin_in_place(|| self.invoke(codec, method, message, options));
        };
        let request = PassedRequest {
            conn: self,
            message,
        };
        let call = ChainedUnary::<C, Req, Res>::begin(method, request, options);
        Box::pin(run_unary(call, interceptors))
    }

    fn new_stream<C, Req, Res>(
        &self,
        _codec: C,
        method: MethodName,
        options: CallOptions,
    ) -> impl Future<Output = Result<(SendStream<Req>, RecvStream<Res>), Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        streaming::<C, Req, Res>(self, method, options, ChainStage::New)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Waker};

    use super::*;
    use crate::lock::lock;
    use crate::status::Code;
    use crate::{ProtoCodec, credentials};

    #[tokio::test]
    async fn a_call_that_is_dropped_while_it_waits_for_the_resolver_tells_its_hooks() {
        let conn = ClientConn::new("passthrough:///a", credentials::insecure()).expect("valid");
        let ended = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&ended);
        let mut options = CallOptions::new();
        options.on_finish(move |outcome| lock(&hook).push(outcome.map_err(Status::code)));
        let method = MethodName::from_static("/a.B/C");
        {
            let mut call = pin!(conn.invoke::<_, (), ()>(ProtoCodec, method, (), options));
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            assert!(lock(&ended).is_empty());
        }
        assert_eq!(*lock(&ended), [Err(Code::Cancelled)]);
    }

    #[test]
    fn the_future_of_a_unary_call_is_small() {
        let conn = ClientConn::new("passthrough:///a", credentials::insecure()).expect("valid");
        let method = MethodName::from_static("/a.B/C");
        let call = conn.invoke::<_, (), ()>(ProtoCodec, method, (), CallOptions::new());
        // It is allocated for every call.
        assert!(size_of_val(&call) <= 744, "{}", size_of_val(&call));
    }
}
