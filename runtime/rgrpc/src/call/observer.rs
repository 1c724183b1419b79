//! The observation of a client's call: message interceptors and stats handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::handed_recorders::BegunRecorders;
use crate::interceptor::{CallKind, CallOutcome, MessageInterceptors, MessageView};
use crate::metadata::Metadata;
use crate::stats::{CallEvent, CallRecorders};
use crate::status::Status;
use crate::task::{caught, caught_status};

/// The name of the code that a panic ends a call with.
const INTERCEPTOR: &str = "a message interceptor of the call";

/// The observers of a client's call: its message interceptors and the recorders of its stats
/// handlers.
///
/// Made by the channel for a call that has either; shared by the call, its halves and its attempts,
/// and used on their tasks.
pub(crate) struct CallObserver {
    kind: CallKind,
    messages: Option<Arc<MessageInterceptors>>,
    recorders: CallRecorders,
    /// `None` without recorders: the clock is not read for message interceptors.
    began: Option<Instant>,
    /// The length before compression of the message that is being sent.
    encoded_len: AtomicUsize,
    /// Its length after compression.
    compressed_len: AtomicUsize,
    /// True once message interceptors have seen the only message of a unary call.
    has_shown: AtomicBool,
    /// True once the only message of a unary call is recorded.
    has_sent: AtomicBool,
}

impl CallObserver {
    pub(crate) fn new(
        kind: CallKind,
        messages: Option<Arc<MessageInterceptors>>,
        recorders: CallRecorders,
        began: Option<Instant>,
    ) -> Self {
        Self {
            kind,
            messages,
            recorders,
            began,
            encoded_len: AtomicUsize::new(0),
            compressed_len: AtomicUsize::new(0),
            has_shown: AtomicBool::new(false),
            has_sent: AtomicBool::new(false),
        }
    }

    /// The recorders of the call's stats handlers, and the time at which it began.
    pub(crate) fn recorders(&self) -> Option<(&CallRecorders, Instant)> {
        self.began.map(|began| (&self.recorders, began))
    }

    /// Splits the observer into the message interceptors, and the recorders with the time of the
    /// begin.
    pub(super) fn into_parts(self) -> (Option<Arc<MessageInterceptors>>, BegunRecorders) {
        (self.messages, (self.recorders, self.began))
    }

    /// Records an event of the call.
    #[inline]
    pub(crate) fn record(&self, event: &CallEvent<'_>) {
        self.recorders.record(event);
    }

    /// Records the end of the call: its trailers, or its failure.
    pub(super) fn end(&self, end: Result<&Metadata, &Status>) {
        if let Some((recorders, began)) = self.recorders() {
            recorders.record(&CallEvent::End(CallOutcome::of_client(end, began)));
        }
    }

    /// Waits until the message interceptors permit the next message of a stream to be sent.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &self.messages {
            Some(messages) if self.kind.client_streams() => polled(|| messages.poll_send(cx)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Waits until the message interceptors permit the next message of a stream to be received.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &self.messages {
            Some(messages) if self.kind.server_streams() => polled(|| messages.poll_receive(cx)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Returns whether there are message interceptors.
    pub(crate) fn shows_messages(&self) -> bool {
        self.messages.is_some()
    }

    /// Keeps the [sizes](Self::sizes) of a message that is sent.
    pub(crate) fn measured(&self, encoded_len: usize, compressed_len: usize) {
        self.encoded_len.store(encoded_len, Ordering::Relaxed);
        self.compressed_len.store(compressed_len, Ordering::Relaxed);
    }

    /// Shows the message interceptors a message before it is sent.
    ///
    /// # Errors
    /// One refuses it.
    pub(crate) fn sending(&self, message: &MessageView<'_>) -> Result<(), Status> {
        self.measured(message.encoded_len(), message.compressed_len());
        match &self.messages {
            Some(messages) => caught_status(INTERCEPTOR, || messages.sending(message)),
            None => Ok(()),
        }
    }

    /// The lengths before and after compression of the last message that is sent.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (
            self.encoded_len.load(Ordering::Relaxed),
            self.compressed_len.load(Ordering::Relaxed),
        )
    }

    /// Records a message that is sent.
    pub(crate) fn sent(&self, message: &MessageView<'_>) {
        if !self.recorders.is_empty() {
            let message = self.recorders.payload(*message);
            self.recorders.record(&CallEvent::OutPayload(message));
        }
    }

    /// Shows message interceptors the only message of a unary call, once: it is framed for each
    /// attempt.
    ///
    /// # Errors
    /// One refuses it.
    pub(crate) fn sending_only(&self, message: &MessageView<'_>) -> Result<(), Status> {
        if self.has_shown.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.sending(message)
    }

    /// Records the only message of a unary call, once.
    pub(crate) fn sent_only(&self, message: &MessageView<'_>) {
        if !self.has_sent.swap(true, Ordering::Relaxed) {
            self.sent(message);
        }
    }

    /// Records the only message of a unary call and the half-close after it, once. Returns false,
    /// and records neither, if the message was recorded before.
    pub(crate) fn sent_whole(&self, message: &MessageView<'_>) -> bool {
        static NONE: Metadata = Metadata::new();
        if self.has_sent.swap(true, Ordering::Relaxed) {
            return false;
        }
        if !self.recorders.is_empty() {
            let message = self.recorders.payload(*message);
            let events = [CallEvent::OutPayload(message), CallEvent::OutTrailer(&NONE)];
            self.recorders.record_all(&events);
        }
        true
    }

    /// Shows and records a received and decoded message.
    ///
    /// # Errors
    /// An interceptor refuses it.
    pub(crate) fn received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        if !self.recorders.is_empty() {
            let payload = self.recorders.payload(*message);
            self.recorders.record(&CallEvent::InPayload(payload));
        }
        match &self.messages {
            Some(messages) => caught_status(INTERCEPTOR, || messages.received(message)),
            None => Ok(()),
        }
    }
}

/// Polls message interceptors.
fn polled(poll: impl FnOnce() -> Poll<Result<(), Status>>) -> Poll<Result<(), Status>> {
    caught(INTERCEPTOR, poll).unwrap_or_else(|panicked| Poll::Ready(Err(panicked.to_status())))
}
