use std::borrow::Borrow;

use super::{RecvStream, Response, SendStream};
use crate::metadata::Metadata;
use crate::status::Status;

/// A call that sends messages and receives one response: what a client-streaming stub yields.
///
/// Dropping it before [`close_and_recv`](Self::close_and_recv) cancels the call.
///
/// Source: grpc-go `ClientStreamingClient`.
#[derive(Debug)]
pub struct ClientStreaming<Req, Res> {
    requests: SendStream<Req>,
    response: RecvStream<Res>,
}

impl<Req, Res> ClientStreaming<Req, Res> {
    pub(crate) fn new(requests: SendStream<Req>, response: RecvStream<Res>) -> Self {
        Self { requests, response }
    }

    /// Sends a message, as [`SendStream::send`].
    ///
    /// # Errors
    /// When the server has ended the call already, the status that it ended with; otherwise as
    /// [`SendStream::send`].
    pub async fn send(&mut self, message: impl Borrow<Req>) -> Result<(), Status> {
        self.requests.send(message).await
    }

    /// Whether the next messages are compressed, as [`SendStream::set_message_compression`].
    pub fn set_message_compression(&mut self, compressed: bool) {
        self.requests.set_message_compression(compressed);
    }

    /// The response's header metadata, as soon as it is there, as [`RecvStream::header`].
    pub async fn header(&mut self) -> &Metadata {
        self.response.header().await
    }

    /// Tells the server that no message follows and waits for the response.
    ///
    /// # Errors
    /// The status that the call ended with; UNIMPLEMENTED when the server sent no response with
    /// status OK, or more than one.
    pub async fn close_and_recv(mut self) -> Result<Response<Res>, Status> {
        self.requests.close();
        self.response.into_response().await
    }

    /// The two halves, for tasks of their own.
    pub fn split(self) -> (SendStream<Req>, RecvStream<Res>) {
        (self.requests, self.response)
    }
}
