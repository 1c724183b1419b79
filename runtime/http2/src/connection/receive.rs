//! The receiving side: the preface, and the frames on streams other than header blocks.

use std::ops::Range;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use crate::bdp;
use crate::budget::{BudgetKind, RAPID, TINY_WINDOW_UPDATE};
use crate::error::{ConnectionError, ErrorCode, Fault};
use crate::event::Event;
use crate::frame::{Data, Head, Kind, Ping, Priority, PushPromise, RstStream, WindowUpdate, flag};
use crate::stream::{Closure, MessagePhase, StreamKey};

use super::{Connection, ConnectionPhase, PREFACE};

/// The valid content of a DATA frame.
struct ReceivedContent {
    key: StreamKey,
    /// The position of the content in the payload.
    range: Range<usize>,
    end_stream: bool,
}

impl<T, H: Clone> Connection<T, H> {
    /// Handles received frames until one causes an event, and returns that event.
    ///
    /// It removes the handled frames from the front of `input`. `None` means that there are no more
    /// events and that `input` holds less than one frame. Call it until it returns `None` whenever
    /// there is new input, and after other calls on this connection, because those can cause events
    /// on other streams.
    ///
    /// # Errors
    ///
    /// Returns the error that ends the connection (RFC 9113 section 5.4.1), and the same error
    /// again on further calls. Write the output, which contains the GOAWAY, then close the socket.
    pub fn next_event(
        &mut self,
        input: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<Event<H>>, ConnectionError> {
        self.begin_event()?;
        let event = match self.receive(input, now) {
            Ok(Some(event)) => Ok(Some(event)),
            Ok(None) => self.watch_for_stall(now).map(|()| None),
            Err(error) => Err(self.fail(error)),
        };
        #[cfg(any(test, feature = "invariants"))]
        self.check_invariants();
        event
    }

    /// Removes the stream whose last event was reported by the previous call.
    #[inline]
    fn begin_event(&mut self) -> Result<(), ConnectionError> {
        #[cfg(any(test, feature = "invariants"))]
        self.check_invariants();
        if let Some(key) = self.reported_end.take() {
            self.remove(key);
        }
        match self.phase {
            ConnectionPhase::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Handles frames until one causes an event.
    fn receive(
        &mut self,
        input: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<Event<H>>, ConnectionError> {
        if self.phase == ConnectionPhase::Preface && !self.take_preface(input)? {
            return Ok(None);
        }
        loop {
            if let Some(event) = self.next_pending_event() {
                return Ok(Some(event));
            }
            let Some(&octets) = input.first_chunk::<{ Head::LEN }>() else {
                return Ok(None);
            };
            let head = Head::parse(octets);
            self.check_head(head)?;
            if input.len() < Head::LEN + head.length {
                return Ok(None);
            }
            if let Some(event) = self.frame(head, input, now)? {
                return Ok(Some(event));
            }
        }
    }

    /// Removes the client's preface from the input. Returns `false` if it is incomplete.
    fn take_preface(&mut self, input: &mut BytesMut) -> Result<bool, ConnectionError> {
        let length = input.len().min(PREFACE.len());
        if input[..length] != PREFACE[..length] {
            return Err(ConnectionError {
                code: ErrorCode::PROTOCOL_ERROR,
                reason: "no HTTP/2 connection preface",
            });
        }
        if length < PREFACE.len() {
            return Ok(false);
        }
        input.advance(PREFACE.len());
        self.phase = ConnectionPhase::FirstSettings;
        Ok(true)
    }

    /// Checks a frame head against the size limit and the frames before it.
    #[inline]
    fn check_head(&mut self, head: Head) -> Result<(), ConnectionError> {
        let error = |code, reason| Err(ConnectionError { code, reason });
        if head.length > self.config.max_frame_size as usize {
            return error(
                ErrorCode::FRAME_SIZE_ERROR,
                "frame longer than MAX_FRAME_SIZE",
            );
        }
        if self.phase == ConnectionPhase::FirstSettings
            && (head.kind != Kind::Settings || head.has(flag::ACK))
        {
            return error(ErrorCode::PROTOCOL_ERROR, "first frame is not SETTINGS");
        }
        let expected = self.open_block.as_ref().map(|open| open.frame.stream_id);
        match (expected, head.kind) {
            (None, Kind::Continuation) => error(
                ErrorCode::PROTOCOL_ERROR,
                "CONTINUATION without a header block",
            ),
            (Some(id), Kind::Continuation) if id == head.stream_id => Ok(()),
            (Some(_), _) => error(ErrorCode::PROTOCOL_ERROR, "frame within a header block"),
            (None, _) => Ok(()),
        }
    }

    /// Handles a whole frame and removes it from the input.
    #[inline]
    fn frame(
        &mut self,
        head: Head,
        input: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<Event<H>>, ConnectionError> {
        let end = Head::LEN + head.length;
        let payload = &input[Head::LEN..end];
        let result = match head.kind {
            Kind::Data => match self.data_frame(head, payload, now) {
                Ok(Some(content)) => return Ok(Some(take_content(input, end, content))),
                Ok(None) => Ok(None),
                Err(fault) => Err(fault),
            },
            Kind::Headers => self.headers(head, payload, now),
            Kind::Continuation => self.continuation(head, payload, now),
            Kind::WindowUpdate => self.window_update(head, payload, now),
            Kind::RstStream => self.rst_stream(head, payload, now),
            Kind::Settings => self.settings(head, payload, now),
            Kind::Ping => self.ping_frame(head, payload, now),
            Kind::GoAway => self.goaway_frame(head, payload, now),
            Kind::Priority => self.priority(head, payload, now),
            Kind::PushPromise => Err(PushPromise::ERROR.into()),
            Kind::Unknown(_) => self.ignore(now),
        };
        input.advance(end);
        self.handle_fault(head, result, now)
    }

    /// Converts the result of a frame: a stream error resets the stream and becomes an event.
    #[inline]
    fn handle_fault(
        &mut self,
        head: Head,
        result: Result<Option<Event<H>>, Fault>,
        now: Instant,
    ) -> Result<Option<Event<H>>, ConnectionError> {
        match result {
            Ok(event) => Ok(event),
            Err(Fault::Connection(error)) => Err(error),
            Err(Fault::Stream(error)) => self.stream_error(head.stream_id, error, now),
        }
    }

    /// Returns the head and the stream of an incomplete DATA frame at the front of `input`.
    ///
    /// The owner may then remove the frame from `input` and read the rest of its content directly
    /// into another buffer, without a copy. When all content has arrived, the owner must call
    /// [`content_arrived`](Self::content_arrived) before the next `next_event`.
    ///
    /// Returns `None` for complete frames, for frames with padding, and for frames that may be in
    /// error; [`next_event`](Self::next_event) handles all of those.
    pub fn partial_content(&mut self, input: &[u8]) -> Option<(Head, StreamKey)> {
        let head = Head::parse(*input.first_chunk()?);
        let usual = head.kind == Kind::Data
            && !head.has(flag::PADDED)
            && input.len() < Head::LEN + head.length
            && head.length <= self.config.max_frame_size as usize
            && self.phase == ConnectionPhase::Running
            && self.open_block.is_none();
        if !usual {
            return None;
        }
        let key = self.live(head.stream_id)?;
        let remote = self.streams.get(key)?.state.remote();
        (remote == Some(MessagePhase::Body)).then_some((head, key))
    }

    /// Handles a DATA frame whose content the owner has read itself, after
    /// [`partial_content`](Self::partial_content).
    ///
    /// Returns the event that [`next_event`](Self::next_event) would return for the frame, with
    /// empty data.
    ///
    /// # Errors
    ///
    /// The same as for `next_event`.
    pub fn content_arrived(
        &mut self,
        head: Head,
        now: Instant,
    ) -> Result<Option<Event<H>>, ConnectionError> {
        self.begin_event()?;
        let data = Data {
            content: 0..head.length,
            end_stream: head.has(flag::END_STREAM),
        };
        let result = self.data(head, data, now).map(|content| {
            content.map(|content| Event::Data {
                key: content.key,
                data: Bytes::new(),
                end_stream: content.end_stream,
            })
        });
        self.handle_fault(head, result, now)
            .map_err(|error| self.fail(error))
    }

    #[inline]
    fn data_frame(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<ReceivedContent>, Fault> {
        let data = Data::parse(head, payload)?;
        self.data(head, data, now)
    }

    /// Handles DATA (RFC 9113 section 6.1).
    #[inline(always)] // Each caller is a hot path and gets its own copy.
    fn data(
        &mut self,
        head: Head,
        data: Data,
        now: Instant,
    ) -> Result<Option<ReceivedContent>, Fault> {
        let Data {
            content: range,
            end_stream,
        } = data;
        let flow_controlled = head.length as u32;
        self.connection_received(flow_controlled, now)?;
        if range.is_empty() && !end_stream {
            self.spend(BudgetKind::EmptyFrames, now)?;
        }
        let Some(key) = self.live(head.stream_id) else {
            return self.late_data(head, now);
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(None);
        };
        match stream.state.remote() {
            Some(MessagePhase::Body) => {}
            Some(MessagePhase::Head) => {
                return Err(Fault::stream(
                    ErrorCode::PROTOCOL_ERROR,
                    "DATA before HEADERS",
                ));
            }
            None => {
                return Err(Fault::stream(
                    ErrorCode::STREAM_CLOSED,
                    "DATA after END_STREAM",
                ));
            }
        }
        let padding = flow_controlled - range.len() as u32;
        stream.receive_window.receive(range.len() as u32, padding)?;
        let length = range.len() as u64;
        if let Some(left) = stream.content_left {
            let left = left
                .checked_sub(length)
                .filter(|&left| left == 0 || !end_stream);
            if left.is_none() {
                return Err(Fault::stream(
                    ErrorCode::PROTOCOL_ERROR,
                    "content length that differs from content-length",
                ));
            }
            stream.content_left = left;
        }
        if end_stream {
            stream.state.remote_end();
            if self.close_if_ended(key) {
                self.reported_end = Some(key);
            }
        } else if padding > 0 {
            // The owner does not see the padding, so its credit is returned here.
            self.grant(key);
        }
        if length > 0 {
            self.stats.data_frames_received += 1;
            self.stats.octets_received += length;
        }
        Ok(Some(ReceivedContent {
            key,
            range,
            end_stream,
        }))
    }

    /// Accounts for flow-controlled octets on the connection, whatever their stream.
    #[inline]
    fn connection_received(&mut self, octets: u32, now: Instant) -> Result<(), ConnectionError> {
        if let Some(bdp) = &mut self.bdp {
            bdp.received(octets);
        }
        if let Some(increment) = self.receive_window.receive(octets)? {
            let out = self.output.buffer();
            WindowUpdate { increment }.write(0, out);
            if let Some(bdp) = &mut self.bdp
                && bdp.start(now)
            {
                let ping = Ping {
                    ack: false,
                    payload: bdp::PING,
                };
                ping.write(out);
                self.stats.pings_sent += 1;
            }
        }
        Ok(())
    }

    /// Handles DATA on a stream that is not open.
    fn late_data(&mut self, head: Head, now: Instant) -> Result<Option<ReceivedContent>, Fault> {
        let id = head.stream_id;
        if self.is_idle(id) {
            return Err(Fault::connection(
                ErrorCode::PROTOCOL_ERROR,
                "DATA on a stream that was not opened",
            ));
        }
        match self.closed.find(id) {
            Some(Closure::Ended) => Err(Fault::connection(
                ErrorCode::STREAM_CLOSED,
                "DATA after END_STREAM",
            )),
            Some(Closure::ResetByPeer) => Err(Fault::stream(
                ErrorCode::STREAM_CLOSED,
                "DATA after RST_STREAM",
            )),
            Some(Closure::ResetLocally) | None => {
                let octets = head.length as u64;
                if octets > 0 && octets <= self.late_octets {
                    self.late_octets -= octets;
                    return Ok(None);
                }
                self.spend(BudgetKind::IgnoredFrames, now)?;
                Ok(None)
            }
        }
    }

    /// Handles RST_STREAM (RFC 9113 section 6.4).
    fn rst_stream(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let RstStream { code } = RstStream::parse(head, payload)?;
        let id = head.stream_id;
        if self.is_idle(id) {
            return Err(Fault::connection(
                ErrorCode::PROTOCOL_ERROR,
                "RST_STREAM on a stream that was not opened",
            ));
        }
        let Some(key) = self.live(id) else {
            return self.ignore(now);
        };
        if !self.role.opens(id) && self.is_rapid_reset(key, now) {
            self.spend(BudgetKind::Resets, now)?;
        }
        self.close(key, Closure::ResetByPeer);
        self.reported_end = Some(key);
        Ok(Some(Event::Reset { key, code }))
    }

    /// Returns `true` if the reset of a peer's stream is rapid: no response was sent, and the
    /// stream is younger than [`RAPID`].
    fn is_rapid_reset(&self, key: StreamKey, now: Instant) -> bool {
        self.streams.get(key).is_some_and(|stream| {
            let answered = stream.state.local() != Some(MessagePhase::Head);
            let age = stream.opened_at.map(|at| now.saturating_duration_since(at));
            !answered && age.is_none_or(|age| age < RAPID)
        })
    }

    /// Handles WINDOW_UPDATE (RFC 9113 section 6.9).
    fn window_update(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let WindowUpdate { increment } = WindowUpdate::parse(head, payload)?;
        if increment < TINY_WINDOW_UPDATE {
            self.spend(BudgetKind::WindowUpdates, now)?;
        }
        if head.stream_id == 0 {
            if self.send_window.adjust(i64::from(increment)).is_err() {
                return Err(Fault::connection(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "the connection's window exceeds 2^31-1",
                ));
            }
            self.scheduler.unblock();
            return Ok(None);
        }
        if self.is_idle(head.stream_id) {
            return Err(Fault::connection(
                ErrorCode::PROTOCOL_ERROR,
                "WINDOW_UPDATE on a stream that was not opened",
            ));
        }
        let Some(key) = self.live(head.stream_id) else {
            return self.ignore(now);
        };
        if let Some(stream) = self.streams.get_mut(key)
            && stream.send_window.adjust(i64::from(increment)).is_err()
        {
            return Err(Fault::stream(
                ErrorCode::FLOW_CONTROL_ERROR,
                "the stream's window exceeds 2^31-1",
            ));
        }
        self.schedule(key);
        Ok(None)
    }

    /// Handles PRIORITY (RFC 9113 section 6.3). A stream must not depend on itself (RFC 7540
    /// section 5.3.1).
    fn priority(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let Priority { depends_on } = Priority::parse(head, payload)?;
        if depends_on == head.stream_id {
            return Err(Fault::stream(
                ErrorCode::PROTOCOL_ERROR,
                "stream that depends on itself",
            ));
        }
        self.ignore(now)
    }

    /// Counts a frame without effect against its budget.
    pub(super) fn ignore(&mut self, now: Instant) -> Result<Option<Event<H>>, Fault> {
        self.spend(BudgetKind::IgnoredFrames, now)?;
        Ok(None)
    }
}

/// Removes a DATA frame from the input and returns its content without a copy.
#[inline]
fn take_content<H>(input: &mut BytesMut, frame_end: usize, content: ReceivedContent) -> Event<H> {
    let ReceivedContent {
        key,
        range,
        end_stream,
    } = content;
    let mut data = input.split_to(frame_end).freeze();
    data.advance(Head::LEN + range.start);
    data.truncate(range.len());
    Event::Data {
        key,
        data,
        end_stream,
    }
}
