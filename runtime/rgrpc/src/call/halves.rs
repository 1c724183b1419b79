use std::sync::Arc;
use std::task::{Context, Poll};

use rgrpc_http2::BytesQueue;

use crate::codec::Compressor;
use crate::interceptor::MessageView;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{IncomingHead, NoHead, ReadDemand, WholeResponse};

/// Where a [`SendStream`](super::SendStream) puts its framed messages: a server's call or a
/// client's.
pub(crate) trait MessageSink: Send + Sync {
    /// Ready when the next message may be sent.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>>;

    /// What the next message is to be compressed by.
    fn compressor(&self) -> Option<Arc<dyn Compressor>> {
        None
    }

    /// A message is to be sent, and was framed. Called by the halves of observed calls alone.
    fn observe_sent(&self, _message: &MessageView<'_>) -> Result<(), Status> {
        Ok(())
    }

    /// Sends one framed message.
    fn send(&self, message: BytesQueue) -> Result<(), Status>;

    /// Sends one framed message, after which none follows.
    fn send_last(&self, message: BytesQueue) -> Result<(), Status>;

    /// No message follows.
    fn close(&self);

    /// The half was dropped before it was closed.
    fn abandon(&self);
}

/// Where a [`RecvStream`](super::RecvStream) gets its DATA from: a server's call or a client's.
pub(crate) trait MessageSource: Send + Sync {
    /// The connection's two ends, behind a stub and once one has taken the call for good.
    fn peer(&self) -> Option<&Arc<Peer>> {
        None
    }

    /// What came before the messages; ready before [`poll_data`](Self::poll_data) is
    /// called, and then not called again.
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>>;

    /// The next DATA, of which `read_demand` can be used at once, or how receiving ended: with the
    /// metadata that came last, or a failure.
    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent>;

    /// Ready when the next message may be received. Called by the halves of observed calls alone.
    fn poll_receive(&self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    /// A message was received and decoded. Called by the halves of observed calls alone.
    fn observe_received(&self, _message: &MessageView<'_>) -> Result<(), Status> {
        Ok(())
    }

    /// A whole response, as
    /// [`ClientStream::poll_whole`](crate::transport::ClientStream::poll_whole).
    fn poll_whole(
        &self,
        _cx: &mut Context<'_>,
        _fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeResponse>> {
        Poll::Ready(None)
    }

    /// What messages in this encoding are decompressed by, if this side knows it.
    fn decompressor(&self, _encoding: &[u8]) -> Option<Arc<dyn Compressor>> {
        None
    }

    /// The receiver has judged that what it received up to an end with OK is a good response: the
    /// call has ended well, with this trailer. Until then nobody is told that it has.
    fn accept(&self, _trailer: &Metadata) {}

    /// The receiver has judged that what it received up to an end with OK is no good response: the
    /// call ends with this status, and with the trailer that the server sent. Returns the status
    /// that the receiver reports.
    fn reject(&self, status: Status, _trailer: &Metadata) -> Status {
        self.fail(status)
    }

    /// What was received is unusable: the call ends with this status. Returns the status that the
    /// receiver reports.
    fn fail(&self, status: Status) -> Status;

    /// The half was dropped before it had ended.
    fn abandon(&self);
}

/// What a [`MessageSource`] yields.
#[derive(Debug)]
pub(crate) enum SourceEvent {
    Data(BytesQueue),
    End(Result<Metadata, Status>),
}
