//! The traits of the calls behind the stream halves.
//!
//! Implemented by the calls of a server, of a client and of tests; called by the halves, on the
//! tasks that send and receive.

use std::sync::Arc;
use std::task::{Context, Poll};

use rgrpc_http2::BytesQueue;

use crate::buffer_pool::BufferPool;
use crate::codec::Compressor;
use crate::interceptor::MessageView;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{Incoming, IncomingHead, NoHead, ReadDemand, WholeContent};

/// The call behind a [`SendStream`](super::SendStream): takes its framed messages, on a server or
/// a client.
pub(crate) trait MessageSink: Send + Sync {
    /// Waits until the next message may be sent.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>>;

    /// The compressor of the next message.
    fn compressor(&self) -> Option<Arc<dyn Compressor>> {
        None
    }

    /// Shows interceptors and stats handlers a framed message, before it is sent. Called only by
    /// the halves of observed calls.
    fn observe_sent(&self, _message: &MessageView<'_>) -> Result<(), Status> {
        Ok(())
    }

    /// Sends one framed message.
    fn send(&self, message: BytesQueue) -> Result<(), Status>;

    /// Sends the last framed message.
    fn send_last(&self, message: BytesQueue) -> Result<(), Status>;

    /// Half-closes the call: no message follows.
    fn close(&self);

    /// Handles the drop of a half that was not closed.
    fn abandon(&self);
}

/// The call behind a [`RecvStream`](super::RecvStream): yields its DATA, on a server or a client.
pub(crate) trait MessageSource: Send + Sync {
    /// The connection's two ends; on a client, once the call is committed to an attempt.
    fn peer(&self) -> Option<&Arc<Peer>> {
        None
    }

    /// The head, which precedes the messages. Not called again once it is ready; only then is
    /// [`poll_data`](Self::poll_data) called.
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>>;

    /// The next DATA, or the end: the trailers, or a failure. `read_demand` is the amount that can
    /// be used at once.
    fn poll_data(&self, cx: &mut Context<'_>, read_demand: ReadDemand) -> Poll<SourceEvent>;

    /// Returns whether the halves show their messages, on a client.
    fn is_observed(&self) -> bool {
        false
    }

    /// Waits until the next message may be received. Called only by the halves of observed calls.
    fn poll_receive(&self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    /// Shows interceptors and stats handlers a received and decoded message. Called only by the
    /// halves of observed calls.
    fn observe_received(&self, _message: &MessageView<'_>) -> Result<(), Status> {
        Ok(())
    }

    /// The whole content of the stream, as
    /// [`Stream::poll_whole`](crate::transport::Stream::poll_whole).
    fn poll_whole(
        &self,
        _cx: &mut Context<'_>,
        _fits: &dyn Fn(&[u8]) -> bool,
    ) -> Poll<Option<WholeContent>> {
        Poll::Ready(None)
    }

    /// The pool of the buffers that messages are received into.
    fn buffer_pool(&self) -> BufferPool;

    /// The compressor for messages in this encoding, if this side has it.
    fn decompressor(&self, _encoding: &[u8]) -> Option<Arc<dyn Compressor>> {
        None
    }

    /// Ends the call with OK and this trailer. Called when the receiver has checked the whole
    /// response; the end is reported to nobody before.
    fn accept(&self, _trailer: &Metadata) {}

    /// Ends the call with this status and the server's trailer. Called when the server has ended
    /// the call with OK, but the response is malformed. Returns the status that the receiver
    /// reports.
    fn reject(&self, status: Status, _trailer: &Metadata) -> Status {
        self.fail(status)
    }

    /// Ends the call with this status, because the received data is unusable. Returns the status
    /// that the receiver reports.
    fn fail(&self, status: Status) -> Status;

    /// Handles the drop of a half that has not ended.
    fn abandon(&self);

    /// The status of a call that this side has ended while nobody received.
    fn local_end(&self) -> Option<Status> {
        None
    }
}

/// An event of a [`MessageSource`].
#[derive(Debug)]
pub(crate) enum SourceEvent {
    Data(BytesQueue),
    End(Result<Metadata, Status>),
}

impl From<Incoming> for SourceEvent {
    fn from(incoming: Incoming) -> Self {
        match incoming {
            Incoming::Data(data) => Self::Data(data),
            Incoming::End(end) => Self::End(end.outcome),
        }
    }
}
