//! The future of a call with interceptors.
//!
//! Polled on the caller's task.

use std::future::{self, Future};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::chain::start_at;
use super::end_guard::EndGuard;
use super::reported_source::ReportedSource;
use super::{ClientReply, InterceptorList, OutgoingCall, ReplyFuture};
use crate::call::{RecvStream, Response, SendStream};
use crate::status::Status;
use crate::task::{caught, caught_in};

/// The name of the code that a panic ends a call with. Panics of the call at the end of a chain are
/// caught there.
const INTERCEPTOR: &str = "an interceptor of the call";

/// Runs the chain of a unary call.
///
/// Dropping the future cancels the call.
///
/// # Errors
/// The status that the call ends with.
pub(crate) fn run_unary<Res: 'static>(
    call: OutgoingCall,
    interceptors: InterceptorList,
) -> UnaryChain<Res> {
    UnaryChain {
        begin: Some((call, interceptors)),
        running: None,
        types: PhantomData,
    }
}

/// The future of a unary call with a chain. Written by hand: it is allocated for every call, and an
/// async function would keep the call twice.
pub(crate) struct UnaryChain<Res> {
    /// Until the first poll.
    begin: Option<(OutgoingCall, InterceptorList)>,
    /// From the first poll until the end.
    running: Option<(ReplyFuture, EndGuard)>,
    types: PhantomData<fn() -> Res>,
}

impl<Res: 'static> Future for UnaryChain<Res> {
    type Output = Result<Response<Res>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some((call, interceptors)) = self.begin.take() {
            let end = EndGuard::new(&call);
            let chain = caught(INTERCEPTOR, || start_at(call, &interceptors, 0))
                .unwrap_or_else(|panicked| Box::pin(future::ready(Err(panicked.to_status()))));
            self.running = Some((chain, end));
        }
        let Some((chain, _)) = &mut self.running else {
            panic!("a call that is over was polled");
        };
        let polled = caught(INTERCEPTOR, || chain.as_mut().poll(cx))
            .unwrap_or_else(|panicked| Poll::Ready(Err(panicked.to_status())));
        let response = ready!(polled).and_then(ClientReply::into_response);
        if let Some((chain, end)) = self.running.take() {
            // Its values may panic then, which does not change the end of the call.
            let _ = caught(INTERCEPTOR, || drop(chain));
            end.finish(response.as_ref().map(Response::trailer));
        }
        Poll::Ready(response)
    }
}

/// Runs the chain of a call that is not unary.
///
/// Dropping the future cancels the call.
///
/// # Errors
/// The status of a call that could not begin.
pub(crate) async fn run_streaming<Req: 'static, Res: 'static>(
    call: OutgoingCall,
    interceptors: InterceptorList,
) -> Result<(SendStream<Req>, RecvStream<Res>), Status> {
    let end = EndGuard::new(&call);
    let reply = caught_in(INTERCEPTOR, || start_at(call, &interceptors, 0)).await;
    let reply = reply.unwrap_or_else(|panicked| Err(panicked.to_status()));
    match reply.and_then(ClientReply::into_streams) {
        Ok((requests, responses)) if end.may_have_hooks() => Ok((
            requests,
            responses.through(|source| Arc::new(ReportedSource::new(source, end))),
        )),
        Ok(streams) => Ok(streams),
        Err(status) => {
            end.finish(Err(&status));
            Err(status)
        }
    }
}
