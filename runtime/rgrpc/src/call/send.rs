//! The sending half of a call, on both sides.
//!
//! Owned by a handler, a caller or a call's own future; polled on the owner's task. The framing is
//! in `codec/framing.rs`.
//!
//! Source: grpc-go `ServerStream.SendMsg`, `ClientStream.SendMsg`.

use std::any::TypeId;
use std::borrow::Borrow;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rgrpc_http2::BytesQueue;

use futures_sink::Sink;

use super::MessageSink;
use crate::codec::{
    Codec, Compressor, MessageLimit, PREFIX_LEN, PreparedMessage, frame_measured, frame_with,
};
use crate::interceptor::MessageView;
use crate::status::Status;

/// The half of a call that sends messages.
///
/// In a handler the call ends when the handler returns, not when this half is closed or dropped.
/// Behind a stub [`close`](Self::close) tells the server that no message follows, and dropping the
/// half before that cancels the call.
///
/// Also a [`futures_sink::Sink`].
pub struct SendStream<T> {
    sink: Arc<dyn MessageSink>,
    /// The codec's framing, for messages of type `T`.
    frame: Frame<T>,
    codec: TypeId,
    limit: MessageLimit,
    /// True if messages are sent uncompressed although the call has a compressor.
    uncompressed: bool,
    closed: bool,
}

/// The framing of a message.
type Frame<T> = fn(
    &dyn MessageSink,
    &T,
    Option<&Arc<dyn Compressor>>,
    MessageLimit,
) -> Result<BytesQueue, Status>;

impl<T> SendStream<T> {
    pub(crate) fn new<C: Codec<T>>(sink: Arc<dyn MessageSink>, limit: MessageLimit) -> Self {
        Self {
            sink,
            frame: frame_message::<C, T>,
            codec: TypeId::of::<C>(),
            limit,
            uncompressed: false,
            closed: false,
        }
    }

    /// Shows messages to the sink when they are framed.
    pub(crate) fn observed<C: Codec<T>>(mut self) -> Self
    where
        T: 'static,
    {
        self.frame = frame_observed::<C, T>;
        self
    }

    /// Sends a message, given by value or by reference. Waits until flow control permits it, and
    /// returns when the message is on its way, not when it has arrived.
    ///
    /// Cancel-safe: a future that is dropped before it is ready has not sent the message.
    ///
    /// # Errors
    /// INTERNAL after [`close`](Self::close) or when the codec or the compressor fails;
    /// RESOURCE_EXHAUSTED when the message is too large. After the call has ended, the status that
    /// it ended with; behind a stub, CANCELLED with a text that says so if the server ended it with
    /// OK, which is no failure: the receiving half has the rest of the response.
    pub async fn send(&mut self, message: impl Borrow<T>) -> Result<(), Status> {
        poll_fn(|cx| self.poll_open(cx)).await?;
        self.start(message.borrow())
    }

    /// Sends a message that is encoded already, as [`send`](Self::send) does.
    ///
    /// Cancel-safe: a future that is dropped before it is ready has not sent the message.
    ///
    /// # Errors
    /// As [`send`](Self::send); INTERNAL also when another codec than the call's has encoded the
    /// message.
    ///
    /// Source: grpc-go `PreparedMsg`.
    pub async fn send_prepared(&mut self, message: &PreparedMessage<T>) -> Result<(), Status> {
        poll_fn(|cx| self.poll_open(cx)).await?;
        let compressor = self.compressor();
        let framed = message.framed_for(self.codec, compressor.as_deref(), self.limit)?;
        let compressed_len = framed.len().saturating_sub(PREFIX_LEN);
        self.sink.observe_sent(&MessageView::new(
            None,
            message.encoded_len(),
            compressed_len,
        ))?;
        self.sink.send(framed.into())
    }

    /// Sets whether the next messages are compressed, in a call that has a compressor. Default:
    /// true.
    ///
    /// Holds until the next use. Turn compression off for messages whose length would reveal
    /// secrets, or that are compressed already.
    ///
    /// Source: `doc/compression.md`, "Specific Disabling of Compression"; grpc-java
    /// `setMessageCompression`.
    pub fn set_message_compression(&mut self, compressed: bool) {
        self.uncompressed = !compressed;
    }

    /// Sends the only message of this half and closes it. Does not fail if the call has already
    /// ended: the receiving half has the reason.
    pub(crate) async fn send_only(&mut self, message: &T) -> Result<(), Status> {
        let framed = self.framed(message)?;
        if poll_fn(|cx| self.poll_open(cx)).await.is_ok() {
            let _ = self.sink.send_last(framed);
        }
        self.close();
        Ok(())
    }

    /// Half-closes the call: no message follows. Idempotent. Does nothing in a handler, whose
    /// return ends the call.
    pub fn close(&mut self) {
        self.closed = true;
        self.sink.close();
    }

    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if self.closed {
            return Poll::Ready(Err(Status::internal(
                "a message was sent after this half was closed",
            )));
        }
        self.sink.poll_ready(cx)
    }

    fn start(&self, message: &T) -> Result<(), Status> {
        self.sink.send(self.framed(message)?)
    }

    fn compressor(&self) -> Option<Arc<dyn Compressor>> {
        if self.uncompressed {
            return None;
        }
        self.sink.compressor()
    }

    fn framed(&self, message: &T) -> Result<BytesQueue, Status> {
        let compressor = self.compressor();
        (self.frame)(&*self.sink, message, compressor.as_ref(), self.limit)
    }
}

fn frame_message<C: Codec<T>, T>(
    _: &dyn MessageSink,
    message: &T,
    compressor: Option<&Arc<dyn Compressor>>,
    limit: MessageLimit,
) -> Result<BytesQueue, Status> {
    frame_with::<C, T>(message, compressor, limit)
}

fn frame_observed<C: Codec<T>, T: 'static>(
    sink: &dyn MessageSink,
    message: &T,
    compressor: Option<&Arc<dyn Compressor>>,
    limit: MessageLimit,
) -> Result<BytesQueue, Status> {
    let (framed, encoded_len) = frame_measured::<C, T>(message, compressor, limit)?;
    let compressed_len = framed.len() - PREFIX_LEN;
    sink.observe_sent(&MessageView::new(
        Some(message),
        encoded_len,
        compressed_len,
    ))?;
    Ok(framed)
}

impl<T> Sink<T> for SendStream<T> {
    type Error = Status;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.poll_open(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: T) -> Result<(), Status> {
        self.start(&message)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for SendStream<T> {
    fn drop(&mut self) {
        if !self.closed {
            self.sink.abandon();
        }
    }
}

impl<T> fmt::Debug for SendStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendStream")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
