//! The sending side: heads, content and trailers.
//!
//! Content is written to the output at once if the windows and other streams allow it. Otherwise it
//! is queued with its stream, and the streams take turns.

use bytes::Bytes;

use crate::block::Block;
use crate::bytes_queue::BytesQueue;
use crate::error::ErrorCode;
use crate::flow::Reading;
use crate::frame::{Data, Headers, WindowUpdate};
use crate::hpack::FieldRef;
use crate::scheduler::{Turn, turn};
use crate::stream::{Ending, MessagePhase, State, Stream, StreamKey};

use super::pending_events::PendingEvent;
use super::{Connection, SendError};

/// Content to send.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// Borrowed octets, which are copied.
    Borrowed(&'a [u8]),
    /// Owned octets. Pieces of 1,024 octets or more are written without a copy.
    Owned(BytesQueue),
}

impl<'a> From<&'a [u8]> for Content<'a> {
    #[inline]
    fn from(octets: &'a [u8]) -> Self {
        Self::Borrowed(octets)
    }
}

impl From<Bytes> for Content<'_> {
    #[inline]
    fn from(octets: Bytes) -> Self {
        Self::Owned(octets.into())
    }
}

impl From<BytesQueue> for Content<'_> {
    #[inline]
    fn from(octets: BytesQueue) -> Self {
        Self::Owned(octets)
    }
}

impl Content<'_> {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::Borrowed(octets) => octets.len(),
            Self::Owned(octets) => octets.len(),
        }
    }

    fn into_pieces(self) -> BytesQueue {
        match self {
            Self::Borrowed(octets) => Bytes::copy_from_slice(octets).into(),
            Self::Owned(octets) => octets,
        }
    }
}

impl<T, H: Clone> Connection<T, H> {
    /// Sends the head of a response, on a server. `end_stream` means that nothing follows.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn send_headers<'f, I>(
        &mut self,
        key: StreamKey,
        head: &Block<'_, I>,
        end_stream: bool,
    ) -> Result<(), SendError>
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
    {
        let stream = self.streams.get_mut(key).ok_or(SendError::Closed)?;
        match stream.state.local() {
            Some(MessagePhase::Head) => {}
            Some(MessagePhase::Body) => return Err(SendError::OutOfOrder),
            None => return Err(SendError::Closed),
        }
        let id = stream.id;
        self.check_size(head)?;
        self.write_headers(id, head, end_stream);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.state.local_head();
        }
        if end_stream {
            self.local_ended(key);
        }
        Ok(())
    }

    /// Sends content. `end_stream` means that nothing follows.
    ///
    /// Content that the flow-control windows and other streams do not yet allow is queued. The
    /// queue has no limit; the owner limits it with [`queued`](Self::queued) and
    /// [`wake_when_below`](Self::wake_when_below).
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Closed`] or [`SendError::OutOfOrder`].
    pub fn send_data<'p>(
        &mut self,
        key: StreamKey,
        content: impl Into<Content<'p>>,
        end_stream: bool,
    ) -> Result<(), SendError> {
        let content = content.into();
        let limit = self.write_limit();
        let stream = self.sending(key)?;
        let id = stream.id;
        if limit.is_some_and(|limit| fits(stream, limit, content.len())) {
            if content.len() > 0 || end_stream {
                stream.send_window.consume(content.len());
                self.write_data(id, content, end_stream);
            }
            if end_stream {
                self.local_ended(key);
            }
            return Ok(());
        }
        let octets = content.len();
        content
            .into_pieces()
            .for_each(|piece| stream.queue.push(piece));
        if end_stream {
            stream.queue.end(Ending::EndStream);
        }
        self.queued_octets += octets;
        self.schedule(key);
        Ok(())
    }

    /// Ends a stream with trailers, which follow any queued content.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn send_trailers<'f, I>(
        &mut self,
        key: StreamKey,
        trailers: &Block<'_, I>,
    ) -> Result<(), SendError>
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
    {
        self.check_size(trailers)?;
        let stream = self.sending(key)?;
        let id = stream.id;
        if stream.queue.is_empty() && stream.state != State::Queued {
            self.write_headers(id, trailers, true);
            self.local_ended(key);
        } else {
            stream
                .queue
                .end(Ending::Trailers(Box::new(trailers.to_owned())));
            self.schedule(key);
        }
        Ok(())
    }

    /// Sends a whole response: head, content and trailers.
    ///
    /// The effect is that of [`send_headers`](Self::send_headers), [`send_data`](Self::send_data)
    /// and [`send_trailers`](Self::send_trailers), but this function is faster.
    ///
    /// # Errors
    ///
    /// See [`SendError`]. If either header list is larger than the peer accepts, nothing is sent.
    #[inline]
    pub fn reply<'p, 'f, 'g, I, J>(
        &mut self,
        key: StreamKey,
        head: &Block<'_, I>,
        message: impl Into<Content<'p>>,
        trailers: &Block<'_, J>,
    ) -> Result<(), SendError>
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
        J: Iterator<Item = FieldRef<'g>> + Clone,
    {
        let message = message.into();
        self.check_size(head)?;
        self.check_size(trailers)?;
        let limit = self.write_limit();
        let stream = self.streams.get_mut(key).ok_or(SendError::Closed)?;
        match stream.state.local() {
            Some(MessagePhase::Head) => {}
            Some(MessagePhase::Body) => return Err(SendError::OutOfOrder),
            None => return Err(SendError::Closed),
        }
        if !limit.is_some_and(|limit| fits(stream, limit, message.len())) {
            self.send_headers(key, head, false)?;
            self.send_data(key, message, false)?;
            return self.send_trailers(key, trailers);
        }
        let id = stream.id;
        stream.send_window.consume(message.len());
        self.write_headers(id, head, false);
        if message.len() > 0 {
            self.write_data(id, message, false);
        }
        self.write_headers(id, trailers, true);
        self.local_ended(key);
        Ok(())
    }

    /// Resets a stream when all of its content and trailers are sent, unless the peer has ended it
    /// by then.
    ///
    /// A server that has sent a whole response and does not need the rest of the request resets
    /// with NO_ERROR (RFC 9113 section 8.1).
    #[inline]
    pub fn reset_when_sent(&mut self, key: StreamKey, code: ErrorCode) {
        // Most streams are gone by then, since the peer has ended them.
        if self.streams.get(key).is_some() {
            self.reset_open_when_sent(key, code);
        }
    }

    fn reset_open_when_sent(&mut self, key: StreamKey, code: ErrorCode) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.state.local().is_none() {
            return self.reset(key, code);
        }
        stream.queue.then_reset = Some(code);
    }

    /// Returns the number of queued octets of content of a stream.
    #[inline]
    pub fn queued(&self, key: StreamKey) -> usize {
        let stream = self.streams.get(key);
        stream.map_or(0, |stream| stream.queue.octets())
    }

    /// Requests one [`Event::SendReady`](crate::Event::SendReady) for the time when fewer than
    /// `octets` of content are queued on a stream. There is no event if that is already so.
    pub fn wake_when_below(&mut self, key: StreamKey, octets: usize) {
        if let Some(stream) = self.streams.get_mut(key)
            && stream.queue.octets() >= octets
        {
            stream.wake_below = Some(octets);
        }
    }

    /// Sets the application's position in the received content of a stream, which grants the peer
    /// credit.
    ///
    /// A WINDOW_UPDATE is sent when at least a quarter of the window is due. Positions never move
    /// back.
    #[inline]
    pub fn read(&mut self, key: StreamKey, reading: Reading) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.receive_window.read(reading);
            self.grant(key);
        }
    }

    /// Counts all received content of a stream as read. Use it if the stream has no reader.
    pub fn discard(&mut self, key: StreamKey) {
        self.release(key, usize::MAX);
    }

    /// Moves the application's position in the received content of a stream forward.
    ///
    /// It is the simple form of [`read`](Self::read), for an application that can use any amount of
    /// content.
    #[inline]
    pub fn release(&mut self, key: StreamKey, octets: usize) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.receive_window.read_more(octets as u64);
            self.grant(key);
        }
    }

    /// Sends a WINDOW_UPDATE for a stream if it is due and the peer may still send.
    #[inline]
    pub(super) fn grant(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && stream.state.remote().is_some()
            && let Some(increment) = stream.receive_window.grant()
        {
            WindowUpdate { increment }.write(stream.id, self.output.buffer());
        }
    }

    /// Writes frames of waiting streams, until the output holds a batch or no stream may send.
    pub(super) fn take_turns(&mut self) {
        while self.output.len() < self.config.output_batch
            && let Some(key) = self.scheduler.pop()
        {
            self.take_turn(key);
        }
    }

    /// Writes the next frame of a stream, and its ending.
    fn take_turn(&mut self, key: StreamKey) {
        let (frame, connection) = (self.frame_limit(), self.send_window.available());
        let alive = self.streams.len();
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.scheduled = false;
        let id = stream.id;
        let window = stream.send_window.available();
        let octets = match turn(stream.queue.octets(), frame, window, connection) {
            Turn::Send(octets) => octets,
            Turn::StreamWindow => return,
            Turn::ConnectionWindow => {
                stream.scheduled = true;
                let streams = &self.streams;
                return self
                    .scheduler
                    .block(key, alive, |key| streams.get(key).is_some());
            }
        };
        let end_stream = stream.queue.ends_with(octets);
        if octets > 0 || end_stream {
            Data::write_head(id, octets, end_stream, self.output.buffer());
            stream.queue.take(octets, |part| self.output.push(part));
            stream.send_window.consume(octets);
            self.send_window.consume(octets);
            self.queued_octets -= octets;
            self.stats.octets_sent += octets as u64;
            self.stats.data_frames_sent += u64::from(octets > 0);
        }
        if let Some(below) = stream.wake_below
            && stream.queue.octets() < below
        {
            stream.wake_below = None;
            self.pending_events.push_back(PendingEvent::SendReady(key));
        }
        match stream.queue.take_ending() {
            Ending::Open => self.schedule(key),
            Ending::EndStream => self.local_ended(key),
            Ending::Trailers(trailers) => {
                self.write_headers(id, &trailers.borrow(), true);
                self.local_ended(key);
            }
        }
    }

    /// Adds a stream to the scheduler if it may send something and is not there yet.
    pub(super) fn schedule(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && !stream.scheduled
            && !stream.queue.is_empty()
            && stream.state != State::Queued
            && (stream.queue.octets() == 0 || stream.send_window.available() > 0)
        {
            stream.scheduled = true;
            self.scheduler.push(key);
        }
    }

    /// Appends a HEADERS frame, with CONTINUATION frames if necessary.
    #[inline]
    pub(super) fn write_headers<'f, I>(&mut self, id: u32, block: &Block<'_, I>, end_stream: bool)
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
    {
        self.stats.headers_sent += 1;
        let frame_limit = self.frame_limit();
        if let Some(framed) = block.framed(&self.encoder)
            && framed.len() <= frame_limit
        {
            return Headers::write_framed(id, end_stream, framed, self.output.buffer());
        }
        let encoder = &mut self.encoder;
        Headers::write(id, end_stream, frame_limit, self.output.buffer(), |out| {
            block.encode(encoder, out);
        });
    }

    /// Appends a DATA frame. The content must be within [`write_limit`](Self::write_limit).
    #[inline]
    fn write_data(&mut self, id: u32, content: Content<'_>, end_stream: bool) {
        let octets = content.len();
        Data::write_head(id, octets, end_stream, self.output.buffer());
        match content {
            Content::Borrowed(octets) => self.output.buffer().extend_from_slice(octets),
            Content::Owned(octets) => octets.for_each(|piece| self.output.push(piece)),
        }
        self.send_window.consume(octets);
        self.stats.octets_sent += octets as u64;
        self.stats.data_frames_sent += u64::from(octets > 0);
    }

    /// Returns a stream on which content or trailers may be sent.
    #[inline]
    fn sending(&mut self, key: StreamKey) -> Result<&mut Stream<T>, SendError> {
        let stream = self.streams.get_mut(key).ok_or(SendError::Closed)?;
        if stream.can_send_body() {
            return Ok(stream);
        }
        match stream.state.local() {
            Some(MessagePhase::Head) => Err(SendError::OutOfOrder),
            _ => Err(SendError::Closed),
        }
    }

    /// Returns the maximum DATA content that the connection accepts without queueing, or `None` if
    /// other streams wait or the output is full.
    #[inline]
    fn write_limit(&self) -> Option<usize> {
        if self.scheduler.is_idle() && self.output.len() < self.config.output_batch {
            Some(self.frame_limit().min(self.send_window.available()))
        } else {
            None
        }
    }

    /// Returns the maximum payload of a frame, in octets.
    #[inline]
    fn frame_limit(&self) -> usize {
        let peer = self.peer.max_frame_size as usize;
        peer.min(self.config.max_send_frame_size)
    }

    /// Updates the state of a stream after our END_STREAM.
    #[inline]
    fn local_ended(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.state.local_end();
        let then_reset = stream.queue.then_reset;
        if self.close_if_ended(key) {
            self.remove(key);
        } else if let Some(code) = then_reset {
            self.reset(key, code);
        }
    }

    /// Fails if a header list is larger than the peer accepts.
    fn check_size<'f, I>(&self, block: &Block<'_, I>) -> Result<(), SendError>
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
    {
        self.check_list_size(block)
            .map_err(|(size, limit)| SendError::HeaderListTooLarge { size, limit })
    }

    /// Fails with the size and the limit if a header list is larger than the peer accepts.
    #[inline]
    pub(super) fn check_list_size<'f, I>(&self, block: &Block<'_, I>) -> Result<(), (usize, u32)>
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
    {
        let Some(limit) = self.peer.max_header_list_size else {
            return Ok(());
        };
        let size = block.list_size();
        if size > limit as usize {
            return Err((size, limit));
        }
        Ok(())
    }
}

/// Returns `true` if a stream may send this many octets at once, within the connection's limit.
#[inline]
fn fits<T>(stream: &Stream<T>, limit: usize, octets: usize) -> bool {
    octets <= limit
        && octets <= stream.send_window.available()
        && stream.queue.is_empty()
        && stream.state != State::Queued
}
