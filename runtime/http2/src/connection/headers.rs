//! Header blocks that come in: put together, decoded, checked, and given to their stream.

use std::time::Instant;

use crate::budget;
use crate::error::{ErrorCode, Fault, StreamError};
use crate::event::Event;
use crate::frame::{Continuation, Head, Headers, RstStream};
use crate::hpack::Limits;
use crate::message::{self, Expected, Facts, HeadKind};
use crate::role::Role;
use crate::stream::{Closure, Phase, State, StreamKey};

use super::{Before, Connection};

/// A header block that lacks its end. Until that comes, no other frame may.
#[derive(Debug)]
pub(super) struct OpenBlock {
    pub(super) frame: BlockFrame,
    block: Vec<u8>,
    continuations: u32,
}

/// What the HEADERS frame says of the block that begins in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockFrame {
    pub(super) stream_id: u32,
    end_stream: bool,
    depends_on: Option<u32>,
}

/// A header block that was read.
#[derive(Clone, Debug)]
pub(super) struct KnownBlock<H> {
    expected: Expected,
    facts: Facts,
    head: H,
}

/// What a header block is for.
#[derive(Clone, Copy)]
enum Target {
    /// A new stream.
    Request,
    /// A new stream that is one too many.
    Refused,
    /// A stream there is.
    Stream(StreamKey, Expected),
    /// A stream that may have no more.
    Error(StreamError),
    /// Nobody.
    Nobody,
}

impl<T, H: Clone> Connection<T, H> {
    /// RFC 9113 section 6.2.
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
            self.spend(|budgets| &mut budgets.empty_frames, now)?;
        }
        self.open_block = Some(OpenBlock {
            frame,
            block: headers.fragment.to_vec(),
            continuations: 0,
        });
        Ok(None)
    }

    /// RFC 9113 section 6.10.
    pub(super) fn continuation(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let frame = Continuation::parse(head, payload)?;
        if frame.fragment.is_empty() && !frame.end_headers {
            self.spend(|budgets| &mut budgets.empty_frames, now)?;
        }
        // Without an open block the head of the frame would have been refused.
        let Some(mut open) = self.open_block.take() else {
            return Ok(None);
        };
        open.continuations += 1;
        if open.continuations > self.config.budgets.continuations {
            return Err(budget::spent("continuations").into());
        }
        // The encoding of a field can be longer than what it counts, but hardly so for a whole
        // list.
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

    /// Reads a block, whoever it is for, because the dynamic table depends on it; then acts on it.
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
            Target::Refused | Target::Nobody | Target::Error(_) => {
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
        let known = self.read_block(block, expected, now)?;
        if frame.depends_on == Some(id) {
            return Err(Fault::stream(
                ErrorCode::PROTOCOL_ERROR,
                "stream that depends on itself",
            ));
        }
        let content_left = content_after(known.facts, end_stream)?;
        let key = match target {
            Target::Stream(key, _) => {
                self.advance_stream(key, known.facts.kind, content_left, end_stream)?;
                key
            }
            _ => self.insert_request(id, content_left, end_stream, now),
        };
        Ok(Some(Event::Headers {
            key,
            id,
            kind: known.facts.kind,
            head: known.head,
            end_stream,
        }))
    }

    /// Finds out what a header block on this stream is for.
    #[inline]
    fn target(&mut self, id: u32) -> Result<Target, Fault> {
        if let Some(key) = self.live(id) {
            let remote = self
                .streams
                .get(key)
                .and_then(|stream| stream.state.remote());
            return Ok(match remote {
                Some(Phase::Head) => Target::Stream(key, Expected::Response),
                Some(Phase::Body) => Target::Stream(key, Expected::Trailers),
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
                "HEADERS on a stream that is not the peer's to open",
            ));
        }
        if self.drain.last_id().is_some() {
            // Announced by the GOAWAY: whoever opened it will try elsewhere.
            self.peer_opens(id);
            self.expect_late_data();
            return Ok(Target::Nobody);
        }
        let limit = self.config.max_concurrent_streams.unwrap_or(u32::MAX);
        if self.peer_streams >= limit {
            self.peer_opens(id);
            return Ok(Target::Refused);
        }
        Ok(Target::Request)
    }

    /// Likewise, for a stream that is closed.
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
                "stream id lower than one before",
            )),
            Some(Closure::ResetLocally) | None => Ok(Target::Nobody),
        }
    }

    /// Decodes a block for the sake of the table.
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

    /// Decodes a block and checks what it says, or remembers it.
    #[inline]
    fn read_block(
        &mut self,
        block: &[u8],
        expected: Expected,
        now: Instant,
    ) -> Result<KnownBlock<H>, Fault> {
        let generation = self.decoder.generation();
        let unknown = match self.known_blocks.get(block, generation) {
            Ok(known) if known.expected == expected => return Ok(known.clone()),
            Ok(_) => None,
            Err(hash) => Some(hash),
        };
        let before = self.last_block.take();
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
            self.spend(|budgets| &mut budgets.header_lists, now)?;
            return Err(Fault::stream(
                ErrorCode::FRAME_SIZE_ERROR,
                "header list larger than the limit",
            ));
        }
        let facts = match message::check(&self.fields, expected) {
            Ok(facts) => facts,
            Err(malformed) => {
                return Err(Fault::stream(ErrorCode::PROTOCOL_ERROR, malformed.0));
            }
        };
        let before = before.as_ref().filter(|before| before.expected == expected);
        let before = before.map(|before| Before {
            head: &before.head,
            difference: decoded.difference,
        });
        let known = KnownBlock {
            expected,
            facts,
            head: (self.read_head)(&self.fields, before),
        };
        self.last_block = Some(known.clone());
        if let Some(hash) = unknown
            && decoded.table_untouched
        {
            self.known_blocks
                .store(block, hash, generation, || known.clone());
        }
        Ok(known)
    }

    /// The peer has used an id, which closes those before it.
    #[inline]
    fn peer_opens(&mut self, id: u32) {
        // Its first id is 1, hence the odd ones are those between.
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

    #[inline]
    fn insert_request(
        &mut self,
        id: u32,
        content_left: Option<u64>,
        end_stream: bool,
        now: Instant,
    ) -> StreamKey {
        let state = if end_stream {
            State::HalfClosedRemote { local: Phase::Head }
        } else {
            State::Open {
                local: Phase::Head,
                remote: Phase::Body,
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

    fn refuse_request(&mut self, id: u32, now: Instant) -> Result<Option<Event<H>>, Fault> {
        self.spend(|budgets| &mut budgets.stream_errors, now)?;
        self.count_control_frame()?;
        let code = ErrorCode::REFUSED_STREAM;
        RstStream { code }.write(id, self.output.buffer());
        self.closed.push(id, Closure::ResetLocally);
        self.expect_late_data();
        self.stats.streams_refused += 1;
        Ok(None)
    }

    /// A response, or trailers.
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
                    return malformed("content of another length than content-length");
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

/// How much content is to follow a header list.
#[inline]
fn content_after(facts: Facts, end_stream: bool) -> Result<Option<u64>, Fault> {
    match facts.content_length {
        Some(length) if end_stream && length > 0 => Err(Fault::stream(
            ErrorCode::PROTOCOL_ERROR,
            "content of another length than content-length",
        )),
        length => Ok(length),
    }
}
