//! A response, on both sides.
//!
//! Created by handlers and by a client's calls; owned by the caller or the server's call.
//!
//! Source: connect-go `Response`.

use std::sync::Arc;

use bytes::Bytes;

use crate::io::Peer;
use crate::metadata::{Metadata, MetadataError};

/// A message with the metadata that came or goes before it, and the trailers after it.
///
/// A handler that returns a response of its upstream sends the message, and only the metadata and
/// trailers that it has added; see [`Metadata::forward`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response<T> {
    message: T,
    metadata: Metadata,
    trailer: Metadata,
    peer: Option<Arc<Peer>>,
}

impl<T> Response<T> {
    /// Creates a response without metadata.
    pub const fn new(message: T) -> Self {
        Self {
            message,
            metadata: Metadata::new(),
            trailer: Metadata::new(),
            peer: None,
        }
    }

    pub(crate) fn from_parts(
        message: T,
        metadata: Metadata,
        trailer: Metadata,
        peer: Option<Arc<Peer>>,
    ) -> Self {
        Self {
            message,
            metadata,
            trailer,
            peer,
        }
    }

    /// Takes the metadata, the trailers and the peer, and leaves the message.
    pub(crate) fn take_metadata(&mut self) -> Response<()> {
        Response {
            message: (),
            metadata: std::mem::take(&mut self.metadata),
            trailer: std::mem::take(&mut self.trailer),
            peer: self.peer.take(),
        }
    }

    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The message, mutable.
    pub const fn message_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// The message alone.
    pub fn into_message(self) -> T {
        self.message
    }

    /// The message, the header metadata and the trailers.
    pub fn into_parts(self) -> (T, Metadata, Metadata) {
        (self.message, self.metadata, self.trailer)
    }

    /// The message, the header metadata, the trailers, and the ends of the connection.
    pub(crate) fn into_all_parts(self) -> (T, Metadata, Metadata, Option<Arc<Peer>>) {
        (self.message, self.metadata, self.trailer, self.peer)
    }

    /// The header metadata.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The header metadata, mutable.
    pub const fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// The trailers.
    pub const fn trailer(&self) -> &Metadata {
        &self.trailer
    }

    /// The trailers, mutable.
    pub const fn trailer_mut(&mut self) -> &mut Metadata {
        &mut self.trailer
    }

    /// The two ends of the response's connection; `None` for a response that was not received.
    ///
    /// Source: grpc-go `Peer`.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_deref()
    }

    /// Adds a value to the header metadata.
    ///
    /// # Errors
    /// As [`Metadata::append`].
    pub fn with_metadata(
        mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Self, MetadataError> {
        self.metadata.append(key, value)?;
        Ok(self)
    }

    /// Replaces the message. Metadata, trailers and peer stay.
    pub fn map<M>(self, map: impl FnOnce(T) -> M) -> Response<M> {
        Response {
            message: map(self.message),
            metadata: self.metadata,
            trailer: self.trailer,
            peer: self.peer,
        }
    }
}

impl<T> From<T> for Response<T> {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}
