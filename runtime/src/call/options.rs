use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::CallContext;
use super::request::OutgoingParts;
use crate::codec::{DEFAULT_MAX_RECEIVE, DEFAULT_MAX_SEND};
use crate::metadata::Metadata;
use crate::status::Status;

/// What a call is made with, besides its message: what grpc-go's context and call options hold.
///
/// The call builders set these; an [`Invoke`](super::Invoke) receives them.
#[derive(Clone, Debug)]
pub struct CallOptions {
    metadata: Metadata,
    deadline: Option<Instant>,
    /// `None`, here and below: not set, so that a service config may say it.
    wait_for_ready: Option<bool>,
    max_receive_message_size: Option<usize>,
    max_send_message_size: Option<usize>,
    parent: Option<CallContext>,
    /// The first value that could not be taken, which fails the call.
    invalid: Option<Status>,
}

impl CallOptions {
    /// No metadata, no deadline, fail-fast, 4 MiB received and 2^31 − 1 bytes sent in one message.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            metadata: Metadata::new(),
            deadline: None,
            wait_for_ready: None,
            max_receive_message_size: None,
            max_send_message_size: None,
            parent: None,
            invalid: None,
        }
    }

    /// Takes over a request's metadata and deadline; returns its message.
    pub(crate) fn take_request<T>(&mut self, parts: OutgoingParts<T>) -> T {
        self.metadata.merge(parts.metadata);
        if let Some(deadline) = parts.deadline {
            self.bound(deadline);
        }
        self.parent = parts.parent;
        parts.message
    }

    /// Bounds the whole call by this time from now, streams included. The earliest of several
    /// bounds holds. Default: none.
    pub fn timeout(&mut self, timeout: Duration) {
        // A time too far away to be expressed is no deadline.
        if let Some(deadline) = Instant::now().checked_add(timeout) {
            self.bound(deadline);
        }
    }

    /// Bounds the whole call by this point in time. The earliest of several bounds holds.
    /// Default: none.
    pub fn bound(&mut self, deadline: Instant) {
        self.deadline = Some(match self.deadline {
            Some(other) => other.min(deadline),
            None => deadline,
        });
    }

    /// When the call fails with DEADLINE_EXCEEDED; `None`: never.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the call waits while no connection can be made, instead of failing with
    /// UNAVAILABLE. Either way it waits while the channel is connecting. Default: `waitForReady` of
    /// the service config, else false.
    ///
    /// Source: grpc-go `WaitForReady`.
    pub fn set_wait_for_ready(&mut self, wait_for_ready: bool) {
        self.wait_for_ready = Some(wait_for_ready);
    }

    /// What holds unless [`set_wait_for_ready`](Self::set_wait_for_ready) says otherwise.
    pub(crate) fn default_wait_for_ready(&mut self, wait_for_ready: bool) {
        self.wait_for_ready.get_or_insert(wait_for_ready);
    }

    /// See [`set_wait_for_ready`](Self::set_wait_for_ready).
    #[must_use]
    pub const fn wait_for_ready(&self) -> bool {
        matches!(self.wait_for_ready, Some(true))
    }

    /// Adds a metadata value. One that [`Metadata::append`] refuses fails the call with INTERNAL
    /// before anything is sent.
    pub fn append_metadata(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        if let Err(error) = self.metadata.append(key, value) {
            self.invalid
                .get_or_insert_with(|| Status::internal(format!("the request's {error}")));
        }
    }

    /// The metadata that goes before the messages.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata that goes before the messages, to be changed.
    pub const fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// The largest message to receive, in bytes. Larger ones fail the call with
    /// RESOURCE_EXHAUSTED before they are buffered. The smaller of this and the service config's
    /// `maxResponseMessageBytes` holds. Default: 4 MiB.
    ///
    /// Source: grpc-go `MaxCallRecvMsgSize`.
    pub fn set_max_receive_message_size(&mut self, bytes: usize) {
        self.max_receive_message_size = Some(bytes);
    }

    /// Sets the largest message to receive, unless a smaller one is set.
    pub(crate) fn limit_receive_message_size(&mut self, bytes: usize) {
        self.max_receive_message_size = smaller(self.max_receive_message_size, bytes);
    }

    /// See [`set_max_receive_message_size`](Self::set_max_receive_message_size).
    #[must_use]
    pub const fn max_receive_message_size(&self) -> usize {
        match self.max_receive_message_size {
            Some(bytes) => bytes,
            None => DEFAULT_MAX_RECEIVE,
        }
    }

    /// The largest message to send, in bytes. Larger ones fail the call with RESOURCE_EXHAUSTED. The
    /// smaller of this and the service config's `maxRequestMessageBytes` holds. Default: 2^31 − 1.
    ///
    /// Source: grpc-go `MaxCallSendMsgSize`.
    pub fn set_max_send_message_size(&mut self, bytes: usize) {
        self.max_send_message_size = Some(bytes);
    }

    /// Sets the largest message to send, unless a smaller one is set.
    pub(crate) fn limit_send_message_size(&mut self, bytes: usize) {
        self.max_send_message_size = smaller(self.max_send_message_size, bytes);
    }

    /// See [`set_max_send_message_size`](Self::set_max_send_message_size).
    #[must_use]
    pub const fn max_send_message_size(&self) -> usize {
        match self.max_send_message_size {
            Some(bytes) => bytes,
            None => DEFAULT_MAX_SEND,
        }
    }

    /// The call on whose behalf this one is made; when it ends, this one is cancelled.
    #[must_use]
    pub const fn parent(&self) -> Option<&CallContext> {
        self.parent.as_ref()
    }

    /// Fails when a value could not be taken.
    pub(crate) fn check(&mut self) -> Result<(), Status> {
        match self.invalid.take() {
            Some(status) => Err(status),
            None => Ok(()),
        }
    }
}

fn smaller(set: Option<usize>, bytes: usize) -> Option<usize> {
    Some(set.map_or(bytes, |set| set.min(bytes)))
}

impl Default for CallOptions {
    fn default() -> Self {
        Self::new()
    }
}
