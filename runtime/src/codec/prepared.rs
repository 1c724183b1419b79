use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};

use super::framing::{check_size, frame};
use super::{Codec, CodecError, DEFAULT_MAX_SEND, MessageBuffer, MessageBytes, PREFIX_LEN};
use crate::buffers;
use crate::status::Status;

/// A message that is encoded already, to be sent any number of times: to many streams, or in many
/// calls. Cheap to clone.
///
/// Streams take it by [`SendStream::send_prepared`](crate::SendStream::send_prepared). A call with one
/// message each way takes it as its request:
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
/// [`ProtoCodec`](crate::ProtoCodec) and [`RawCodec`](crate::RawCodec) send such requests. A codec of
/// your own does when it implements `Codec<PreparedMessage<T>>` by this type's
/// [`framed`](Self::framed), [`encode`](Self::encode) and [`decode`](Self::decode).
///
/// Source: grpc-go `PreparedMsg`.
pub struct PreparedMessage<T> {
    /// With its prefix.
    framed: Bytes,
    codec: TypeId,
    message: PhantomData<fn() -> T>,
}

impl<T> PreparedMessage<T> {
    /// Encodes a message with this codec.
    ///
    /// # Errors
    /// INTERNAL when the codec fails; RESOURCE_EXHAUSTED when the message is larger than any call can
    /// send: 2^31 − 1 bytes.
    pub fn new<C: Codec<T>>(_codec: C, message: &T) -> Result<Self, Status> {
        Ok(Self {
            framed: frame::<C, T>(message, DEFAULT_MAX_SEND)?.into_one(),
            codec: TypeId::of::<C>(),
            message: PhantomData,
        })
    }

    /// How many bytes the message has.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.framed.len() - PREFIX_LEN
    }

    /// [`Codec::framed`] of the codec `C`: `None` when another one has encoded the message.
    #[must_use]
    pub fn framed<C: 'static>(&self) -> Option<Bytes> {
        (self.codec == TypeId::of::<C>()).then(|| self.framed.clone())
    }

    /// [`Codec::encode`] of the codec `C`.
    ///
    /// # Errors
    /// Another codec has encoded the message.
    pub fn encode<C: 'static>(&self, buffer: &mut MessageBuffer) -> Result<(), CodecError> {
        let framed = self.framed::<C>().ok_or_else(other_codec)?;
        buffer.put(framed.slice(PREFIX_LEN..));
        Ok(())
    }

    /// [`Codec::decode`] of the codec `C`: keeps the bytes and does not look at them.
    ///
    /// # Errors
    /// The message is larger than a prefix can say: 2^32 − 1 bytes.
    pub fn decode<C: 'static>(mut bytes: MessageBytes) -> Result<Self, CodecError> {
        let len = bytes.remaining();
        let prefix = u32::try_from(len).map_err(CodecError::new)?;
        let mut framed = buffers::take(PREFIX_LEN + len);
        framed.put_u8(0);
        framed.put_u32(prefix);
        framed.put(&mut bytes);
        Ok(Self {
            framed: buffers::share(framed),
            codec: TypeId::of::<C>(),
            message: PhantomData,
        })
    }

    /// The message with its prefix, for a call of this codec whose messages have at most `max` bytes.
    ///
    /// # Errors
    /// INTERNAL when another codec has encoded it; RESOURCE_EXHAUSTED when it is larger than `max`.
    pub(crate) fn framed_for(&self, codec: TypeId, max: usize) -> Result<Bytes, Status> {
        if self.codec != codec {
            return Err(Status::internal(other_codec().to_string()));
        }
        check_size(self.encoded_len(), max)?;
        Ok(self.framed.clone())
    }
}

fn other_codec() -> CodecError {
    CodecError::new("the prepared message was encoded by another codec than the call's")
}

impl<T> Clone for PreparedMessage<T> {
    fn clone(&self) -> Self {
        Self {
            framed: self.framed.clone(),
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
    use super::*;
    use crate::codec::{ProtoCodec, RawCodec};
    use crate::status::Code;

    const ABC: Bytes = Bytes::from_static(b"abc");

    #[test]
    fn it_is_framed_once_and_shared() {
        let prepared = PreparedMessage::new(RawCodec, &ABC).expect("fits");
        let one = frame::<RawCodec, _>(&prepared, 3).expect("fits").into_one();
        let other = frame::<RawCodec, _>(&prepared.clone(), 3)
            .expect("fits")
            .into_one();
        assert_eq!(&one[..], b"\0\0\0\0\x03abc");
        assert_eq!(one.as_ptr(), other.as_ptr());
        let for_stream = prepared.framed_for(TypeId::of::<RawCodec>(), 3);
        assert_eq!(for_stream.expect("fits").as_ptr(), one.as_ptr());
    }

    #[test]
    fn the_limit_of_each_call_holds() {
        let prepared = PreparedMessage::new(RawCodec, &ABC).expect("fits");
        let in_call = frame::<RawCodec, _>(&prepared, 2).expect_err("too large");
        let on_stream = prepared.framed_for(TypeId::of::<RawCodec>(), 2);
        for error in [in_call, on_stream.expect_err("too large")] {
            assert_eq!(error.code(), Code::ResourceExhausted);
            assert!(error.message().contains("(3 vs. 2)"), "{error}");
        }
    }

    #[test]
    fn another_codecs_call_does_not_send_it() {
        let prepared = PreparedMessage::new(RawCodec, &ABC).expect("fits");
        assert!(prepared.framed::<ProtoCodec>().is_none());
        prepared
            .encode::<ProtoCodec>(&mut MessageBuffer::default())
            .expect_err("another codec");
        let error = prepared.framed_for(TypeId::of::<ProtoCodec>(), 3);
        assert_eq!(error.expect_err("another codec").code(), Code::Internal);
    }

    #[test]
    fn what_is_received_can_be_passed_on() {
        let received = PreparedMessage::<Bytes>::decode::<RawCodec>(ABC.into()).expect("short");
        let framed = frame::<RawCodec, _>(&received, 3).expect("fits").into_one();
        assert_eq!(&framed[..], b"\0\0\0\0\x03abc");
    }
}
