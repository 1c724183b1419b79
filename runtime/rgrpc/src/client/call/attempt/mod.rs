//! Attempts at a call: from picking a connection to the end of the stream there.
//!
//! Begun by unary and streaming calls, on the task that polls the call.

mod authorize;
mod call_attempt;
mod context;
mod counted_attempt;
mod opening;
mod pick;
mod recorded;

pub(super) use self::call_attempt::CallAttempt;
pub(super) use self::context::AttemptContext;
pub(super) use self::pick::wait_for_call_config;
