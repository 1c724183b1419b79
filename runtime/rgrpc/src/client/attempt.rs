use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::ClientConn;
use super::call::ClientCall;
use super::deadline::Bounds;
use super::opening::Opening;
use super::replay::Sent;
use super::retry::Failure;
use super::wait::GivenUp;
use crate::call::{CallOptions, MessageSink, MessageSource, MethodName, Received};
use crate::metadata::Metadata;
use crate::transport::{IncomingHead, NoHead, Wanted};
use rgrpc_http2::BytesQueue;

/// What every attempt at a call begins with.
pub(super) struct Start {
    pub(super) conn: ClientConn,
    pub(super) method: MethodName,
    pub(super) content_subtype: &'static str,
    pub(super) options: CallOptions,
    pub(super) bounds: Bounds,
    /// The framed message of a call with one each way.
    pub(super) only_message: Option<BytesQueue>,
    /// What attempts that were given up before they had a stream have waited for.
    pub(super) given_up: GivenUp,
}

/// An attempt at a call that may have others, until it decides the call or has failed.
///
/// ```text
///  Opening ──a connection takes it──► Open ──headers──► the call's
///     │                                 └──no headers──► Ending ──OK──► the call's
///     └──────────────failure──────────────────────────────┴──failure──► gone
/// ```
pub(super) struct Attempt {
    /// How many there were before it.
    previous: u32,
    stage: Stage,
}

enum Stage {
    Opening(Pin<Box<dyn Future<Output = Result<Arc<ClientCall>, Failure>> + Send>>),
    Open(Arc<ClientCall>),
    /// The stream has ended without headers; how is still to be had.
    Ending(Arc<ClientCall>),
}

/// What has become of an attempt.
pub(super) enum Progress {
    /// It has a stream, on which nothing was sent yet.
    Opened,
    /// The response's headers have come.
    Head(IncomingHead),
    /// It has ended well, without headers.
    Ended(Metadata),
    Failed(Failure),
}

impl Attempt {
    /// One that begins now.
    pub(super) fn begin(start: &Arc<Start>, previous: u32) -> Self {
        let start = Arc::clone(start);
        let opening = async move {
            let mut only_message = start.only_message.clone();
            let opening = Opening {
                conn: &start.conn,
                method: &start.method,
                content_subtype: start.content_subtype,
                options: &start.options,
                previous_attempts: previous,
                given_up: &start.given_up,
            };
            let opened = opening.open(&mut only_message).await?;
            Ok(Arc::new(ClientCall::new(opened, &start.options)))
        };
        Self {
            previous,
            stage: Stage::Opening(Box::pin(opening)),
        }
    }

    /// How many there were before it.
    pub(super) fn previous(&self) -> u32 {
        self.previous
    }

    /// Its stream, if it has one and that has not ended.
    pub(super) fn open(&self) -> Option<&Arc<ClientCall>> {
        match &self.stage {
            Stage::Open(call) => Some(call),
            Stage::Opening(_) | Stage::Ending(_) => None,
        }
    }

    /// Its stream, if it has had one.
    pub(super) fn into_call(self) -> Option<Arc<ClientCall>> {
        match self.stage {
            Stage::Open(call) | Stage::Ending(call) => Some(call),
            Stage::Opening(_) => None,
        }
    }

    /// Sends on its stream, if it is open. When that has ended, [`poll`](Self::poll) says how.
    pub(super) fn send(&self, sent: Sent) {
        let Some(call) = self.open() else {
            return;
        };
        let _ = match sent {
            Sent::Message(message) => MessageSink::send(&**call, message),
            Sent::Last(message) => call.send_last(message),
            Sent::Close => {
                call.close();
                Ok(())
            }
        };
    }

    /// Cancels it.
    pub(super) fn cancel(self) {
        if let Some(call) = self.into_call() {
            MessageSource::abandon(&*call);
        }
    }

    /// What happens to it next.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        loop {
            match &mut self.stage {
                Stage::Opening(opening) => {
                    return Poll::Ready(match ready!(opening.as_mut().poll(cx)) {
                        Ok(call) => {
                            self.stage = Stage::Open(call);
                            Progress::Opened
                        }
                        Err(failure) => Progress::Failed(failure),
                    });
                }
                Stage::Open(call) => match ready!(call.poll_head(cx)) {
                    Ok(head) => return Poll::Ready(Progress::Head(head)),
                    Err(NoHead) => self.stage = Stage::Ending(Arc::clone(call)),
                },
                Stage::Ending(call) => match ready!(call.poll_data(cx, Wanted::Rest(0))) {
                    // There is none without headers.
                    Received::Data(_) => {}
                    Received::End(Ok(trailer)) => return Poll::Ready(Progress::Ended(trailer)),
                    Received::End(Err(status)) => {
                        return Poll::Ready(Progress::Failed(call.failure(status)));
                    }
                },
            }
        }
    }
}
