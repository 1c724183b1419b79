//! The reply of a chain: a response, or the halves of a stream.
//!
//! Created by the call at the end of the chain, or by an interceptor that responds itself; its
//! message is `dyn Any`, because interceptors do not know its type.

use std::any::Any;
use std::fmt;

use bytes::Bytes;

use crate::call::{RecvStream, Response, SendStream};
use crate::codec::{Codec, encode};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;

/// The reply to a call, in an interceptor: the response of a unary call, or the halves of a stream.
///
/// [`ClientNext::run`](super::ClientNext::run) returns it. An interceptor returns it, or one of its
/// own, whose messages must have the types that the caller expects:
///
/// | kind of the call | the interceptor has | constructor |
/// |---|---|---|
/// | unary | a message of the method's type | [`new`](Self::new) |
/// | unary | an encoded message, as a cache of any type keeps | [`OutgoingCall::reply_encoded`] |
/// | another | all messages of the response | [`OutgoingCall::reply_messages`] |
/// | another | a source of messages, or a wish to read the requests | [`OutgoingCall::reply_streamed`] |
/// | another | the halves of another call with the method's types | [`streams`](Self::streams) |
///
/// [`OutgoingCall::reply_encoded`]: super::OutgoingCall::reply_encoded
/// [`OutgoingCall::reply_messages`]: super::OutgoingCall::reply_messages
/// [`OutgoingCall::reply_streamed`]: super::OutgoingCall::reply_streamed
pub struct ClientReply(Reply);

enum Reply {
    Response {
        response: Response<Box<dyn Any + Send>>,
        /// Encodes the message by the call's codec; `None` if that is not known here.
        encode: Option<Encode>,
    },
    Streams(Box<dyn Any + Send>),
}

/// Encodes a message of the type that it was made for.
type Encode = fn(&dyn Any) -> Result<Bytes, Status>;

impl ClientReply {
    /// Creates an answer to a unary call.
    #[must_use]
    #[inline]
    pub fn new<M: Send + 'static>(response: Response<M>) -> Self {
        Self::of(response, None)
    }

    /// Creates the answer to a unary call with the codec `C`.
    pub(crate) fn with_codec<C: Codec<M>, M: Send + 'static>(response: Response<M>) -> Self {
        Self::of(response, Some(encode_any::<C, M>))
    }

    fn of<M: Send + 'static>(response: Response<M>, encode: Option<Encode>) -> Self {
        let response = response.map(|message| Box::new(message) as Box<dyn Any + Send>);
        Self(Reply::Response { response, encode })
    }

    /// Creates an answer to a call that is not unary: halves whose messages have the method's types.
    #[must_use]
    pub fn streams<Req: Send + 'static, Res: Send + 'static>(
        requests: SendStream<Req>,
        responses: RecvStream<Res>,
    ) -> Self {
        Self(Reply::Streams(Box::new((requests, responses))))
    }

    /// Returns whether the reply has the halves of a call that is not unary.
    #[must_use]
    pub const fn is_streamed(&self) -> bool {
        matches!(self.0, Reply::Streams(_))
    }

    /// The response's message, if the call is unary and its type is `M`.
    #[must_use]
    pub fn message<M: 'static>(&self) -> Option<&M> {
        match &self.0 {
            Reply::Response { response, .. } => response.message().downcast_ref(),
            Reply::Streams(_) => None,
        }
    }

    /// The response of a unary call in encoded form, by the call's codec: for a cache of methods whose
    /// types it does not know. [`OutgoingCall::reply_encoded`](super::OutgoingCall::reply_encoded) makes
    /// a reply of it again.
    ///
    /// `None` for the halves of another call, and for a reply that an interceptor has made by
    /// [`new`](Self::new), whose codec is not known here. Encodes the message each time. Has header
    /// metadata and trailers, and not the [peer](Self::peer).
    ///
    /// # Errors
    /// INTERNAL when the codec fails.
    pub fn encoded(&self) -> Result<Option<Response<Bytes>>, Status> {
        let Reply::Response {
            response,
            encode: Some(encode),
        } = &self.0
        else {
            return Ok(None);
        };
        let message = encode(&**response.message())?;
        let (metadata, trailer) = (response.metadata().clone(), response.trailer().clone());
        Ok(Some(Response::from_parts(message, metadata, trailer, None)))
    }

    /// The response's message, to be changed, if the call is unary and its type is `M`.
    #[must_use]
    pub fn message_mut<M: 'static>(&mut self) -> Option<&mut M> {
        match &mut self.0 {
            Reply::Response { response, .. } => response.message_mut().downcast_mut(),
            Reply::Streams(_) => None,
        }
    }

    /// The halves of a call that is not unary, if their messages have these types: to receive the
    /// [header](RecvStream::header), for example.
    #[must_use]
    pub fn streams_mut<Req: 'static, Res: 'static>(
        &mut self,
    ) -> Option<&mut (SendStream<Req>, RecvStream<Res>)> {
        match &mut self.0 {
            Reply::Response { .. } => None,
            Reply::Streams(streams) => streams.downcast_mut(),
        }
    }

    /// The header metadata of a unary call's response; empty for other calls, whose
    /// [halves](Self::streams_mut) have it.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        static NONE: Metadata = Metadata::new();
        match &self.0 {
            Reply::Response { response, .. } => response.metadata(),
            Reply::Streams(_) => &NONE,
        }
    }

    /// The header metadata of a unary call's response, mutable; `None` for other calls.
    #[must_use]
    pub fn metadata_mut(&mut self) -> Option<&mut Metadata> {
        match &mut self.0 {
            Reply::Response { response, .. } => Some(response.metadata_mut()),
            Reply::Streams(_) => None,
        }
    }

    /// The trailers of a unary call's response; empty for other calls, whose trailers
    /// [`OutgoingCall::on_end`](super::OutgoingCall::on_end) has.
    #[must_use]
    pub fn trailer(&self) -> &Metadata {
        static NONE: Metadata = Metadata::new();
        match &self.0 {
            Reply::Response { response, .. } => response.trailer(),
            Reply::Streams(_) => &NONE,
        }
    }

    /// The trailers of a unary call's response, mutable; `None` for other calls.
    #[must_use]
    pub fn trailer_mut(&mut self) -> Option<&mut Metadata> {
        match &mut self.0 {
            Reply::Response { response, .. } => Some(response.trailer_mut()),
            Reply::Streams(_) => None,
        }
    }

    /// The two ends of the connection of a unary call's response.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        match &self.0 {
            Reply::Response { response, .. } => response.peer(),
            Reply::Streams(_) => None,
        }
    }

    /// The response of a unary call.
    ///
    /// # Errors
    /// INTERNAL if an interceptor has returned another kind of reply.
    pub(crate) fn into_response<M: 'static>(self) -> Result<Response<M>, Status> {
        let Reply::Response { response, .. } = self.0 else {
            return Err(Status::internal(
                "an interceptor has answered a unary call by streams",
            ));
        };
        let (message, metadata, trailer, peer) = response.into_all_parts();
        match message.downcast() {
            Ok(message) => Ok(Response::from_parts(*message, metadata, trailer, peer)),
            Err(_) => Err(other_type()),
        }
    }

    /// The halves of a call that is not unary.
    ///
    /// # Errors
    /// INTERNAL if an interceptor has returned another kind of reply.
    pub(crate) fn into_streams<Req: 'static, Res: 'static>(
        self,
    ) -> Result<(SendStream<Req>, RecvStream<Res>), Status> {
        match self.0 {
            Reply::Response { .. } => Err(Status::internal(
                "an interceptor has answered a streaming call by one response",
            )),
            Reply::Streams(streams) => match streams.downcast() {
                Ok(streams) => Ok(*streams),
                Err(_) => Err(other_type()),
            },
        }
    }
}

/// Encodes a message of type `M`.
fn encode_any<C: Codec<M>, M: 'static>(message: &dyn Any) -> Result<Bytes, Status> {
    let message = message.downcast_ref().ok_or_else(other_type)?;
    encode::<C, M>(message, Side::Client)
}

fn other_type() -> Status {
    Status::internal("an interceptor has answered by messages of another type than the method's")
}

impl fmt::Debug for ClientReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientReply")
            .field("is_streamed", &self.is_streamed())
            .field("metadata", self.metadata())
            .field("trailer", self.trailer())
            .finish_non_exhaustive()
    }
}
