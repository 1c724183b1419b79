use std::fmt;

use bytes::{Buf, Bytes};

use crate::call::Response;
use crate::codec::{Codec, MessageLimit, PREFIX_LEN, frame};
use crate::metadata::Metadata;
use crate::server::call::{Handled, Outcome, ReplyMessage};
use crate::side::Side;
use crate::status::Status;

/// The answer to a call that is about to end with OK.
///
/// For a unary or client-streaming call it holds the response, encoded and not compressed yet. For the
/// other kinds the messages have been sent by the handler, and it holds nothing. An interceptor gets it
/// from [`ServerNext::run`](super::ServerNext::run) and returns it, or another.
///
/// Header metadata and trailers that were set through the call's
/// [context](crate::CallContext::set_trailer) are not shown here;
/// [`IncomingCall::on_end`](super::IncomingCall::on_end) shows all trailers.
pub struct ServerReply(Option<ReplyMessage>);

impl ServerReply {
    /// A response of an interceptor's own to a unary or client-streaming call.
    ///
    /// The codec is that of the method: [`ProtoCodec`](crate::ProtoCodec) for Protocol Buffers.
    /// [`IncomingCall::handle`](super::IncomingCall::handle) answers calls whose responses stream.
    ///
    /// # Errors
    /// INTERNAL when the codec fails.
    pub fn new<C: Codec<M>, M>(codec: C, response: impl Into<Response<M>>) -> Result<Self, Status> {
        let _ = codec;
        let response = response.into();
        // The server's limit is checked when it is sent.
        let max_send = MessageLimit::largest(Side::Server);
        let framed = frame::<C, M>(response.message(), max_send)?;
        let encoded_len = framed.len().saturating_sub(PREFIX_LEN);
        Ok(Self(Some(ReplyMessage {
            response: response.map(|_| framed),
            max_send,
            encoded_len,
            message: None,
        })))
    }

    /// Returns whether the handler has sent its messages on a stream.
    #[must_use]
    pub const fn is_streamed(&self) -> bool {
        self.0.is_none()
    }

    /// The response's encoded message; `None` if it was streamed. Copies nothing if the message is in
    /// one piece.
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

    /// The header metadata of the response, to be changed; `None` if it was streamed, for which
    /// [`CallContext::set_header`](crate::CallContext::set_header) is, before the headers are sent.
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

    /// The trailers of the response, to be changed; `None` if it was streamed, for which
    /// [`CallContext::set_trailer`](crate::CallContext::set_trailer) is.
    #[must_use]
    pub fn trailer_mut(&mut self) -> Option<&mut Metadata> {
        self.0.as_mut().map(|reply| reply.response.trailer_mut())
    }

    pub(super) fn of_handler(handled: Handled) -> Result<Self, Status> {
        match handled.0 {
            Outcome::Reply(reply) => Ok(Self(Some(reply))),
            Outcome::Finish(Ok(())) => Ok(Self(None)),
            Outcome::Finish(Err(status)) => Err(status),
        }
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

impl Handled {
    /// How an interceptor ends a call; what is sent may have at most `max_send` bytes.
    #[inline]
    pub(super) fn of_interceptor(
        reply: Result<ServerReply, Status>,
        max_send: MessageLimit,
    ) -> Self {
        Self(match reply {
            Ok(ServerReply(Some(reply))) => Outcome::Reply(ReplyMessage { max_send, ..reply }),
            Ok(ServerReply(None)) => Outcome::Finish(Ok(())),
            Err(status) => Outcome::Finish(Err(status)),
        })
    }
}
