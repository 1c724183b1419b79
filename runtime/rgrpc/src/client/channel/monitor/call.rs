//! A server-streaming call on a given connection, without a picker, retries or a deadline.
//!
//! Made by the task of a monitor.

use std::sync::Arc;
use std::task::{Context, Poll};

use prost::Message;

use crate::buffer_pool::BufferPool;
use crate::call::{MessageSource, MethodName, RecvStream, SourceEvent};
use crate::codec::MessageLimit;
use crate::codec::{Codec, DEFAULT_MAX_RECEIVE, DEFAULT_MAX_SEND, ProtoCodec, frame};
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;
use crate::transport::{
    ClientStream, ClientTransport, CommonHeaders, IncomingHead, NoHead, OpenError, OpenRequest,
    ReadDemand, ResetCode,
};

/// Makes a server-streaming call on this connection. Dropping what it returns cancels it.
pub(super) fn call<Req, Res>(
    transport: &dyn ClientTransport,
    headers: &Arc<CommonHeaders>,
    metadata: &Metadata,
    method: &MethodName,
    request: &Req,
) -> Result<RecvStream<Res>, OpenError>
where
    Req: Message + Default,
    Res: Message + Default + 'static,
{
    let framed =
        frame::<ProtoCodec, Req>(request, limit(DEFAULT_MAX_SEND)).map_err(OpenError::Invalid)?;
    let stream = transport.open(OpenRequest {
        path: method,
        headers,
        content_subtype: <ProtoCodec as Codec<Req>>::NAME,
        previous_attempts: 0,
        timeout: None,
        metadata,
        only_message: Some(framed),
    })?;
    let source = Arc::new(StreamSource(stream));
    Ok(RecvStream::new::<ProtoCodec>(
        source,
        limit(DEFAULT_MAX_RECEIVE),
    ))
}

fn limit(bytes: usize) -> MessageLimit {
    MessageLimit::new(Side::Client, bytes)
}

/// A stream that only its receiver knows.
struct StreamSource(Arc<dyn ClientStream>);

impl MessageSource for StreamSource {
    fn buffer_pool(&self) -> BufferPool {
        BufferPool::shared()
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        self.0.poll_head(cx)
    }

    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent> {
        self.0.poll_data(cx, read_demand).map(SourceEvent::from)
    }

    fn fail(&self, status: Status) -> Status {
        self.0.reset(ResetCode::CANCEL);
        status
    }

    fn abandon(&self) {
        self.0.reset(ResetCode::CANCEL);
    }
}
