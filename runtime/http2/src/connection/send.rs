//! What goes out on streams. Whatever may go at once is written at once; the rest is queued with
//! its stream, and the streams take turns.

use bytes::Bytes;

use crate::block::Block;
use crate::bytes_queue::BytesQueue;
use crate::error::ErrorCode;
use crate::flow::Reading;
use crate::frame::{Data, Headers, WindowUpdate};
use crate::hpack::FieldRef;
use crate::scheduler::{Turn, turn};
use crate::stream::{Ending, Phase, State, Stream, StreamKey};

use super::notice::Notice;
use super::{Connection, SendError};

/// Content to be sent.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// Octets of the caller's, which are copied.
    Borrowed(&'a [u8]),
    /// Octets that are handed over: many of them are written from where they lie.
    Owned(BytesQueue),
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(octets: &'a [u8]) -> Self {
        Self::Borrowed(octets)
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(octets: Bytes) -> Self {
        Self::Owned(octets.into())
    }
}

impl From<BytesQueue> for Payload<'_> {
    fn from(octets: BytesQueue) -> Self {
        Self::Owned(octets)
    }
}

impl Payload<'_> {
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
    /// Sends the head of a response, on a server.
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
            Some(Phase::Head) => {}
            Some(Phase::Body) => return Err(SendError::OutOfOrder),
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

    /// Sends content: at once if nothing is in the way, else as soon as windows and other streams
    /// permit. There is no limit to what can be queued: [`queued`](Self::queued) tells how much is,
    /// and [`wake_when_below`](Self::wake_when_below) when it is less.
    pub fn send_data<'p>(
        &mut self,
        key: StreamKey,
        payload: impl Into<Payload<'p>>,
        end_stream: bool,
    ) -> Result<(), SendError> {
        let payload = payload.into();
        let room = self.room();
        let stream = self.sending(key)?;
        let id = stream.id;
        if room.is_some_and(|room| fits(stream, room, payload.len())) {
            if payload.len() > 0 || end_stream {
                stream.send_window.consume(payload.len());
                self.write_data(id, payload, end_stream);
            }
            if end_stream {
                self.local_ended(key);
            }
            return Ok(());
        }
        let octets = payload.len();
        payload
            .into_pieces()
            .for_each(|piece| stream.queue.push(piece));
        if end_stream {
            stream.queue.end(Ending::EndStream);
        }
        self.queued_octets += octets;
        self.schedule(key);
        Ok(())
    }

    /// Ends a stream with trailers, after what is queued.
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

    /// Sends a whole response: head, content and trailers. The same as sending them one by one, in
    /// one go. If a header list is larger than the peer takes, nothing is sent.
    pub fn reply<'p, 'f, 'g, I, J>(
        &mut self,
        key: StreamKey,
        head: &Block<'_, I>,
        message: impl Into<Payload<'p>>,
        trailers: &Block<'_, J>,
    ) -> Result<(), SendError>
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
        J: Iterator<Item = FieldRef<'g>> + Clone,
    {
        let message = message.into();
        self.check_size(head)?;
        self.check_size(trailers)?;
        let room = self.room();
        let stream = self.streams.get_mut(key).ok_or(SendError::Closed)?;
        match stream.state.local() {
            Some(Phase::Head) => {}
            Some(Phase::Body) => return Err(SendError::OutOfOrder),
            None => return Err(SendError::Closed),
        }
        if !room.is_some_and(|room| fits(stream, room, message.len())) {
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

    /// Resets a stream with this code once everything it has to send is sent, unless the peer has
    /// ended it by then: a server that has answered and wants no more of the request resets with
    /// NO_ERROR (RFC 9113 section 8.1).
    pub fn reset_when_sent(&mut self, key: StreamKey, code: ErrorCode) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.state.local().is_none() {
            return self.reset(key, code);
        }
        stream.queue.then_reset = Some(code);
    }

    /// How many octets of content wait on a stream.
    pub fn queued(&self, key: StreamKey) -> usize {
        let stream = self.streams.get(key);
        stream.map_or(0, |stream| stream.queue.octets())
    }

    /// Asks for [`Event::SendReady`](crate::Event::SendReady), once, when fewer than `octets`
    /// wait on a stream. Nothing comes if that is so already.
    pub fn wake_when_below(&mut self, key: StreamKey, octets: usize) {
        if let Some(stream) = self.streams.get_mut(key)
            && stream.queue.octets() >= octets
        {
            stream.wake_below = Some(octets);
        }
    }

    /// The reader of a stream's content has come to this place: the peer may send accordingly more,
    /// and is told so when it is worth a frame.
    #[inline]
    pub fn read(&mut self, key: StreamKey, reading: Reading) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.receive_window.read(reading);
            self.grant(key);
        }
    }

    /// The content of a stream has no reader: all that has come counts as read.
    pub fn discard(&mut self, key: StreamKey) {
        self.release(key, usize::MAX);
    }

    /// The reader has taken this many octets more, and takes content in any portion.
    #[inline]
    pub fn release(&mut self, key: StreamKey, octets: usize) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.receive_window.read_more(octets as u64);
            self.grant(key);
        }
    }

    /// Sends the credit that is due on a stream whose peer may still use it.
    #[inline]
    pub(super) fn grant(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && stream.state.remote().is_some()
            && let Some(increment) = stream.receive_window.grant()
        {
            WindowUpdate { increment }.write(stream.id, self.output.buffer());
        }
    }

    /// Lets streams take their turns, until there is a batch to write or nothing more may go.
    pub(super) fn take_turns(&mut self) {
        while self.output.len() < self.config.output_batch
            && let Some(key) = self.scheduler.pop()
        {
            self.take_turn(key);
        }
    }

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
                    .starve(key, alive, |key| streams.get(key).is_some());
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
            self.notices.push_back(Notice::SendReady(key));
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

    /// Gives a stream a place among those that have something to send, if it has and has none.
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

    /// Appends a HEADERS frame, in as many pieces as it takes.
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

    /// Appends a DATA frame, for which there is room.
    #[inline]
    fn write_data(&mut self, id: u32, payload: Payload<'_>, end_stream: bool) {
        let octets = payload.len();
        Data::write_head(id, octets, end_stream, self.output.buffer());
        match payload {
            Payload::Borrowed(octets) => self.output.buffer().extend_from_slice(octets),
            Payload::Owned(octets) => octets.for_each(|piece| self.output.push(piece)),
        }
        self.send_window.consume(octets);
        self.stats.octets_sent += octets as u64;
        self.stats.data_frames_sent += u64::from(octets > 0);
    }

    /// A stream that content or trailers can be sent on.
    #[inline]
    fn sending(&mut self, key: StreamKey) -> Result<&mut Stream<T>, SendError> {
        let stream = self.streams.get_mut(key).ok_or(SendError::Closed)?;
        if stream.can_send_body() {
            return Ok(stream);
        }
        match stream.state.local() {
            Some(Phase::Head) => Err(SendError::OutOfOrder),
            _ => Err(SendError::Closed),
        }
    }

    /// How much a stream may write at once, as far as the connection is concerned; `None` if others
    /// wait for a turn, or for the peer to read.
    #[inline]
    fn room(&self) -> Option<usize> {
        if self.scheduler.is_idle() && self.output.len() < self.config.output_batch {
            Some(self.frame_limit().min(self.send_window.available()))
        } else {
            None
        }
    }

    /// The longest payload of a frame.
    #[inline]
    fn frame_limit(&self) -> usize {
        let peer = self.peer.max_frame_size as usize;
        peer.min(self.config.max_send_frame_size)
    }

    /// Our END_STREAM is in the output.
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

    fn check_size<'f, I>(&self, block: &Block<'_, I>) -> Result<(), SendError>
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
    {
        self.check_list_size(block)
            .map_err(|(size, limit)| SendError::HeaderListTooLarge { size, limit })
    }

    /// Compares a header list with what the peer takes; the error has both sizes.
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

/// Whether a stream can write this much at once, into the room the connection has.
#[inline]
fn fits<T>(stream: &Stream<T>, room: usize, octets: usize) -> bool {
    octets <= room
        && octets <= stream.send_window.available()
        && stream.queue.is_empty()
        && stream.state != State::Queued
}
