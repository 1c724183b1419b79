//! The response of a unary call, received and decoded.
//!
//! Called by a client's unary and hedged calls, on the caller's task.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;

use super::receive::find_encoding;
use super::{MessageSource, RecvStream, Response};
use crate::codec::{Codec, MessageLimit, PREFIX_LEN, decode_whole, is_one_message};
use crate::interceptor::MessageView;
use crate::side::Side;
use crate::status::Status;
use crate::transport::IncomingHead;

/// The limits of a unary call's response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted<'a> {
    pub(crate) limit: MessageLimit,
    /// The accepted encodings, if the call sets them.
    pub(crate) encodings: Option<&'a Arc<[String]>>,
}

/// Receives the response of a unary call: whole if it comes at once, as most do, else piece by
/// piece. Dropping the future ends the call.
pub(crate) async fn receive_response<C: Codec<T>, T: 'static>(
    source: &Arc<impl MessageSource + 'static>,
    accepted: Accepted<'_>,
) -> Result<Response<T>, Status> {
    let fits = |data: &[u8]| is_one_message(data, accepted.limit.bytes());
    let rest = match poll_fn(|cx| source.poll_whole(cx, &fits)).await {
        Some(whole) => {
            let message = take_message::<C, T>(&**source, accepted, &whole.head, whole.data);
            return match message {
                Ok(message) => {
                    source.accept(&whole.trailer);
                    let peer = source.peer().cloned();
                    let header = whole.head.metadata;
                    Ok(Response::from_parts(message, header, whole.trailer, peer))
                }
                Err(status) => Err(source.reject(status, &whole.trailer)),
            };
        }
        None => {
            let source = Arc::clone(source) as Arc<dyn MessageSource>;
            let mut responses = RecvStream::new::<C>(Arc::clone(&source), accepted.limit);
            if source.is_observed() {
                responses = responses.observed::<C>();
            }
            responses.accepting(accepted.encodings).into_response()
        }
    };
    // Boxed, so that calls whose responses come at once need no space for it.
    Box::pin(rest).await
}

/// The message of a whole response.
#[inline]
fn take_message<C: Codec<T>, T: 'static>(
    source: &dyn MessageSource,
    accepted: Accepted<'_>,
    head: &IncomingHead,
    messages: Bytes,
) -> Result<T, Status> {
    if let Some(encoding) = &head.encoding {
        find_encoding(source, accepted.encodings.map(|all| &**all), encoding)?;
    }
    if !source.is_observed() {
        return decode_whole::<C, T>(messages, Side::Client);
    }
    let len = messages.len().saturating_sub(PREFIX_LEN);
    let message = decode_whole::<C, T>(messages, Side::Client)?;
    source.observe_received(&MessageView::new(Some(&message), len, len))?;
    Ok(message)
}
