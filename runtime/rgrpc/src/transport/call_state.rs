use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{CancelReason, EncodingField, RequestHead};
use crate::interceptor::{EndHook, EndHooks};
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::stats::CallScope;
use crate::status::Status;

/// The state of a server's call, besides its messages. It lives as long as the stream, whoever
/// holds that.
pub(crate) struct CallState {
    head: Arc<RequestHead>,
    began: Instant,
    deadline: Option<Instant>,
    /// True once the response has a field about encodings. Most responses have none, and read this
    /// without taking the lock.
    has_encoding: AtomicBool,
    response: Mutex<ResponseState>,
    scope: Option<CallScope>,
    /// A run of the handler has taken the request's body.
    body_taken: AtomicBool,
    /// Created by the first task that waits for the call's end.
    done: OnceLock<Box<Notify>>,
}

#[derive(Default)]
struct ResponseState {
    header: Metadata,
    header_sent: bool,
    encoding: Option<Box<EncodingField>>,
    /// The encoding is in use and can no longer change.
    encoding_used: bool,
    trailer: Metadata,
    done: bool,
    cancelled: Option<CancelReason>,
    end_hooks: EndHooks,
}

/// The parts of a call that are sent or called when it has ended.
pub(crate) struct EndedCall {
    /// The header metadata, if it is still to be sent.
    pub(crate) header: Option<Metadata>,
    pub(crate) trailer: Metadata,
    /// `None` if nobody is told of the call's end.
    pub(crate) report: Option<EndReport>,
}

/// The parts of an end that are told to end hooks and stats handlers.
pub(crate) struct EndReport {
    pub(crate) hooks: EndHooks,
    pub(crate) cancel_reason: Option<CancelReason>,
}

impl CallState {
    /// Creates the state of a call that began at this time.
    #[inline]
    pub(crate) fn new(
        head: Arc<RequestHead>,
        began: Instant,
        deadline: Option<Instant>,
        scope: Option<CallScope>,
    ) -> Self {
        Self {
            head,
            began,
            deadline,
            has_encoding: AtomicBool::new(false),
            response: Mutex::default(),
            scope,
            body_taken: AtomicBool::new(false),
            done: OnceLock::new(),
        }
    }

    /// The request's head.
    pub(crate) fn head(&self) -> &Arc<RequestHead> {
        &self.head
    }

    /// The time at which the head had arrived.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// The state that stats handlers and the head hook have made for the call.
    #[inline]
    pub(crate) fn scope(&self) -> Option<&CallScope> {
        self.scope.as_ref()
    }

    /// Returns whether a run of the handler has taken the request's body.
    pub(crate) fn is_body_taken(&self) -> bool {
        self.body_taken.load(Ordering::Relaxed)
    }

    /// Takes the request's body for one run of the handler. Returns false if another run has it.
    pub(crate) fn take_body(&self) -> bool {
        !self.body_taken.swap(true, Ordering::Relaxed)
    }

    /// Adds a hook for the call's end. Returns the hook if the call has ended.
    pub(crate) fn on_end(&self, hook: EndHook) -> Result<(), EndHook> {
        let mut response = lock(&self.response);
        if response.done {
            return Err(hook);
        }
        response.end_hooks.push(hook);
        Ok(())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Adds to the header metadata. Returns the metadata if the headers have been sent.
    pub(crate) fn add_header(&self, metadata: Metadata) -> Result<(), Metadata> {
        let mut response = lock(&self.response);
        if response.header_sent {
            return Err(metadata);
        }
        response.header.merge(metadata.without_received());
        Ok(())
    }

    /// Sets the response's `grpc-encoding`. Returns false when it is too late: the headers have
    /// been sent, or messages were compressed.
    pub(crate) fn set_encoding(&self, encoding: Bytes) -> bool {
        self.set_encoding_field(EncodingField::Encoding(encoding))
    }

    /// Records that the request's encoding is unknown. The response then names the accepted
    /// encodings, unless it is too late.
    pub(crate) fn refuse_encoding(&self, accepted: Bytes) {
        self.set_encoding_field(EncodingField::AcceptEncoding(accepted));
    }

    fn set_encoding_field(&self, field: EncodingField) -> bool {
        let mut response = lock(&self.response);
        if response.header_sent || response.encoding_used {
            return false;
        }
        response.encoding = Some(Box::new(field));
        self.has_encoding.store(true, Ordering::Release);
        true
    }

    /// Returns whether the response has a field about encodings.
    #[inline]
    pub(crate) fn has_encoding(&self) -> bool {
        self.has_encoding.load(Ordering::Acquire)
    }

    /// Returns the response's `grpc-encoding` and fixes it from now on.
    pub(crate) fn encoding(&self) -> Option<Bytes> {
        match self.encoding_field()? {
            EncodingField::Encoding(encoding) => Some(encoding),
            EncodingField::AcceptEncoding(_) => None,
        }
    }

    /// Returns the response's field about encodings and fixes it from now on.
    #[inline]
    pub(crate) fn encoding_field(&self) -> Option<EncodingField> {
        if self.has_encoding() {
            self.use_encoding_field()
        } else {
            None
        }
    }

    #[cold]
    fn use_encoding_field(&self) -> Option<EncodingField> {
        let mut response = lock(&self.response);
        response.encoding_used = true;
        response.encoding.as_deref().cloned()
    }

    pub(crate) fn add_trailer(&self, metadata: Metadata) {
        let metadata = metadata.without_received();
        lock(&self.response).trailer.merge(metadata);
    }

    /// Takes the header metadata if it has not been sent. Returns it once.
    pub(crate) fn take_header(&self) -> Option<Metadata> {
        lock(&self.response).take_header()
    }

    /// Ends the call.
    pub(crate) fn end(&self) -> EndedCall {
        let mut response = lock(&self.response);
        response.done = true;
        let trailer = std::mem::take(&mut response.trailer);
        let header = response.take_header();
        let hooks = std::mem::take(&mut response.end_hooks);
        let is_reported = !hooks.is_empty() || self.scope.is_some();
        let report = is_reported.then(|| EndReport {
            hooks,
            cancel_reason: response.cancelled,
        });
        drop(response);
        // A task that has not created it yet looks at the flag afterwards.
        if let Some(done) = self.done.get() {
            done.notify_waiters();
        }
        EndedCall {
            header,
            trailer,
            report,
        }
    }

    /// Cancels the call, before its handler is dropped. The first reason stays. A call that has
    /// ended does not change.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        let reason = reason.at(Instant::now(), self.deadline);
        let mut response = lock(&self.response);
        if !response.done {
            response.cancelled.get_or_insert(reason);
        }
    }

    /// Returns the reason why the call was cancelled, if it was.
    pub(crate) fn cancel_reason(&self) -> Option<CancelReason> {
        let response = lock(&self.response);
        if response.cancelled.is_some() || response.done {
            return response.cancelled;
        }
        // The deadline is about to drop the handler.
        let has_passed = self.deadline.is_some_and(|at| at <= Instant::now());
        has_passed.then_some(CancelReason::DeadlineExceeded)
    }

    /// The status of a half of the stream that is used after the call has ended.
    #[cold]
    pub(crate) fn outlived() -> Status {
        Status::cancelled(
            "the call has ended: its handler has returned, and this half of its stream outlives it",
        )
    }

    pub(crate) fn is_done(&self) -> bool {
        lock(&self.response).done
    }

    /// Waits until the call has ended. Cancel-safe.
    pub(crate) async fn done(&self) {
        let done = self.done.get_or_init(Box::default);
        loop {
            let changed = done.notified();
            if self.is_done() {
                return;
            }
            changed.await;
        }
    }
}

impl ResponseState {
    fn take_header(&mut self) -> Option<Metadata> {
        if self.header_sent {
            return None;
        }
        self.header_sent = true;
        Some(std::mem::take(&mut self.header))
    }
}
