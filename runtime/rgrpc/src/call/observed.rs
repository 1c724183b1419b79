//! The halves of a server's call that message interceptors or stats handlers observe.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::{CallContext, MessageSink, MessageSource, SourceEvent};
use crate::buffer_pool::BufferPool;
use crate::codec::Compressor;
use crate::interceptor::{MessageInterceptors, MessageView};
use crate::stats::CallEvent;
use crate::status::Status;
use crate::transport::{IncomingHead, NoHead, ReadDemand};
use rgrpc_http2::BytesQueue;

/// A server's call whose messages are observed, by message interceptors or stats handlers: the sink
/// and the source of its halves, in the place of its [`CallContext`].
///
/// Made by the server for the halves that a handler gets; used on the tasks that send and receive.
pub(crate) struct ObservedCall {
    context: CallContext,
    interceptors: Option<Arc<MessageInterceptors>>,
}

impl ObservedCall {
    pub(crate) fn new(
        context: CallContext,
        interceptors: Option<Arc<MessageInterceptors>>,
    ) -> Self {
        Self {
            context,
            interceptors,
        }
    }

    pub(crate) fn context(&self) -> &CallContext {
        &self.context
    }

    /// Shows the message interceptors a message before it is sent.
    ///
    /// # Errors
    /// One refuses it.
    pub(crate) fn sending(&self, message: &MessageView<'_>) -> Result<(), Status> {
        match &self.interceptors {
            Some(interceptors) => interceptors.sending(message),
            None => Ok(()),
        }
    }

    /// A request's message was received and decoded.
    ///
    /// # Errors
    /// An interceptor refuses it.
    pub(crate) fn received(
        context: &CallContext,
        interceptors: Option<&Arc<MessageInterceptors>>,
        message: &MessageView<'_>,
    ) -> Result<(), Status> {
        if let Some(recorders) = context.recorders() {
            recorders.record(&CallEvent::InPayload(recorders.payload(*message)));
        }
        interceptors.map_or(Ok(()), |all| all.received(message))
    }
}

impl MessageSink for ObservedCall {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if let Some(interceptors) = &self.interceptors {
            ready!(interceptors.poll_send(cx))?;
        }
        self.context.poll_ready(cx)
    }

    fn compressor(&self) -> Option<Arc<dyn Compressor>> {
        self.context.compressor()
    }

    fn observe_sent(&self, message: &MessageView<'_>) -> Result<(), Status> {
        self.sending(message)?;
        if let Some(recorders) = self.context.recorders() {
            // The headers go first, for stats handlers as well.
            self.context.send_unsent_header();
            recorders.record(&CallEvent::OutPayload(recorders.payload(*message)));
        }
        Ok(())
    }

    fn send(&self, message: BytesQueue) -> Result<(), Status> {
        MessageSink::send(&self.context, message)
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        self.context.send_last(message)
    }

    fn close(&self) {
        self.context.close();
    }

    fn abandon(&self) {
        MessageSink::abandon(&self.context);
    }
}

impl MessageSource for ObservedCall {
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        self.context.poll_head(cx)
    }

    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent> {
        self.context.poll_data(cx, read_demand)
    }

    fn buffer_pool(&self) -> BufferPool {
        self.context.buffer_pool()
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &self.interceptors {
            Some(interceptors) => interceptors.poll_receive(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn observe_received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        Self::received(&self.context, self.interceptors.as_ref(), message)
    }

    fn fail(&self, status: Status) -> Status {
        self.context.fail(status)
    }

    fn abandon(&self) {
        MessageSource::abandon(&self.context);
    }
}
