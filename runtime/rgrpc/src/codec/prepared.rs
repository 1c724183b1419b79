use std::any::TypeId;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use rgrpc_http2::BytesQueue;

use super::compression::{CompressedForms, compress, compress_failed};
use super::framing::frame;
use super::limit::too_long;
use super::{
    Codec, CodecError, Compressor, DEFAULT_MAX_SEND, MessageBuffer, MessageBytes, MessageLimit,
    PREFIX_LEN,
};
use crate::buffers;
use crate::side::Side;
use crate::status::Status;

/// A message that is encoded already, to be sent any number of times: to many streams, or in many
/// calls. Cheap to clone.
///
/// Streams take it by [`SendStream::send_prepared`](crate::SendStream::send_prepared). A call with
/// one message each way takes it as its request:
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
/// Streams, and calls with it as their request, send it compressed where they compress. That is
/// done once for each name of a compressor, when it is first sent so.
///
/// [`ProtoCodec`](crate::ProtoCodec) and [`RawCodec`](crate::RawCodec) send such requests. A codec
/// of your own does when it implements `Codec<PreparedMessage<T>>` by this type's
/// [`framed`](Self::framed), [`framed_compressed`](Self::framed_compressed),
/// [`encode`](Self::encode) and [`decode`](Self::decode).
///
/// Source: grpc-go `PreparedMsg`.
pub struct PreparedMessage<T> {
    /// With its prefix.
    framed: Bytes,
    /// `None` for one that was received, which is hardly sent more than once.
    compressed: Option<Arc<CompressedForms>>,
    codec: TypeId,
    message: PhantomData<fn() -> T>,
}

impl<T> PreparedMessage<T> {
    /// Encodes a message with this codec.
    ///
    /// # Errors
    /// INTERNAL when the codec fails; RESOURCE_EXHAUSTED when the message is larger than any call
    /// can send: 2^31 − 1 bytes.
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

    /// [`Codec::framed_compressed`] of the codec `C`: `None` when another one has encoded the
    /// message.
    ///
    /// # Errors
    /// The compressor's.
    #[must_use]
    pub fn framed_compressed<C: 'static>(
        &self,
        compressor: &dyn Compressor,
    ) -> Option<io::Result<Bytes>> {
        (self.codec == TypeId::of::<C>()).then(|| self.compressed_by(compressor))
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
        let prefix = u32::try_from(len).map_err(|_| CodecError::new(too_long(len)))?;
        let mut framed = buffers::take(PREFIX_LEN + len);
        framed.put_u8(0);
        framed.put_u32(prefix);
        framed.put(&mut bytes);
        Ok(Self {
            framed: buffers::share(framed),
            compressed: None,
            codec: TypeId::of::<C>(),
            message: PhantomData,
        })
    }

    /// The message with its prefix, for a call of this codec that compresses by this compressor, if
    /// by any, and has this limit.
    ///
    /// # Errors
    /// INTERNAL when another codec has encoded it, or the compressor fails; RESOURCE_EXHAUSTED when
    /// it is larger than the limit.
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
            Some(compressor) => self
                .compressed_by(compressor)
                .map_err(|error| compress_failed(compressor, &error))?,
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
    CodecError::new("the prepared message was encoded by another codec than the call's")
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
    fn it_is_framed_once_and_shared() {
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
    fn another_codecs_call_does_not_send_it() {
        let prepared = PreparedMessage::new(RawCodec, &ABC).expect("fits");
        assert!(prepared.framed::<ProtoCodec>().is_none());
        prepared
            .encode::<ProtoCodec>(&mut MessageBuffer::default())
            .expect_err("another codec");
        let error = prepared.framed_for(TypeId::of::<ProtoCodec>(), None, limit(3));
        assert_eq!(error.expect_err("another codec").code(), Code::Internal);
    }

    #[test]
    fn it_is_compressed_once_for_each_name_and_its_clones_share_that() {
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
    fn what_is_received_can_be_passed_on() {
        let received = PreparedMessage::<Bytes>::decode::<RawCodec>(ABC.into()).expect("short");
        let framed = frame::<RawCodec, _>(&received, limit(3))
            .expect("fits")
            .into_bytes();
        assert_eq!(&framed[..], b"\0\0\0\0\x03abc");
    }
}
