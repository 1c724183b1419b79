//! The message interceptors of a call, in their order.
//!
//! Filled by the interceptors of a call before it is handled or sent; called by its halves, on the
//! tasks that receive and send, without a lock.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::{MessageInterceptor, MessageView};
use crate::status::Status;

/// The message interceptors of one call, the first to see a received message first.
#[derive(Clone, Default)]
pub(crate) struct MessageInterceptors(Vec<Arc<dyn MessageInterceptor>>);

impl MessageInterceptors {
    /// Adds an interceptor that sees a received message last, and a sent one first.
    pub(crate) fn push(&mut self, interceptor: impl MessageInterceptor) {
        self.0.push(Arc::new(interceptor));
    }

    /// Adds an interceptor that sees a received message first, and a sent one last.
    pub(crate) fn push_front(&mut self, interceptor: impl MessageInterceptor) {
        self.0.insert(0, Arc::new(interceptor));
    }

    /// Shows the interceptors a received message, the first one first.
    pub(crate) fn received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        self.0.iter().try_for_each(|one| one.received(message))
    }

    /// Shows the interceptors a message before it is sent, the last one first.
    pub(crate) fn sending(&self, message: &MessageView<'_>) -> Result<(), Status> {
        self.0.iter().rev().try_for_each(|one| one.sending(message))
    }

    /// Waits until all permit the next message to be received.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        for one in &self.0 {
            ready!(one.poll_receive(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until all permit the next message to be sent.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        for one in self.0.iter().rev() {
            ready!(one.poll_send(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for MessageInterceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageInterceptors")
            .field(&self.0.len())
            .finish()
    }
}
