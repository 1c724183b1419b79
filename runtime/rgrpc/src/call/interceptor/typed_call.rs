//! The call at the end of a chain of interceptors, which makes it.
//!
//! Used on the task of the call.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use super::chain_end::ChainEnd;
use super::{ClientReply, ReplyFuture};
use crate::call::{CallOptions, LocalCall, MethodName, Response};
use crate::interceptor::CallKind;
use crate::status::Status;

/// The call at the end of a chain, which knows the types of the messages, and the chain before it.
///
/// Shared by the caller's future, which waits for the chain, and by the [`OutgoingCall`]s of its
/// interceptors.
pub(crate) trait TypedCall: CallMessages {
    /// The end of the call for its caller.
    fn end(&self) -> &ChainEnd;

    /// Makes the call. The chain may do so several times.
    fn start(self: Arc<Self>, head: CallHead) -> ReplyFuture;
}

/// The messages of a [`TypedCall`], for its interceptors.
pub(crate) trait CallMessages: Send + Sync {
    /// The content-subtype of the call's codec.
    fn content_subtype(&self) -> &'static str;

    /// The request of a unary call; `None` for other calls.
    fn request(&self) -> Option<&dyn Any>;

    /// The request of a unary call, encoded by the call's codec; `None` for other calls.
    ///
    /// # Errors
    /// INTERNAL when the codec fails.
    fn encoded_request(&self) -> Result<Option<Bytes>, Status>;

    /// The answer to a unary call by this response, which is encoded.
    ///
    /// # Errors
    /// INTERNAL when the call is not unary, or the codec fails.
    fn reply_encoded(&self, response: Response<Bytes>) -> Result<ClientReply, Status>;

    /// The answer to a call that is not unary by these streams, within the bounds of the options.
    ///
    /// # Errors
    /// INTERNAL when the call is unary.
    fn reply_streamed(
        &self,
        streams: &Arc<LocalCall>,
        options: &CallOptions,
    ) -> Result<ClientReply, Status>;
}

/// The part of a call that interceptors see and change.
#[derive(Clone)]
pub(crate) struct CallHead {
    pub(crate) method: MethodName,
    pub(crate) kind: CallKind,
    pub(crate) options: CallOptions,
}
