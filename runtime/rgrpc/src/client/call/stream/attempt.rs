//! An attempt at a streaming or hedged call, from its beginning until it commits the call or has
//! failed.
//!
//! Polled by the call, on the task that drives it, under no lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rgrpc_http2::BytesQueue;

use super::replay_buffer::Sent;
use crate::call::{CallObserver, MessageSink, MessageSource, MethodName, SourceEvent};
use crate::client::ClientConn;
use crate::client::call::attempt::{AttemptContext, CallAttempt};
use crate::client::call::resolved_call::ResolvedCall;
use crate::client::call::scheduler::{AttemptFailure, AttemptNumber};
use crate::client::call::wait_reason::WaitRecorder;
use crate::codec::PREFIX_LEN;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::{IncomingHead, NoHead, ReadDemand};

/// The inputs of the attempts at a streaming call, which the attempts share.
pub(in crate::client::call) struct StreamContext {
    pub(in crate::client::call) conn: ClientConn,
    pub(in crate::client::call) method: MethodName,
    pub(in crate::client::call) content_subtype: &'static str,
    pub(in crate::client::call) call: ResolvedCall,
    /// The framed message of a hedged unary call.
    pub(in crate::client::call) only_message: Option<BytesQueue>,
    /// The reason of the wait in which an attempt was abandoned before it had a stream.
    pub(in crate::client::call) recorder: WaitRecorder,
    /// The observers of the call, if it has any.
    pub(in crate::client::call) observer: Option<Arc<CallObserver>>,
    /// The recording of the only message, if the call has observers.
    pub(in crate::client::call) record_request: Option<Arc<RecordRequest>>,
}

/// Records the message of a hedged unary call, when an attempt has sent it.
pub(in crate::client::call) type RecordRequest = dyn Fn(&CallAttempt) + Send + Sync;

impl StreamContext {
    fn attempt_context(&self) -> AttemptContext<'_> {
        AttemptContext {
            conn: &self.conn,
            method: &self.method,
            content_subtype: self.content_subtype,
            call: &self.call,
            recorder: &self.recorder,
            observer: self.observer.as_ref(),
        }
    }
}

/// An attempt at a call that may have others.
pub(super) struct StreamAttempt {
    number: AttemptNumber,
    state: AttemptState,
}

/// The state of an attempt.
///
/// ```text
///  Opening ──a connection takes it──► Open ──headers──► commits the call
///     │                                 └──no headers──► Ending ──OK──► commits the call
///     └──────────────failure──────────────────────────────┴──failure──► gone
/// ```
enum AttemptState {
    Opening(Pin<Box<dyn Future<Output = Result<Arc<CallAttempt>, AttemptFailure>> + Send>>),
    Open(Arc<CallAttempt>),
    /// The stream has ended without headers; its status has not been read yet.
    Ending(Arc<CallAttempt>),
}

/// The progress of an attempt.
pub(super) enum AttemptProgress {
    /// It has a stream, on which nothing was sent yet.
    Opened,
    /// The response's headers have come.
    Head(IncomingHead),
    /// It has ended well, without headers.
    Ended(Metadata),
    Failed(AttemptFailure),
}

impl StreamAttempt {
    /// Begins an attempt. Nothing happens before it is polled.
    pub(super) fn begin(context: &Arc<StreamContext>, number: AttemptNumber) -> Self {
        let context = Arc::clone(context);
        let opening = async move {
            let mut only_message = context.only_message.clone();
            let attempt_context = context.attempt_context();
            let attempt = attempt_context
                .begin_attempt(number, &mut only_message)
                .await?;
            if let Some(record) = &context.record_request {
                record(&attempt);
            }
            Ok(attempt)
        };
        Self {
            number,
            state: AttemptState::Opening(Box::pin(opening)),
        }
    }

    /// The number of the same attempt, when it begins again.
    pub(super) fn repeated(&self) -> AttemptNumber {
        AttemptNumber {
            is_transparent_retry: true,
            ..self.number
        }
    }

    /// Its stream, if it has one and that has not ended.
    pub(super) fn open(&self) -> Option<&Arc<CallAttempt>> {
        match &self.state {
            AttemptState::Open(attempt) => Some(attempt),
            AttemptState::Opening(_) | AttemptState::Ending(_) => None,
        }
    }

    /// Its stream, if it has had one.
    pub(super) fn into_attempt(self) -> Option<Arc<CallAttempt>> {
        match self.state {
            AttemptState::Open(attempt) | AttemptState::Ending(attempt) => Some(attempt),
            AttemptState::Opening(_) => None,
        }
    }

    /// Sends on its stream, if it is open. When that has ended, [`poll`](Self::poll) tells the
    /// status.
    pub(super) fn send(&self, sent: Sent) {
        if let Some(attempt) = self.open() {
            let _ = send_on(attempt, sent);
        }
    }

    pub(super) fn cancel(self) {
        if let Some(attempt) = self.into_attempt() {
            MessageSource::abandon(&*attempt);
        }
    }

    /// The next progress of the attempt.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<AttemptProgress> {
        loop {
            match &mut self.state {
                AttemptState::Opening(opening) => {
                    return Poll::Ready(match ready!(opening.as_mut().poll(cx)) {
                        Ok(attempt) => {
                            self.state = AttemptState::Open(attempt);
                            AttemptProgress::Opened
                        }
                        Err(failure) => AttemptProgress::Failed(failure),
                    });
                }
                AttemptState::Open(attempt) => match ready!(attempt.poll_head(cx)) {
                    Ok(head) => return Poll::Ready(AttemptProgress::Head(head)),
                    Err(NoHead) => self.state = AttemptState::Ending(Arc::clone(attempt)),
                },
                AttemptState::Ending(attempt) => {
                    match ready!(attempt.poll_data(cx, ReadDemand::Rest(0))) {
                        // There is none without headers.
                        SourceEvent::Data(_) => {}
                        SourceEvent::End(Ok(trailer)) => {
                            return Poll::Ready(AttemptProgress::Ended(trailer));
                        }
                        SourceEvent::End(Err(status)) => {
                            let failure = attempt.failure(status);
                            return Poll::Ready(AttemptProgress::Failed(failure));
                        }
                    }
                }
            }
        }
    }
}

/// Sends on the stream of an attempt.
pub(super) fn send_on(attempt: &CallAttempt, sent: Sent) -> Result<(), Status> {
    match sent {
        Sent::Message(message, encoded_len) => {
            attempt.record_sent(message.len().saturating_sub(PREFIX_LEN), encoded_len);
            MessageSink::send(attempt, message)
        }
        Sent::Last(message, encoded_len) => {
            attempt.record_sent(message.len().saturating_sub(PREFIX_LEN), encoded_len);
            attempt.record_closed();
            attempt.send_last(message)
        }
        Sent::Close => {
            attempt.record_closed();
            attempt.close();
            Ok(())
        }
    }
}
