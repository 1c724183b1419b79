//! The types of a call, on both sides: requests, responses, streams of messages, options.
//!
//! | concern | files |
//! |---|---|
//! | messages | `request`, `response`, `client_streaming` |
//! | the halves of a stream, and the calls behind them | `send`, `receive`, `halves` |
//! | a client's call | `invoke`, `builder`, `options`, `cancel_handle`, `unary_response` |
//! | its interceptors and its config selector | `interceptor/`, `config_selector` |
//! | its observers, and hooks | `observer`, `handed_recorders`, `on_finish`, `response_info` |
//! | a server's call | `context`, `observed`, `server_resources` |
//! | tests of users | `test_streams` |
//!
//! Stubs make calls by [`Invoke`], which [`crate::ClientConn`] implements, and which a wrapper or a
//! mock can implement. The stream halves, [`SendStream`] and [`RecvStream`], have the same types in
//! a handler and behind a stub. All of it runs on the task of the caller or of the handler.

mod builder;
mod cancel_handle;
mod client_streaming;
mod config_selector;
mod context;
mod halves;
mod handed_recorders;
mod interceptor;
mod invoke;
mod local_streams;
mod observed;
mod observer;
mod on_finish;
mod options;
mod receive;
mod request;
mod response;
mod response_info;
mod selected_call;
mod send;
mod server_resources;
mod shared_request;
mod unary_response;

pub use crate::extensions::Extensions;
pub(crate) use crate::method_name::MethodName;
pub use builder::{
    BidiStream, BidiStreamingCall, Call, ClientStream, ClientStreamingCall, ServerStream,
    ServerStreamingCall, Unary, UnaryCall,
};
pub use cancel_handle::CancelHandle;
pub use client_streaming::ClientStreaming;
pub use config_selector::{ConfigSelector, SelectInfo, SelectedConfig};
pub use context::CallContext;
pub(crate) use halves::{MessageSink, MessageSource, SourceEvent};
pub(crate) use interceptor::{
    CallHead, CallMessages, ChainEnd, ErasedClientInterceptor, InterceptorList, ReplyFuture,
    TypedCall, erased, run_streaming, run_unary,
};
pub use interceptor::{ClientInterceptor, ClientNext, ClientReply, Intercepted, OutgoingCall};
pub use invoke::Invoke;
pub(crate) use local_streams::LocalCall;
pub use local_streams::{LocalStreams, test_streams};
pub(crate) use observed::ObservedCall;
pub(crate) use observer::CallObserver;
pub(crate) use on_finish::FinishHooks;
pub use options::CallOptions;
pub(crate) use options::{DEFAULT_MAX_RETRY_BUFFER, ExtraOptions};
pub(crate) use receive::RawMessage;
pub use receive::RecvStream;
pub(crate) use request::Incoming;
pub use request::Request;
pub use response::Response;
pub(crate) use response_info::Exchange;
pub use response_info::ResponseInfo;
pub(crate) use selected_call::SelectedCall;
pub use send::SendStream;
pub(crate) use server_resources::ServerResources;
pub(crate) use shared_request::SharedRequest;
pub(crate) use unary_response::{Accepted, receive_response};
