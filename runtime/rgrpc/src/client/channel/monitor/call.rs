//! A server-streaming call on a given connection, without a picker, retries or a deadline.
//!
//! Made by the task of a monitor.

use std::sync::Arc;
use std::task::{Context, Poll};

use prost::Message;

use super::watch::Backend;
use crate::buffer_pool::BufferPool;
use crate::call::{MessageSource, MethodName, RecvStream, SourceEvent};
use crate::codec::MessageLimit;
use crate::codec::{Codec, DEFAULT_MAX_RECEIVE, DEFAULT_MAX_SEND, ProtoCodec, frame};
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;
use crate::transport::{
    ClientTransportStream, IncomingHead, NoHead, OpenError, OpenRequest, ReadDemand, ResetCode,
};

/// Makes a server-streaming call on the connection to this backend. Dropping what it returns cancels
/// it.
pub(super) fn call<Req, Res>(
    backend: &Backend,
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
    let stream = backend.transport.open(OpenRequest {
        path: method,
        headers: &backend.headers,
        content_subtype: <ProtoCodec as Codec<Req>>::NAME,
        previous_attempts: 0,
        timeout: None,
        metadata,
        only_message: Some(framed),
    })?;
    let source = Arc::new(StreamSource {
        stream,
        buffer_pool: backend.buffer_pool.clone(),
    });
    Ok(RecvStream::new::<ProtoCodec>(
        source,
        limit(DEFAULT_MAX_RECEIVE),
    ))
}

fn limit(bytes: usize) -> MessageLimit {
    MessageLimit::new(Side::Client, bytes)
}

/// A stream that only its receiver knows.
struct StreamSource {
    stream: Arc<dyn ClientTransportStream>,
    buffer_pool: BufferPool,
}

impl MessageSource for StreamSource {
    fn buffer_pool(&self) -> BufferPool {
        self.buffer_pool.clone()
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        self.stream.poll_head(cx)
    }

    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent> {
        let polled = self.stream.poll_data(cx, read_demand);
        polled.map(SourceEvent::from)
    }

    fn fail(&self, status: Status) -> Status {
        self.stream.reset(ResetCode::CANCEL);
        status
    }

    fn abandon(&self) {
        self.stream.reset(ResetCode::CANCEL);
    }
}
