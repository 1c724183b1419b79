//! Received header blocks: assembly, decoding, validation, and the effect on their stream.

use std::time::Instant;

use crate::budget::{self, BudgetKind};
use crate::error::{ErrorCode, Fault, StreamError};
use crate::event::Event;
use crate::frame::{Continuation, Head, Headers, RstStream};
use crate::hpack::Limits;
use crate::message::{self, Expected, HeadInfo, HeadKind};
use crate::role::Role;
use crate::stream::{Closure, MessagePhase, State, StreamKey};

use super::{Connection, PreviousHead};

/// An incomplete header block. Until its end arrives, no other frames are allowed (RFC 9113 section
/// 6.10).
#[derive(Debug)]
pub(super) struct OpenBlock {
    pub(super) frame: BlockFrame,
    block: Vec<u8>,
    continuations: u32,
}

/// The properties of a block that its HEADERS frame contains.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockFrame {
    pub(super) stream_id: u32,
    end_stream: bool,
    /// The stream of the priority fields.
    depends_on: Option<u32>,
}

/// The result of a decoded header block, which the connection caches for repeated blocks.
#[derive(Clone, Debug)]
pub(super) struct CachedBlock<H> {
    expected: Expected,
    info: HeadInfo,
    head: H,
}

/// The stream that a header block belongs to.
#[derive(Clone, Copy)]
enum Target {
    /// A new stream.
    Request,
    /// A new stream above the limit of concurrent streams.
    Refused,
    /// An existing stream.
    Stream(StreamKey, Expected),
    /// A stream on which HEADERS are an error.
    Error(StreamError),
    /// A stream whose frames are ignored.
    Ignored,
}

impl<T, H: Clone> Connection<T, H> {
    /// Handles HEADERS (RFC 9113 section 6.2).
    #[inline]
    pub(super) fn headers(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let headers = Headers::parse(head, payload)?;
        let frame = BlockFrame {
            stream_id: head.stream_id,
            end_stream: headers.end_stream,
            depends_on: headers.depends_on,
        };
        if headers.end_headers {
            return self.whole_block(frame, headers.fragment, now);
        }
        if headers.fragment.is_empty() {
            self.spend(BudgetKind::EmptyFrames, now)?;
        }
        self.open_block = Some(OpenBlock {
            frame,
            block: headers.fragment.to_vec(),
            continuations: 0,
        });
        Ok(None)
    }

    /// Handles CONTINUATION (RFC 9113 section 6.10).
    pub(super) fn continuation(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let frame = Continuation::parse(head, payload)?;
        if frame.fragment.is_empty() && !frame.end_headers {
            self.spend(BudgetKind::EmptyFrames, now)?;
        }
        // `check_head` has refused a CONTINUATION without an open block.
        let Some(mut open) = self.open_block.take() else {
            return Ok(None);
        };
        open.continuations += 1;
        if open.continuations > self.config.budgets.continuations {
            return Err(budget::spent("continuations").into());
        }
        // The encoding of a field can be longer than its size in the list, but a whole encoded list
        // is not twice as long in practice.
        let limit = self.config.header_list_limit();
        if open.block.len() + frame.fragment.len() > limit.saturating_mul(2) {
            return Err(budget::spent("header_lists").into());
        }
        open.block.extend_from_slice(frame.fragment);
        if !frame.end_headers {
            self.open_block = Some(open);
            return Ok(None);
        }
        self.whole_block(open.frame, &open.block, now)
    }

    /// Handles a complete block. Every block must be decoded, even of an ignored stream, because
    /// the dynamic table depends on it.
    #[inline]
    fn whole_block(
        &mut self,
        frame: BlockFrame,
        block: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let (id, end_stream) = (frame.stream_id, frame.end_stream);
        let target = self.target(id)?;
        self.stats.headers_received += 1;
        let expected = match target {
            Target::Request => Expected::Request,
            Target::Stream(_, expected) => expected,
            Target::Refused | Target::Ignored | Target::Error(_) => {
                self.skip_block(block)?;
                return match target {
                    Target::Error(error) => Err(error.into()),
                    Target::Refused => self.refuse_request(id, now),
                    _ => self.ignore(now),
                };
            }
        };
        if let Target::Request = target {
            self.peer_opens(id);
        }
        let block = self.read_block(block, expected, now)?;
        if frame.depends_on == Some(id) {
            return Err(Fault::stream(
                ErrorCode::PROTOCOL_ERROR,
                "stream that depends on itself",
            ));
        }
        let content_left = content_after(block.info, end_stream)?;
        let key = match target {
            Target::Stream(key, _) => {
                self.advance_stream(key, block.info.kind, content_left, end_stream)?;
                key
            }
            _ => self.insert_request(id, content_left, end_stream, now),
        };
        Ok(Some(Event::Headers {
            key,
            id,
            kind: block.info.kind,
            head: block.head,
            end_stream,
        }))
    }

    /// Determines the target of a header block with this stream id.
    #[inline]
    fn target(&mut self, id: u32) -> Result<Target, Fault> {
        if let Some(key) = self.live(id) {
            let remote = self
                .streams
                .get(key)
                .and_then(|stream| stream.state.remote());
            return Ok(match remote {
                Some(MessagePhase::Head) => Target::Stream(key, Expected::Response),
                Some(MessagePhase::Body) => Target::Stream(key, Expected::Trailers),
                None => Target::Error(StreamError {
                    code: ErrorCode::STREAM_CLOSED,
                    reason: "HEADERS after END_STREAM",
                }),
            });
        }
        if !self.is_idle(id) {
            return self.late_target(id);
        }
        if self.role == Role::Client || self.role.opens(id) {
            return Err(Fault::connection(
                ErrorCode::PROTOCOL_ERROR,
                "HEADERS on a stream that the peer may not open",
            ));
        }
        if self.drain.last_id().is_some() {
            // Our GOAWAY excludes the stream, so the peer retries it on another connection.
            self.peer_opens(id);
            self.expect_late_data();
            return Ok(Target::Ignored);
        }
        let limit = self.config.max_concurrent_streams.unwrap_or(u32::MAX);
        if self.peer_streams >= limit {
            self.peer_opens(id);
            return Ok(Target::Refused);
        }
        Ok(Target::Request)
    }

    /// Determines the target of a header block on a closed stream.
    fn late_target(&self, id: u32) -> Result<Target, Fault> {
        match self.closed.find(id) {
            Some(Closure::Ended) => Err(Fault::connection(
                ErrorCode::STREAM_CLOSED,
                "HEADERS after END_STREAM",
            )),
            Some(Closure::ResetByPeer) => Ok(Target::Error(StreamError {
                code: ErrorCode::STREAM_CLOSED,
                reason: "HEADERS after RST_STREAM",
            })),
            None if self.closed.was_skipped(id) => Err(Fault::connection(
                ErrorCode::PROTOCOL_ERROR,
                "stream id lower than a previous one",
            )),
            Some(Closure::ResetLocally) | None => Ok(Target::Ignored),
        }
    }

    /// Decodes a block only to update the dynamic table.
    fn skip_block(&mut self, block: &[u8]) -> Result<(), Fault> {
        let nothing = Limits {
            list_size: 0,
            fields: 0,
        };
        self.last_block = None;
        let decoded = self.decoder.decode(block, nothing, &mut self.fields);
        match decoded {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::connection(ErrorCode::COMPRESSION_ERROR, error.0)),
        }
    }

    /// Returns the result of a block: from the cache, or by decoding and validating it.
    #[inline]
    fn read_block(
        &mut self,
        block: &[u8],
        expected: Expected,
        now: Instant,
    ) -> Result<CachedBlock<H>, Fault> {
        let generation = self.decoder.generation();
        let uncached = match self.cached_blocks.get(block, generation) {
            Ok(cached) if cached.expected == expected => return Ok(cached.clone()),
            Ok(_) => None,
            Err(hash) => Some(hash),
        };
        let previous = self.last_block.take();
        let limits = Limits {
            list_size: self.config.header_list_limit(),
            fields: self.config.max_header_fields,
        };
        let decoded = match self.decoder.decode(block, limits, &mut self.fields) {
            Ok(decoded) => decoded,
            Err(error) => {
                return Err(Fault::connection(ErrorCode::COMPRESSION_ERROR, error.0));
            }
        };
        if decoded.over_limit {
            self.spend(BudgetKind::HeaderLists, now)?;
            return Err(Fault::stream(
                ErrorCode::FRAME_SIZE_ERROR,
                "header list larger than the limit",
            ));
        }
        let info = match message::check(&self.fields, expected) {
            Ok(info) => info,
            Err(malformed) => {
                return Err(Fault::stream(ErrorCode::PROTOCOL_ERROR, malformed.0));
            }
        };
        let previous = previous.as_ref().filter(|block| block.expected == expected);
        let previous = previous.map(|block| PreviousHead {
            head: &block.head,
            difference: decoded.difference,
        });
        let result = CachedBlock {
            expected,
            info,
            head: (self.read_head)(&self.fields, previous),
        };
        self.last_block = Some(result.clone());
        if let Some(hash) = uncached
            && decoded.table_untouched
        {
            self.cached_blocks
                .store(block, hash, generation, || result.clone());
        }
        Ok(result)
    }

    /// Records that the peer used an id. This closes all lower unused ids (RFC 9113 section 5.1.1).
    #[inline]
    fn peer_opens(&mut self, id: u32) {
        // Only a server gets here, so the peer's ids are odd.
        let next = if self.last_peer_id == 0 {
            1
        } else {
            self.last_peer_id + 2
        };
        if id > next {
            self.closed.skip(next, id - 2);
        }
        self.last_peer_id = id;
    }

    /// Adds a stream that the peer opened.
    #[inline]
    fn insert_request(
        &mut self,
        id: u32,
        content_left: Option<u64>,
        end_stream: bool,
        now: Instant,
    ) -> StreamKey {
        let state = if end_stream {
            State::HalfClosedRemote {
                local: MessagePhase::Head,
            }
        } else {
            State::Open {
                local: MessagePhase::Head,
                remote: MessagePhase::Body,
            }
        };
        let (send_window, receive_window) = self.new_windows();
        let key = self.streams.insert(id, state, send_window, receive_window);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.content_left = content_left;
            stream.opened_at = Some(now);
        }
        self.peer_streams += 1;
        self.stats.streams_opened += 1;
        key
    }

    /// Refuses a stream above the limit of concurrent streams.
    fn refuse_request(&mut self, id: u32, now: Instant) -> Result<Option<Event<H>>, Fault> {
        self.spend(BudgetKind::StreamErrors, now)?;
        self.count_control_frame()?;
        let code = ErrorCode::REFUSED_STREAM;
        RstStream { code }.write(id, self.output.buffer());
        self.closed.push(id, Closure::ResetLocally);
        self.expect_late_data();
        self.stats.streams_refused += 1;
        Ok(None)
    }

    /// Applies a response head or trailers to the state of a stream.
    fn advance_stream(
        &mut self,
        key: StreamKey,
        kind: HeadKind,
        content_left: Option<u64>,
        end_stream: bool,
    ) -> Result<(), Fault> {
        let malformed = |reason| Err(Fault::stream(ErrorCode::PROTOCOL_ERROR, reason));
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        match kind {
            HeadKind::Informational if end_stream => {
                return malformed("informational response with END_STREAM");
            }
            HeadKind::Informational => return Ok(()),
            HeadKind::Trailers if !end_stream => return malformed("trailers without END_STREAM"),
            HeadKind::Trailers => {
                if stream.content_left.is_some_and(|left| left > 0) {
                    return malformed("content length that differs from content-length");
                }
            }
            HeadKind::Request | HeadKind::Response => {
                stream.state.remote_head();
                stream.content_left = content_left;
            }
        }
        if end_stream {
            stream.state.remote_end();
            if self.close_if_ended(key) {
                self.reported_end = Some(key);
            }
        }
        Ok(())
    }
}

/// Returns the length of the content after a header list, if it is known.
#[inline]
fn content_after(info: HeadInfo, end_stream: bool) -> Result<Option<u64>, Fault> {
    match info.content_length {
        Some(length) if end_stream && length > 0 => Err(Fault::stream(
            ErrorCode::PROTOCOL_ERROR,
            "content length that differs from content-length",
        )),
        length => Ok(length),
    }
}
