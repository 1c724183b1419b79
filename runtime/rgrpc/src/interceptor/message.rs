//! The message interceptor of users, and the message that it sees.
//!
//! Called by the halves of a call, on the tasks that receive and send.

use std::any::Any;
use std::fmt;
use std::task::{Context, Poll};

use crate::prefix::PREFIX_LEN;
use crate::status::Status;

/// A message of a call, as interceptors and stats handlers see it.
#[derive(Clone, Copy)]
pub struct MessageView<'a> {
    message: Option<&'a dyn Any>,
    encoded_len: usize,
    compressed_len: usize,
}

impl<'a> MessageView<'a> {
    pub(crate) fn new(
        message: Option<&'a dyn Any>,
        encoded_len: usize,
        compressed_len: usize,
    ) -> Self {
        Self {
            message,
            encoded_len,
            compressed_len,
        }
    }

    /// The message, if its type is `M`.
    ///
    /// `None` for every type if the message is a [`PreparedMessage`](crate::PreparedMessage) on a
    /// stream, which has only its encoded form, and in a stats handler that does not
    /// [want messages](crate::stats::CallStats::wants_messages).
    #[must_use]
    pub fn downcast_ref<M: 'static>(&self) -> Option<&'a M> {
        self.message?.downcast_ref()
    }

    /// The length of the encoded message before compression, in bytes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        self.encoded_len
    }

    /// The length of the encoded message after compression, in bytes; the
    /// [encoded length](Self::encoded_len) if it is not compressed.
    #[must_use]
    pub const fn compressed_len(&self) -> usize {
        self.compressed_len
    }

    /// The length of the message on the wire, in bytes: compressed, with its five-byte prefix.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        self.compressed_len + PREFIX_LEN
    }
}

impl fmt::Debug for MessageView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageView")
            .field("encoded_len", &self.encoded_len)
            .field("compressed_len", &self.compressed_len)
            .finish_non_exhaustive()
    }
}

/// Wraps both halves of a call: sees each of its messages, may refuse them and hold them back.
///
/// An interceptor adds one to a call, by
/// [`IncomingCall::intercept_messages`](crate::IncomingCall::intercept_messages) or
/// [`OutgoingCall::intercept_messages`](crate::OutgoingCall::intercept_messages). Several see a
/// request in the order in which they were added, and a response in the reverse order, on both
/// sides.
///
/// Its methods are called on the task that receives or sends. The halves of a stream may be used by
/// two tasks at the same time. They must not block. A panic fails the call with INTERNAL.
///
/// Source: grpc-go's wrapped `ServerStream`; connect-go `StreamingHandlerConn`.
pub trait MessageInterceptor: Send + Sync + 'static {
    /// Handles a received message, after it is decoded and before the receiver gets it.
    ///
    /// # Errors
    /// The receiver gets the status in place of the message, and receiving ends.
    fn received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        let _ = message;
        Ok(())
    }

    /// Called with each message to send, when it has been encoded and compressed and before it is sent.
    ///
    /// The only response of a server's call is compressed by the compressor that the call has when the
    /// handler has returned; an interceptor that sets another after that changes the size.
    ///
    /// # Errors
    /// The sender gets the status, and the message is not sent.
    fn sending(&self, message: &MessageView<'_>) -> Result<(), Status> {
        let _ = message;
        Ok(())
    }

    /// Waits until the next message of a stream may be received. Default: does not wait.
    ///
    /// Called before each attempt to receive, and possibly several times before one message comes.
    /// Not called for the only message of a half that does not stream: an interceptor waits before
    /// it runs the rest of the chain.
    ///
    /// # Errors
    /// The receiver gets the status, and receiving ends.
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Waits until the next message of a stream may be sent. Default: does not wait.
    ///
    /// Called as [`poll_receive`](Self::poll_receive).
    ///
    /// # Errors
    /// The sender gets the status, and the message is not sent.
    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }
}
