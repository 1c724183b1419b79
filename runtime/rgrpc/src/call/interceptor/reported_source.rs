//! The receiving half's source in a streaming call with `on_end` hooks.
//!
//! Created when the chain is ready with the halves; polled by the receiving half, on the caller's
//! task.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::end_guard::EndGuard;
use crate::buffer_pool::BufferPool;
use crate::call::{MessageSource, SourceEvent};
use crate::codec::Compressor;
use crate::interceptor::MessageView;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{IncomingHead, NoHead, ReadDemand, WholeContent};

/// The source of a call whose chain has hooks: tells them of the end.
pub(super) struct ReportedSource {
    source: Arc<dyn MessageSource>,
    end: EndGuard,
}

impl ReportedSource {
    pub(super) fn new(source: Arc<dyn MessageSource>, end: EndGuard) -> Self {
        Self { source, end }
    }
}

impl MessageSource for ReportedSource {
    fn peer(&self) -> Option<&Arc<Peer>> {
        self.source.peer()
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        self.source.poll_head(cx)
    }

    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent> {
        let received = self.source.poll_data(cx, read_demand);
        if let Poll::Ready(SourceEvent::End(Err(status))) = &received {
            self.end.tell(Err(status));
        }
        received
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.source.poll_receive(cx)
    }

    fn is_observed(&self) -> bool {
        self.source.is_observed()
    }

    fn observe_received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        self.source.observe_received(message)
    }

    fn poll_whole(
        &self,
        cx: &mut Context<'_>,
        fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeContent>> {
        self.source.poll_whole(cx, fits)
    }

    fn buffer_pool(&self) -> BufferPool {
        self.source.buffer_pool()
    }

    fn decompressor(&self, encoding: &[u8]) -> Option<Arc<dyn Compressor>> {
        self.source.decompressor(encoding)
    }

    fn accept(&self, trailer: &Metadata) {
        self.source.accept(trailer);
        self.end.tell(Ok(trailer));
    }

    fn reject(&self, status: Status, trailer: &Metadata) -> Status {
        let status = self.source.reject(status, trailer);
        self.end.tell(Err(&status));
        status
    }

    fn fail(&self, status: Status) -> Status {
        let status = self.source.fail(status);
        self.end.tell(Err(&status));
        status
    }

    fn abandon(&self) {
        // First: the caller's drop is no reason for a call that has ended before it.
        let ended = self.source.local_end();
        self.source.abandon();
        let status =
            ended.unwrap_or_else(|| Status::cancelled("a half of the call's streams was dropped"));
        self.end.tell(Err(&status));
    }

    fn local_end(&self) -> Option<Status> {
        self.source.local_end()
    }
}
