//! Calls with interceptors or filters: the channel's call at the end of a chain.
//!
//! Created when a call begins, on the caller's task; shared by the caller's future and the chain,
//! which starts the call, once or several times, on the same task. The implementations of
//! `TypedCall`, which start it, are in `unary_call.rs` and `streaming_call.rs`.
//!
//! Source: grpc-go `chainUnaryClientInterceptors`, `chainStreamClientInterceptors`.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::call::{
    CallOptions, ChainEnd, ClientReply, InterceptorList, MethodName, OutgoingCall, Response,
};
use crate::client::ClientConn;
use crate::codec::Codec;
use crate::interceptor::CallKind;

/// The progress of a call through the chains around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChainStage {
    /// The interceptors of the stub and of the channel run first.
    New,
    /// They have run: the call itself begins.
    Intercepted,
}

impl ClientConn {
    /// The interceptors of the stub and of the channel, if there are any. The options are completed
    /// by the channel's defaults then, because interceptors see them.
    #[inline]
    pub(super) fn interceptors(&self, options: &mut CallOptions) -> Option<InterceptorList> {
        let of_channel = &self.settings().interceptors;
        if of_channel.is_empty() && !options.has_interceptors() {
            return None;
        }
        let defaults = self.settings().default_options.as_ref();
        Some(take_interceptors(options, defaults, of_channel))
    }

    /// The channel's defaults, unless interceptors have seen options that have them.
    pub(super) fn defaults(&self, stage: ChainStage) -> Option<&CallOptions> {
        match stage {
            ChainStage::New => self.settings().default_options.as_ref(),
            ChainStage::Intercepted => None,
        }
    }
}

/// Completes a call's options by the channel's defaults; returns the interceptors of the stub and
/// of the channel.
fn take_interceptors(
    options: &mut CallOptions,
    defaults: Option<&CallOptions>,
    of_channel: &InterceptorList,
) -> InterceptorList {
    if let Some(defaults) = defaults {
        let own = std::mem::take(options);
        *options = own.with_defaults(defaults);
    }
    match options.take_interceptors() {
        None => Arc::clone(of_channel),
        Some(of_stub) if of_channel.is_empty() => of_stub,
        Some(of_stub) => of_stub.iter().chain(&**of_channel).cloned().collect(),
    }
}

/// The channel of a unary call and the request's message: the caller's, or those of a chain.
pub(super) trait UnaryRequest<Req>: Send {
    fn conn(&self) -> &ClientConn;

    fn message(&self) -> &Req;

    /// The message, for a chain that begins.
    fn into_chain(self) -> ChainMessage<Req>;
}

/// The request as the caller has passed it.
pub(super) struct PassedRequest<'a, Req> {
    pub(super) conn: &'a ClientConn,
    pub(super) message: Req,
}

impl<Req: Send + Sync> UnaryRequest<Req> for PassedRequest<'_, Req> {
    fn conn(&self) -> &ClientConn {
        self.conn
    }

    fn message(&self) -> &Req {
        &self.message
    }

    fn into_chain(self) -> ChainMessage<Req> {
        ChainMessage::Own(self.message)
    }
}

/// The form of a unary call's response: the caller's, or that of a chain. The call itself makes it,
/// so that no other future is around it.
pub(super) trait UnaryReply<Res> {
    fn of_response(response: Response<Res>) -> Self;
}

impl<Res> UnaryReply<Res> for Response<Res> {
    #[inline]
    fn of_response(response: Response<Res>) -> Self {
        response
    }
}

impl<Res: Send + 'static> UnaryReply<Res> for ClientReply {
    #[inline]
    fn of_response(response: Response<Res>) -> Self {
        Self::new(response)
    }
}

/// The message of a call at the end of a chain.
pub(super) enum ChainMessage<Req> {
    Own(Req),
    /// The message of the chain around this one.
    Outer(Arc<dyn HasMessage<Req>>),
}

impl<Req> ChainMessage<Req> {
    pub(super) fn get(&self) -> &Req {
        match self {
            Self::Own(message) => message,
            Self::Outer(outer) => outer.message(),
        }
    }
}

/// A call at the end of a chain, which has the message.
pub(super) trait HasMessage<Req>: Send + Sync {
    fn message(&self) -> &Req;
}

/// A unary call at the end of a chain.
pub(super) struct ChainedUnary<C, Req, Res> {
    pub(super) end: ChainEnd,
    pub(super) conn: ClientConn,
    message: ChainMessage<Req>,
    types: PhantomData<fn(C) -> Res>,
}

impl<C, Req, Res> ChainedUnary<C, Req, Res>
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + Sync + 'static,
    Res: Send + 'static,
{
    /// The call that a chain begins with.
    pub(super) fn begin(
        method: MethodName,
        request: impl UnaryRequest<Req>,
        mut options: CallOptions,
    ) -> OutgoingCall {
        let end = ChainEnd::default();
        end.on_finish(options.take_finish_hooks());
        let kind = options.kind.unwrap_or(CallKind::Unary);
        let typed = Arc::new(Self {
            end,
            conn: request.conn().clone(),
            message: request.into_chain(),
            types: PhantomData,
        });
        OutgoingCall::new(method, kind, options, typed)
    }
}

impl<C, Req, Res> HasMessage<Req> for ChainedUnary<C, Req, Res>
where
    C: 'static,
    Req: Send + Sync,
    Res: 'static,
{
    fn message(&self) -> &Req {
        self.message.get()
    }
}

impl<C, Req, Res> UnaryRequest<Req> for Arc<ChainedUnary<C, Req, Res>>
where
    C: 'static,
    Req: Send + Sync + 'static,
    Res: 'static,
{
    fn conn(&self) -> &ClientConn {
        &self.conn
    }

    fn message(&self) -> &Req {
        HasMessage::message(&**self)
    }

    fn into_chain(self) -> ChainMessage<Req> {
        ChainMessage::Outer(self)
    }
}

/// A call that is not unary, at the end of a chain.
pub(super) struct ChainedStream<C, Req, Res> {
    pub(super) end: ChainEnd,
    pub(super) conn: ClientConn,
    types: PhantomData<fn(C, Req) -> Res>,
}

impl<C, Req, Res> ChainedStream<C, Req, Res>
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + 'static,
    Res: Send + 'static,
{
    /// As [`ChainedUnary::begin`].
    pub(super) fn begin(
        conn: &ClientConn,
        method: MethodName,
        mut options: CallOptions,
    ) -> OutgoingCall {
        let end = ChainEnd::default();
        end.on_finish(options.take_finish_hooks());
        let typed = Self {
            end,
            conn: conn.clone(),
            types: PhantomData,
        };
        let kind = options.streaming_kind(&method);
        OutgoingCall::new(method, kind, options, Arc::new(typed))
    }
}
