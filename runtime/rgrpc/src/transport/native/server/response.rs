//! The response of a stream, as a server's connection sends it: from the posts of its call and the
//! call's end to operations of the core. The connection's task calls it.
//!
//! Nothing is lost silently: a header list that is larger than the client accepts
//! (SETTINGS_MAX_HEADER_LIST_SIZE) becomes a failure, or a shorter one.

use rgrpc_http2::{BytesQueue, ErrorCode, SendError, StreamKey};

use super::stream::ServerLink;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::native::fields::{HeaderBlock, usual_response};
use crate::transport::native::outgoing::SEND_QUOTA;
use crate::transport::{
    CallEnd, CallState, Last, Rejection, ResponseHead, ServerTransportStream, StreamFailure,
    too_large,
};

/// The response of a stream, which is sent on the connection of `link`.
pub(super) struct Response<'a> {
    pub(super) link: &'a mut ServerLink,
    pub(super) peer: &'a Peer,
    pub(super) key: StreamKey,
}

impl Response<'_> {
    /// Sends the headers.
    pub(super) fn head(&mut self, header: &Metadata) {
        match self.send_header(header) {
            Err(SendError::HeaderListTooLarge { size, limit }) => self.refuse_headers(size, limit),
            sent => self.sent(sent),
        }
    }

    /// Sends the messages that the call has posted.
    pub(super) fn messages(&mut self) {
        let Some(stream) = self.link.core.value_mut(self.key) else {
            return;
        };
        let (messages, count) = stream.take_messages();
        let sent = self.link.core.send_data(self.key, messages, false);
        self.link.count_sent(count, &sent);
        self.sent(sent);
        let queued = self.link.core.queued(self.key);
        self.link.core.wake_when_below(self.key, SEND_QUOTA);
        if let Some(stream) = self.link.core.value_mut(self.key) {
            stream.set_queued(queued);
        }
    }

    /// Ends the call and the stream.
    #[inline]
    pub(super) fn end(&mut self, end: CallEnd) {
        match end {
            CallEnd::Reply {
                header,
                message,
                trailer,
            } => self.reply(header, message, trailer),
            CallEnd::Finish { header, outcome } => self.finish(header, &outcome),
            CallEnd::Abort { .. } if self.link.core.queued(self.key) > 0 => {
                self.link.core.reset(self.key, ErrorCode::CANCEL);
            }
            CallEnd::Abort { header, status } => self.finish(header, &Err(status)),
            CallEnd::Closed => {}
        }
    }

    /// Answers a refused request.
    pub(super) fn reject(&mut self, rejection: &Rejection) {
        let status = rejection.status();
        let block = HeaderBlock::rejection(rejection, &status);
        let mut sent = self.link.core.send_headers(self.key, &block.block(), true);
        if let Err(SendError::HeaderListTooLarge { limit, .. }) = sent {
            let block = HeaderBlock::fitted(status, limit, |status| {
                HeaderBlock::rejection(rejection, &status)
            });
            sent = self.link.core.send_headers(self.key, &block.block(), true);
        }
        self.refused(sent);
    }

    fn finish(&mut self, header: Option<Metadata>, outcome: &Result<Metadata, Status>) {
        let (last, sent) = match header {
            Some(header) if header.is_empty() => {
                let head = self.response_head(&header);
                let block = HeaderBlock::trailers_only(head, outcome);
                let sent = self.link.core.send_headers(self.key, &block.block(), true);
                (Last::TrailersOnly, sent)
            }
            header => match header.map_or(Ok(()), |header| self.send_header(&header)) {
                Ok(()) => {
                    let block = HeaderBlock::trailers(outcome);
                    let sent = self.link.core.send_trailers(self.key, &block.block());
                    (Last::Trailers, sent)
                }
                Err(error) => (Last::Headers, Err(error)),
            },
        };
        match sent {
            Err(SendError::HeaderListTooLarge { size, limit }) => {
                self.finish_fitted(last, outcome, (size, limit));
            }
            sent if outcome.is_err() => self.refused(sent),
            sent => self.replied(sent),
        }
    }

    /// Ends a call whose `last` header list is larger than the client accepts. A failure keeps its
    /// code. A success whose metadata does not fit becomes a failure, because the metadata would be
    /// lost silently.
    #[cold]
    fn finish_fitted(
        &mut self,
        last: Last,
        outcome: &Result<Metadata, Status>,
        (size, limit): (usize, u32),
    ) {
        let status = match outcome {
            Ok(_) => too_large(last, size, limit),
            Err(status) => status.clone(),
        };
        tracing::debug!(
            peer = %self.peer.remote, size, limit, code = %status.code(),
            "a response is larger than the header list that the client takes",
        );
        let sent = match last {
            Last::Headers | Last::TrailersOnly => {
                let header = Metadata::new();
                let head = self.response_head(&header);
                let block = HeaderBlock::fitted(status, limit, |status| {
                    HeaderBlock::trailers_only(head.clone(), &Err(status))
                });
                self.link.core.send_headers(self.key, &block.block(), true)
            }
            Last::Trailers => {
                let block = HeaderBlock::fitted(status, limit, |status| {
                    HeaderBlock::trailers(&Err(status))
                });
                self.link.core.send_trailers(self.key, &block.block())
            }
        };
        self.refused(sent);
    }

    /// Ends a call whose headers are larger than the client accepts, before its handler returns.
    #[cold]
    fn refuse_headers(&mut self, size: usize, limit: u32) {
        let failure = StreamFailure::ResponseTooLarge {
            last: Last::Headers,
            size,
            limit,
        };
        // The core drops the stream below.
        let stream = self.link.core.value_mut(self.key).cloned();
        self.finish(Some(Metadata::new()), &Err(failure.to_status()));
        if let Some(stream) = stream {
            stream.close(failure.to_status(), failure.cancel_reason());
        }
    }

    #[inline]
    fn reply(&mut self, header: Option<Metadata>, message: BytesQueue, trailer: Metadata) {
        let sent = match header {
            Some(header) => {
                let head = self.response_head(&header);
                if let Some((head, trailers)) = usual_response(&head, &trailer) {
                    let sent = self.link.core.reply(self.key, &head, message, &trailers);
                    self.link.count_sent(1, &sent);
                    return self.replied(sent);
                }
                let headers = HeaderBlock::response(head);
                let trailers = HeaderBlock::trailers(&Ok(trailer));
                let core = &mut self.link.core;
                let sent = core.reply(self.key, &headers.block(), message, &trailers.block());
                self.link.count_sent(1, &sent);
                if let Err(SendError::HeaderListTooLarge { size, limit }) = sent {
                    let is_head = headers.block().list_size() > limit as usize;
                    let what = if is_head {
                        Last::Headers
                    } else {
                        Last::Trailers
                    };
                    let outcome = Err(too_large(what, size, limit));
                    return self.finish(Some(header), &outcome);
                }
                sent
            }
            None => {
                let sent = self.link.core.send_data(self.key, message, false);
                self.link.count_sent(1, &sent);
                self.sent(sent);
                return self.finish(None, &Ok(trailer));
            }
        };
        self.replied(sent);
    }

    /// Handles the result of a response with another status than OK that was handed to the core.
    fn refused(&mut self, sent: Result<(), SendError>) {
        if sent.is_ok() {
            self.link.count_failed_response();
        }
        self.replied(sent);
    }

    /// Handles the result of a whole response that was handed to the core.
    fn replied(&mut self, sent: Result<(), SendError>) {
        self.sent(sent);
        self.link
            .core
            .reset_when_sent(self.key, ErrorCode::NO_ERROR);
    }

    fn send_header(&mut self, header: &Metadata) -> Result<(), SendError> {
        let block = HeaderBlock::response(self.response_head(header));
        self.link.core.send_headers(self.key, &block.block(), false)
    }

    /// Handles the result of sending. A client that does not accept even a header list with a code
    /// alone has its stream reset. A closed stream has told its call already.
    fn sent(&mut self, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => {
                tracing::debug!(peer = %self.peer.remote, %error, "a response was not sent");
                self.link.core.reset(self.key, ErrorCode::INTERNAL_ERROR);
            }
        }
    }

    /// Returns the head of the response. The head of a stream that is gone is not sent.
    fn response_head<'m>(&'m mut self, metadata: &'m Metadata) -> ResponseHead<'m> {
        let call = self
            .link
            .core
            .value_mut(self.key)
            .map(|stream| stream.call());
        ResponseHead {
            encoding: call.and_then(CallState::encoding_field),
            content_subtype: call.map_or(&[], |call| &call.head().content_subtype),
            metadata,
        }
    }
}
