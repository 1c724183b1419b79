//! A message that is encoded once and sent many times.
//!
//! Created by users; sent by the stream halves and unary calls, on any number of tasks.

use std::any::TypeId;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use rgrpc_http2::BytesQueue;

use super::compression::{CompressedForms, compress, compress_failed};
use super::framing::frame;
use super::limit::too_long;
use super::{
    Codec, CodecError, Compressor, DEFAULT_MAX_SEND, MessageBuffer, MessageBytes, MessageLimit,
    PREFIX_LEN, caught_on_client,
};
use crate::side::Side;
use crate::status::Status;

/// An encoded message that can be sent any number of times, to many streams or in many calls. It is
/// cheap to clone.
///
/// [`SendStream::send_prepared`](crate::SendStream::send_prepared) sends it on a stream. A unary
/// call takes it as its request:
///
/// ```no_run
/// # #[derive(Clone, PartialEq, prost::Message)] pub struct Point {}
/// # #[derive(Clone, PartialEq, prost::Message)] pub struct Feature {}
/// # async fn example(conn: rgrpc::ClientConn) -> Result<(), rgrpc::Status> {
/// use rgrpc::{PreparedMessage, ProtoCodec, Response, UnaryCall};
///
/// let point = PreparedMessage::new(ProtoCodec, &Point {})?;
/// for _ in 0..100 {
///     let method = "/routeguide.RouteGuide/GetFeature";
///     let feature: Response<Feature> =
///         UnaryCall::new(&conn, ProtoCodec, method, point.clone().into()).await?;
/// }
/// # Ok(()) }
/// ```
///
/// A stream or call with compression sends it compressed. It is compressed once for each name of a
/// compressor, when it is first sent.
///
/// [`ProtoCodec`](crate::ProtoCodec) and [`RawCodec`](crate::RawCodec) accept prepared messages as
/// requests. Any other codec does so too if it implements `Codec<PreparedMessage<T>>` by this
/// type's [`framed`](Self::framed), [`framed_compressed`](Self::framed_compressed),
/// [`encode`](Self::encode) and [`decode`](Self::decode).
///
/// Source: grpc-go `PreparedMsg`.
pub struct PreparedMessage<T> {
    /// The encoded message with its prefix.
    framed: Bytes,
    /// The compressed forms; `None` for a received message, which is rarely sent more than once.
    compressed: Option<Arc<CompressedForms>>,
    codec: TypeId,
    message: PhantomData<fn() -> T>,
}

impl<T> PreparedMessage<T> {
    /// Encodes a message with this codec.
    ///
    /// # Errors
    /// INTERNAL when the codec fails; RESOURCE_EXHAUSTED when the message is larger than the
    /// maximum of every call, 2^31 − 1 bytes.
    pub fn new<C: Codec<T>>(_codec: C, message: &T) -> Result<Self, Status> {
        let framed = frame::<C, T>(message, MessageLimit::largest(Side::Client))?;
        check_sendable(framed.len() - PREFIX_LEN)?;
        Ok(Self {
            framed: framed.into_bytes(),
            compressed: Some(Arc::default()),
            codec: TypeId::of::<C>(),
            message: PhantomData,
        })
    }

    /// Returns the length of the encoded message, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.framed.len() - PREFIX_LEN
    }

    /// Implements [`Codec::framed`] for the codec `C`. Returns `None` when another codec has
    /// encoded the message.
    #[must_use]
    pub fn framed<C: 'static>(&self) -> Option<Bytes> {
        (self.codec == TypeId::of::<C>()).then(|| self.framed.clone())
    }

    /// Implements [`Codec::framed_compressed`] for the codec `C`. Returns `None` when another codec
    /// has encoded the message.
    ///
    /// # Errors
    /// The error of the compressor.
    #[must_use]
    pub fn framed_compressed<C: 'static>(
        &self,
        compressor: &dyn Compressor,
    ) -> Option<io::Result<Bytes>> {
        (self.codec == TypeId::of::<C>()).then(|| self.compressed_by(compressor))
    }

    /// Implements [`Codec::encode`] for the codec `C`.
    ///
    /// # Errors
    /// Another codec has encoded the message.
    pub fn encode<C: 'static>(&self, buffer: &mut MessageBuffer) -> Result<(), CodecError> {
        let framed = self.framed::<C>().ok_or_else(other_codec)?;
        buffer.put_shared(framed.slice(PREFIX_LEN..));
        Ok(())
    }

    /// Implements [`Codec::decode`] for the codec `C`. It keeps the bytes without decoding them.
    ///
    /// # Errors
    /// The message is larger than the maximum length in a prefix, 2^32 − 1 bytes.
    pub fn decode<C: 'static>(mut bytes: MessageBytes) -> Result<Self, CodecError> {
        let len = bytes.remaining();
        let prefix = u32::try_from(len).map_err(|_| CodecError::new(too_long(len)))?;
        let [a, b, c, d] = prefix.to_be_bytes();
        Ok(Self {
            framed: bytes.join(&[0, a, b, c, d], len),
            compressed: None,
            codec: TypeId::of::<C>(),
            message: PhantomData,
        })
    }

    /// Returns the message with its prefix, for a call with this codec, compressor and limit.
    ///
    /// # Errors
    /// INTERNAL when another codec has encoded the message or the compressor fails;
    /// RESOURCE_EXHAUSTED when the message is larger than the limit.
    pub(crate) fn framed_for(
        &self,
        codec: TypeId,
        compressor: Option<&dyn Compressor>,
        limit: MessageLimit,
    ) -> Result<Bytes, Status> {
        if self.codec != codec {
            return Err(Status::internal(other_codec().to_string()));
        }
        let framed = match compressor {
            None => self.framed.clone(),
            Some(compressor) => {
                caught_on_client(limit.side(), "the compressor of the call", || {
                    self.compressed_by(compressor)
                        .map_err(|error| compress_failed(compressor, &error))
                })?
            }
        };
        limit.check_sent(framed.len() - PREFIX_LEN)?;
        Ok(framed)
    }

    fn compressed_by(&self, compressor: &dyn Compressor) -> io::Result<Bytes> {
        match &self.compressed {
            Some(compressed) => compressed.get(compressor, &self.framed),
            None => compress(compressor, self.framed.clone().into()).map(BytesQueue::into_bytes),
        }
    }
}

fn check_sendable(len: usize) -> Result<(), Status> {
    if len <= DEFAULT_MAX_SEND {
        return Ok(());
    }
    Err(Status::resource_exhausted(format!(
        "a prepared message has at most {DEFAULT_MAX_SEND} bytes, and this one has {len}"
    )))
}

fn other_codec() -> CodecError {
    CodecError::new("the prepared message was encoded by a codec other than the call's")
}

impl<T> Clone for PreparedMessage<T> {
    fn clone(&self) -> Self {
        Self {
            framed: self.framed.clone(),
            compressed: self.compressed.clone(),
            codec: self.codec,
            message: PhantomData,
        }
    }
}

impl<T> fmt::Debug for PreparedMessage<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedMessage")
            .field("encoded_len", &self.encoded_len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::compression::reversing::Reversing;
    use super::*;
    use crate::codec::{ProtoCodec, RawCodec, frame_with};
    use crate::status::Code;

    const ABC: Bytes = Bytes::from_static(b"abc");

    fn limit(bytes: usize) -> MessageLimit {
        MessageLimit::new(Side::Client, bytes)
    }

    #[test]
    fn a_prepared_message_is_framed_once_and_shared() {
        let prepared = PreparedMessage::new(RawCodec, &ABC).expect("fits");
        let one = frame::<RawCodec, _>(&prepared, limit(3))
            .expect("fits")
            .into_bytes();
        let other = frame::<RawCodec, _>(&prepared.clone(), limit(3))
            .expect("fits")
            .into_bytes();
        assert_eq!(&one[..], b"\0\0\0\0\x03abc");
        assert_eq!(one.as_ptr(), other.as_ptr());
        let for_stream = prepared.framed_for(TypeId::of::<RawCodec>(), None, limit(3));
        assert_eq!(for_stream.expect("fits").as_ptr(), one.as_ptr());
    }

    #[test]
    fn the_limit_of_each_call_holds() {
        let prepared = PreparedMessage::new(RawCodec, &ABC).expect("fits");
        let in_call = frame::<RawCodec, _>(&prepared, limit(2)).expect_err("too large");
        let on_stream = prepared.framed_for(TypeId::of::<RawCodec>(), None, limit(2));
        for error in [in_call, on_stream.expect_err("too large")] {
            assert_eq!(error.code(), Code::ResourceExhausted);
            assert!(error.message().contains("(3 vs. 2)"), "{error}");
        }
    }

    #[test]
    fn a_call_with_another_codec_refuses_a_prepared_message() {
        let prepared = PreparedMessage::new(RawCodec, &ABC).expect("fits");
        assert!(prepared.framed::<ProtoCodec>().is_none());
        prepared
            .encode::<ProtoCodec>(&mut MessageBuffer::default())
            .expect_err("another codec");
        let error = prepared.framed_for(TypeId::of::<ProtoCodec>(), None, limit(3));
        assert_eq!(error.expect_err("another codec").code(), Code::Internal);
    }

    #[test]
    fn clones_share_one_compressed_form_for_each_compressor_name() {
        let prepared = PreparedMessage::new(RawCodec, &ABC).expect("fits");
        let compress = |prepared: &PreparedMessage<Bytes>, name| {
            let compressor: Arc<dyn Compressor> = Arc::new(Reversing(name));
            let in_call = frame_with::<RawCodec, _>(prepared, Some(&compressor), limit(3));
            let on_stream =
                prepared.framed_for(TypeId::of::<RawCodec>(), Some(&*compressor), limit(3));
            let (in_call, on_stream) = (
                in_call.expect("fits").into_bytes(),
                on_stream.expect("fits"),
            );
            assert_eq!(in_call.as_ptr(), on_stream.as_ptr());
            in_call
        };
        let one = compress(&prepared.clone(), "a");
        assert_eq!(&one[..], b"\x01\0\0\0\x03cba");
        assert_eq!(one.as_ptr(), compress(&prepared, "a").as_ptr());
        assert_ne!(one.as_ptr(), compress(&prepared, "b").as_ptr());
    }

    #[test]
    fn a_received_message_can_be_forwarded() {
        let received = PreparedMessage::<Bytes>::decode::<RawCodec>(ABC.into()).expect("short");
        let framed = frame::<RawCodec, _>(&received, limit(3))
            .expect("fits")
            .into_bytes();
        assert_eq!(&framed[..], b"\0\0\0\0\x03abc");
    }
}
