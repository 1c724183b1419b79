//! The receiving half of a call, on both sides.
//!
//! Owned by a handler, a caller or a call's own future; polled on the owner's task. The parser of
//! messages is in `codec/reader.rs`.
//!
//! Source: grpc-go `ServerStream.RecvMsg`, `ClientStream.RecvMsg`.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;

use super::halves::SourceEvent;
use super::{MessageSource, Response};
use crate::codec::{Codec, Encoding, MessageLimit, MessageReader, ReadMessage, decode};
use crate::interceptor::MessageView;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;

/// The half of a call that receives messages.
///
/// Behind a stub, dropping it before the call has ended cancels the call. In a handler, dropping it
/// discards later messages: the client's sends proceed, and nobody reads them.
///
/// Also a [`futures_core::Stream`] of `Result<T, Status>`.
pub struct RecvStream<T> {
    source: Arc<dyn MessageSource>,
    decode: Decode<T>,
    reader: MessageReader,
    header: Option<Metadata>,
    trailer: Metadata,
    /// The accepted encodings of a response, if the call sets them.
    accepted: Option<Arc<[String]>>,
    /// The status in place of the first message, once the headers have come.
    refused: Option<Status>,
    cardinality: Cardinality,
    /// The only message, until the call has ended.
    held: Option<Box<T>>,
    state: ReceiveState,
    /// The source says when the next message may be received.
    gated: bool,
}

/// The decoding of a message, for its source.
type Decode<T> = fn(&dyn MessageSource, ReadMessage, Side) -> Result<T, Status>;

/// The number of messages the half has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cardinality {
    Any,
    /// Exactly one, not received yet.
    One,
    /// Exactly one, already received.
    OneReceived,
}

/// ```text
///  Head ──header, or none──► Messages ──end, failure──► Ended
/// ```
#[derive(Debug, PartialEq, Eq)]
enum ReceiveState {
    Head,
    Messages,
    Ended,
}

impl<T> RecvStream<T> {
    pub(crate) fn new<C: Codec<T>>(source: Arc<dyn MessageSource>, limit: MessageLimit) -> Self {
        Self::decoding_by(decode_message::<C, T>, source, limit)
    }

    fn decoding_by(decode: Decode<T>, source: Arc<dyn MessageSource>, limit: MessageLimit) -> Self {
        Self {
            source,
            decode,
            reader: MessageReader::new(limit),
            header: None,
            trailer: Metadata::new(),
            accepted: None,
            refused: None,
            cardinality: Cardinality::Any,
            held: None,
            state: ReceiveState::Head,
            gated: false,
        }
    }

    /// Adds data that is already received.
    pub(crate) fn received(mut self, data: Bytes) -> Self {
        self.reader.push(data.into());
        self
    }

    /// Sets the encoding of compressed messages, which is then not read from the headers.
    #[inline]
    pub(crate) fn encoded_by(mut self, encoding: Box<Encoding>) -> Self {
        self.reader.set_boxed_encoding(encoding);
        self
    }

    /// Shows messages to the source when they are decoded, and asks it before one is received.
    pub(crate) fn observed<C: Codec<T>>(mut self) -> Self
    where
        T: 'static,
    {
        self.decode = decode_observed::<C, T>;
        self.gated = true;
        self
    }

    /// Receives through another source, which wraps the present one.
    pub(super) fn through(
        mut self,
        wrap: impl FnOnce(Arc<dyn MessageSource>) -> Arc<dyn MessageSource>,
    ) -> Self {
        self.source = wrap(Arc::clone(&self.source));
        self
    }

    /// Fails with this status in place of the first message.
    pub(crate) fn refused(mut self, status: Status) -> Self {
        self.refused = Some(status);
        self
    }

    /// Ends the call with UNIMPLEMENTED unless exactly one message is received.
    #[inline]
    pub(crate) fn only_one(mut self) -> Self {
        self.cardinality = Cardinality::One;
        self
    }

    /// Refuses a response in another encoding than these, and none.
    #[inline]
    pub(crate) fn accepting(mut self, encodings: Option<&Arc<[String]>>) -> Self {
        self.accepted = encodings.cloned();
        self
    }

    /// Receives the next message; `None` after the peer's last one and, behind a stub, once the
    /// call has ended with OK.
    ///
    /// Cancel-safe: a future that is dropped before it is ready has taken no message.
    ///
    /// # Errors
    /// Behind a stub the status that the call ended with; after it, `None`. In a handler why the
    /// request broke off: CANCELLED, or RESOURCE_EXHAUSTED or INTERNAL for a message that cannot
    /// be received, which the handler should return.
    pub async fn recv(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_recv(cx)).await.transpose()
    }

    /// The metadata that came before the messages, as soon as it is there; empty when the call
    /// ended without any, and in a handler, where the request has it.
    ///
    /// Cancel-safe.
    pub async fn header(&mut self) -> &Metadata {
        poll_fn(|cx| self.poll_head(cx)).await;
        self.header.get_or_insert_default()
    }

    /// The trailers of a call that ended well, once [`recv`](Self::recv) has returned `None`; a
    /// failure has them in [`Status::metadata`]. Empty before, and in a handler.
    pub const fn trailer(&self) -> &Metadata {
        &self.trailer
    }

    /// The two ends of the call's connection, behind a stub: `None` until the response begins, or
    /// until the call can use no other connection. `None` in a handler, where
    /// [`CallContext::peer`](super::CallContext::peer) has it.
    ///
    /// Source: grpc-go `Peer`.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.source.peer().map(|peer| &**peer)
    }

    /// Receives the only message of this half: there must be one, and no other.
    pub(crate) async fn recv_only(&mut self) -> Result<T, Status> {
        self.cardinality = Cardinality::One;
        self.gated = false;
        let mut only = None;
        // The second one ends the loop with an error, and so does an end without one.
        while let Some(message) = poll_fn(|cx| self.poll_message(cx)).await.transpose()? {
            only = Some(message);
        }
        only.ok_or_else(|| self.no_message())
    }

    /// Receives the only message of a response, with its metadata.
    pub(crate) async fn into_response(mut self) -> Result<Response<T>, Status> {
        let message = self.recv_only().await?;
        let header = self.header.take().unwrap_or_default();
        let trailer = std::mem::take(&mut self.trailer);
        let peer = self.source.peer().cloned();
        Ok(Response::from_parts(message, header, trailer, peer))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.state == ReceiveState::Head {
            if let Ok(head) = ready!(self.source.poll_head(cx)) {
                self.header = Some(head.metadata);
                if let Some(encoding) = head.encoding {
                    match find_encoding(&*self.source, self.accepted.as_deref(), &encoding) {
                        Ok(encoding) => self.reader.set_encoding(encoding),
                        Err(status) => self.refused = Some(status),
                    }
                }
            }
            self.state = ReceiveState::Messages;
        }
        Poll::Ready(())
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        if self.cardinality == Cardinality::Any {
            return self.poll_message(cx);
        }
        // The only message is a response once the call has ended well.
        loop {
            match ready!(self.poll_message(cx)) {
                Some(Ok(message)) => self.held = Some(Box::new(message)),
                Some(Err(status)) => {
                    self.held = None;
                    return Poll::Ready(Some(Err(status)));
                }
                None => return Poll::Ready(self.held.take().map(|message| Ok(*message))),
            }
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        ready!(self.poll_head(cx));
        if self.state == ReceiveState::Ended {
            return Poll::Ready(None);
        }
        if let Some(status) = self.refused.take() {
            return Poll::Ready(Some(Err(self.fail(status))));
        }
        if self.gated
            && let Err(status) = ready!(self.source.poll_receive(cx))
        {
            return Poll::Ready(Some(Err(self.fail(status))));
        }
        loop {
            match self.reader.next(|| self.source.buffer_pool()) {
                Ok(Some(message)) => return Poll::Ready(Some(self.take(message))),
                Ok(None) => {}
                Err(status) => return Poll::Ready(Some(Err(self.fail(status)))),
            }
            match ready!(self.source.poll_data(cx, self.reader.read_demand())) {
                SourceEvent::Data(data) => self.reader.push(data),
                SourceEvent::End(outcome) => return Poll::Ready(self.end(outcome)),
            }
        }
    }

    fn take(&mut self, message: ReadMessage) -> Result<T, Status> {
        match self.cardinality {
            Cardinality::Any => {}
            Cardinality::One => self.cardinality = Cardinality::OneReceived,
            Cardinality::OneReceived => {
                let what = self.what();
                return Err(self.fail(Status::unimplemented(format!(
                    "the {what} has more than one message: this method has exactly one"
                ))));
            }
        }
        let side = self.reader.side();
        (self.decode)(&*self.source, message, side).map_err(|status| self.fail(status))
    }

    fn end(&mut self, outcome: Result<Metadata, Status>) -> Option<Result<T, Status>> {
        let trailer = match outcome {
            Ok(trailer) => trailer,
            Err(status) => {
                self.state = ReceiveState::Ended;
                return Some(Err(status));
            }
        };
        self.state = ReceiveState::Ended;
        if let Err(status) = self.judge() {
            return Some(Err(self.source.reject(status, &trailer)));
        }
        self.source.accept(&trailer);
        self.trailer = trailer;
        None
    }

    /// Checks that the received messages permit an end with OK.
    fn judge(&self) -> Result<(), Status> {
        if self.reader.is_within_message() {
            return Err(Status::internal(format!(
                "the {} ended its messages in the middle of one: unexpected EOF",
                self.reader.side().other()
            )));
        }
        match self.cardinality {
            Cardinality::One => Err(self.no_message()),
            Cardinality::Any | Cardinality::OneReceived => Ok(()),
        }
    }

    fn no_message(&self) -> Status {
        Status::unimplemented(format!(
            "the {} has no message: this method has exactly one",
            self.what()
        ))
    }

    fn what(&self) -> &'static str {
        match self.reader.side() {
            Side::Client => "response",
            Side::Server => "request",
        }
    }

    /// Ends the call with this status, because a received or an outgoing message is unusable.
    pub(super) fn fail(&mut self, status: Status) -> Status {
        if self.state == ReceiveState::Ended {
            return status;
        }
        self.state = ReceiveState::Ended;
        self.source.fail(status)
    }
}

/// A received message that is not decoded.
#[derive(Clone, Debug)]
pub(crate) struct RawMessage {
    /// Its encoded bytes, decompressed.
    pub(crate) bytes: Bytes,
    /// Its length as it came, without its prefix.
    pub(crate) compressed_len: usize,
}

impl RecvStream<RawMessage> {
    /// Creates a half whose messages are not decoded.
    pub(crate) fn raw(source: Arc<dyn MessageSource>, limit: MessageLimit) -> Self {
        let keep = |_: &dyn MessageSource, message: ReadMessage, _: Side| {
            let ReadMessage {
                mut bytes,
                compressed_len,
            } = message;
            Ok(RawMessage {
                bytes: bytes.copy_to_bytes(bytes.remaining()),
                compressed_len,
            })
        };
        Self::decoding_by(keep, source, limit)
    }
}

fn decode_message<C: Codec<T>, T>(
    _: &dyn MessageSource,
    message: ReadMessage,
    side: Side,
) -> Result<T, Status> {
    decode(C::decode, message.bytes, side)
}

fn decode_observed<C: Codec<T>, T: 'static>(
    source: &dyn MessageSource,
    message: ReadMessage,
    side: Side,
) -> Result<T, Status> {
    let ReadMessage {
        bytes,
        compressed_len,
    } = message;
    let encoded_len = bytes.remaining();
    let message = decode(C::decode, bytes, side)?;
    source.observe_received(&MessageView::new(
        Some(&message),
        encoded_len,
        compressed_len,
    ))?;
    Ok(message)
}

/// Returns the encoding that the `grpc-encoding` of a response names.
///
/// # Errors
/// INTERNAL if the call does not accept it.
pub(super) fn find_encoding(
    source: &dyn MessageSource,
    accepted: Option<&[String]>,
    name: &[u8],
) -> Result<Encoding, Status> {
    let encoding = Encoding::find(name, |name| source.decompressor(name));
    let name = match &encoding {
        Encoding::Identity => return Ok(encoding),
        Encoding::Known(compressor) => compressor.name(),
        Encoding::Unknown(name) => name,
    };
    match accepted {
        Some(accepted) if accepted.iter().all(|accepted| accepted != name) => {
            Err(Status::internal(format!(
                "the response has the grpc-encoding {name:?}, which is not among the call's \
                 accept_compressors"
            )))
        }
        _ => Ok(encoding),
    }
}

impl<T> Stream for RecvStream<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx)
    }
}

impl<T> Drop for RecvStream<T> {
    fn drop(&mut self) {
        if self.state != ReceiveState::Ended {
            self.source.abandon();
        }
    }
}

impl<T> fmt::Debug for RecvStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
