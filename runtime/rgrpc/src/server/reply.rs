//! The reply of a handler, which the call's future sends.
//!
//! Created by `ServerCall` and by interceptors; passed through the chain, and sent by dispatch.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::call::{CallContext, MessageSink, Response};
use crate::codec::{Compressor, MessageLimit, PREFIX_LEN, compress_framed};
use crate::interceptor::MessageView;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::CallEnd;
use rgrpc_http2::BytesQueue;

/// The reply to a call that is about to end with OK: the output of a
/// [`HandlerFuture`](super::HandlerFuture).
///
/// For a unary or client-streaming call it holds the response, encoded and not compressed yet. For
/// the other kinds the messages have been sent by the handler, and it holds nothing. An interceptor
/// gets it from [`ServerNext::run`](super::ServerNext::run) and returns it, or one that it
/// [makes](super::IncomingCall::reply).
///
/// Header metadata and trailers that were set through the call's
/// [context](crate::CallContext::set_trailer) are not shown here;
/// [`IncomingCall::on_end`](super::IncomingCall::on_end) shows all trailers.
pub struct ServerReply(pub(super) Option<ReplyMessage>);

/// The only response of a call.
pub(super) struct ReplyMessage {
    /// Framed.
    pub(super) response: Response<BytesQueue>,
    /// The limit of the sent message.
    pub(super) max_send: MessageLimit,
    /// The length before compression, without the prefix.
    pub(super) encoded_len: usize,
    /// The message that was encoded, if a stats handler wants it.
    pub(super) message: Option<Box<dyn Any + Send>>,
    /// The compressed form, if message interceptors have seen its size.
    pub(super) compressed: Option<Box<CompressedReply>>,
}

/// The compressed form of the only response of a call.
pub(super) struct CompressedReply {
    compressor: Arc<dyn Compressor>,
    /// Framed.
    framed: BytesQueue,
}

impl CompressedReply {
    /// Compresses a framed response.
    ///
    /// # Errors
    /// INTERNAL when the compressor fails; RESOURCE_EXHAUSTED when it is too large.
    pub(super) fn new(
        compressor: Arc<dyn Compressor>,
        framed: &BytesQueue,
        max_send: MessageLimit,
    ) -> Result<Self, Status> {
        let mut framed = framed.clone();
        compress_framed(&mut framed, &compressor, max_send)?;
        Ok(Self { compressor, framed })
    }

    /// The length after compression, without the prefix.
    pub(super) fn compressed_len(&self) -> usize {
        self.framed.len().saturating_sub(PREFIX_LEN)
    }
}

impl ServerReply {
    /// Returns whether the handler has sent its messages on a stream.
    #[must_use]
    pub const fn is_streamed(&self) -> bool {
        self.0.is_none()
    }

    /// The response's encoded message; `None` if it was streamed. Copies nothing if the message is
    /// in one piece.
    #[must_use]
    pub fn message(&self) -> Option<Bytes> {
        let reply = self.0.as_ref()?;
        let mut framed = reply.response.message().clone().into_bytes();
        framed.advance(PREFIX_LEN.min(framed.len()));
        Some(framed)
    }

    /// The length of the response's encoded message, in bytes; `None` if it was streamed.
    #[must_use]
    pub fn encoded_len(&self) -> Option<usize> {
        self.0.as_ref().map(|reply| reply.encoded_len)
    }

    /// The header metadata of the response; empty if it was streamed.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        static NONE: Metadata = Metadata::new();
        self.0
            .as_ref()
            .map_or(&NONE, |reply| reply.response.metadata())
    }

    /// The header metadata of the response, mutable; `None` if it was streamed. A streaming handler
    /// has [`CallContext::set_header`](crate::CallContext::set_header), before the headers are
    /// sent.
    #[must_use]
    pub fn metadata_mut(&mut self) -> Option<&mut Metadata> {
        self.0.as_mut().map(|reply| reply.response.metadata_mut())
    }

    /// The trailers of the response; empty if it was streamed.
    #[must_use]
    pub fn trailer(&self) -> &Metadata {
        static NONE: Metadata = Metadata::new();
        self.0
            .as_ref()
            .map_or(&NONE, |reply| reply.response.trailer())
    }

    /// The trailers of the response, mutable; `None` if it was streamed. A streaming handler has
    /// [`CallContext::set_trailer`](crate::CallContext::set_trailer).
    #[must_use]
    pub fn trailer_mut(&mut self) -> Option<&mut Metadata> {
        self.0.as_mut().map(|reply| reply.response.trailer_mut())
    }

    /// Compresses the only response, if the call has a compressor, and checks its size.
    ///
    /// # Errors
    /// INTERNAL when the compressor fails; RESOURCE_EXHAUSTED when it is too large.
    #[inline]
    pub(super) fn compress(&mut self, context: &CallContext) -> Result<(), Status> {
        match &mut self.0 {
            None => Ok(()),
            Some(reply) => reply.compress(context.compressor().as_ref()),
        }
    }
}

impl ReplyMessage {
    #[inline]
    fn compress(&mut self, compressor: Option<&Arc<dyn Compressor>>) -> Result<(), Status> {
        match compressor {
            Some(compressor) => self.compress_by(compressor),
            None => {
                let len = self.response.message().len().saturating_sub(PREFIX_LEN);
                self.max_send.check_sent(len).map(drop)
            }
        }
    }

    fn compress_by(&mut self, compressor: &Arc<dyn Compressor>) -> Result<(), Status> {
        match self.compressed.take() {
            Some(kept) if Arc::ptr_eq(compressor, &kept.compressor) => {
                *self.response.message_mut() = kept.framed;
                Ok(())
            }
            _ => compress_framed(self.response.message_mut(), compressor, self.max_send),
        }
    }

    /// Ends the call with this response.
    #[inline]
    pub(super) fn end_call(self, context: &CallContext) -> CallEnd {
        let message = self.message.as_deref();
        let compressed_len = self.response.message().len().saturating_sub(PREFIX_LEN);
        let sent = MessageView::new(
            message.map(|message| message as &dyn Any),
            self.encoded_len,
            compressed_len,
        );
        context.reply(self.response, sent)
    }
}

/// A clone is for a cache: it shares the encoded message.
impl Clone for ServerReply {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(|reply| ReplyMessage {
            response: reply.response.clone(),
            max_send: reply.max_send,
            encoded_len: reply.encoded_len,
            message: None,
            compressed: None,
        }))
    }
}

impl fmt::Debug for ServerReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerReply")
            .field("encoded_len", &self.encoded_len())
            .field("metadata", self.metadata())
            .field("trailer", self.trailer())
            .finish_non_exhaustive()
    }
}
