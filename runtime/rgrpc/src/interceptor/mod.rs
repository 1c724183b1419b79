//! The types that the interceptors of both sides share: kinds of calls, messages, the end of a
//! call.
//!
//! The traits and the chains are in `call/interceptor/` and `server/interceptor/`. Everything here
//! runs on the task of the call: a server's handler or a client's caller.

mod kind;
mod message;
mod messages;
mod outcome;

pub use kind::CallKind;
pub use message::{MessageInterceptor, MessageView};
pub(crate) use messages::MessageInterceptors;
pub use outcome::{CallOutcome, EndedBy};
pub(crate) use outcome::{EndHook, EndHooks};
