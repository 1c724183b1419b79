//! A client-streaming call under way, as a stub returns it.
//!
//! Created by the call's builder; used on the caller's tasks.

use std::borrow::Borrow;

use super::{RecvStream, Response, SendStream};
use crate::metadata::Metadata;
use crate::status::Status;

/// A client-streaming call under way: sends messages and receives one response.
///
/// Dropping it before the response has been received cancels the call.
///
/// ```no_run
/// # use rgrpc::{ClientStreaming, Status};
/// # async fn finish(mut upload: ClientStreaming<Vec<u8>, ()>) -> Result<(), Status> {
/// upload.send(vec![1, 2, 3]).await?;
/// upload.close(); // The server sees the end of the messages now.
/// // … other work …
/// let response = upload.recv().await?;
/// # Ok(()) }
/// ```
///
/// Source: grpc-go `ClientStreamingClient`.
#[derive(Debug)]
pub struct ClientStreaming<Req, Res> {
    requests: SendStream<Req>,
    response: RecvStream<Res>,
}

impl<Req, Res> ClientStreaming<Req, Res> {
    pub(crate) fn new(requests: SendStream<Req>, response: RecvStream<Res>) -> Self {
        Self {
            requests,
            response: response.only_one(),
        }
    }

    /// Sends a message, as [`SendStream::send`].
    ///
    /// # Errors
    /// The status of the call, if the server has ended it; otherwise as [`SendStream::send`].
    pub async fn send(&mut self, message: impl Borrow<Req>) -> Result<(), Status> {
        self.requests.send(message).await
    }

    /// Sets whether the next messages are compressed, as [`SendStream::set_message_compression`].
    pub fn set_message_compression(&mut self, compressed: bool) {
        self.requests.set_message_compression(compressed);
    }

    /// Waits for the response's header metadata, as [`RecvStream::header`].
    pub async fn header(&mut self) -> &Metadata {
        self.response.header().await
    }

    /// Ends the sending of messages (half-close) and does not wait for the response. Idempotent.
    ///
    /// Source: grpc-go `ClientStream.CloseSend`.
    pub fn close(&mut self) {
        self.requests.close();
    }

    /// Waits for the response. Does not end the sending of messages: a server that responds after
    /// the last message waits for [`close`](Self::close) first.
    ///
    /// Dropping the future before it is ready cancels the call. To wait without that, wait for the
    /// [`header`](Self::header), or [`split`](Self::split) the call.
    ///
    /// # Errors
    /// The status that the call ended with; UNIMPLEMENTED when the server sent no response with
    /// status OK, or more than one.
    pub async fn recv(self) -> Result<Response<Res>, Status> {
        let Self { requests, response } = self;
        let response = response.into_response().await;
        // Dropped before, it would cancel the call.
        drop(requests);
        response
    }

    /// [Closes](Self::close) the call for sending and [waits for the response](Self::recv).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn close_and_recv(mut self) -> Result<Response<Res>, Status> {
        self.close();
        self.recv().await
    }

    /// Splits the call into its halves, for tasks of their own. The second half receives the
    /// response and then ends; as in [`recv`](Self::recv), there is no response before the call has
    /// ended with OK.
    pub fn split(self) -> (SendStream<Req>, RecvStream<Res>) {
        (self.requests, self.response)
    }
}
