//! Opening and closing of streams, and the handling of stream errors.

use std::time::Instant;

use crate::block::Block;
use crate::budget::BudgetKind;
use crate::error::{ConnectionError, ErrorCode, StreamError};
use crate::event::Event;
use crate::flow::{SendWindow, StreamWindow};
use crate::frame::{MAX_STREAM_ID, RstStream};
use crate::hpack::FieldRef;
use crate::role::Role;
use crate::stream::{Closure, MessagePhase, Opening, State, StreamKey};

use super::pending_events::PendingEvent;
use super::{Connection, OpenError};

impl<T, H: Clone> Connection<T, H> {
    /// Opens a stream with the head of a request, on a client.
    ///
    /// If the peer's limit of concurrent streams is reached, the stream waits, and
    /// [`Event::Opened`] reports when it has been opened on the wire. Content may be sent on the
    /// stream in either case. `value` is the owner's value of the stream. `end_stream` means that
    /// neither content nor trailers follow.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. The value is dropped, and nothing is sent.
    #[inline]
    pub fn open<'f, I>(
        &mut self,
        value: T,
        head: &Block<'_, I>,
        end_stream: bool,
    ) -> Result<StreamKey, OpenError>
    where
        I: Iterator<Item = FieldRef<'f>> + Clone,
    {
        if !self.takes_new_streams() {
            return Err(OpenError::GoingAway);
        }
        if self.next_local_id > self.config.last_local_stream_id {
            return Err(OpenError::StreamIdsExhausted);
        }
        if let Err((size, limit)) = self.check_list_size(head) {
            return Err(OpenError::HeaderListTooLarge { size, limit });
        }
        let (send_window, receive_window) = self.new_windows();
        let waits = !self.waiting_to_open.is_empty() || !self.may_open();
        let key = self
            .streams
            .insert(0, State::Queued, send_window, receive_window);
        if waits {
            let opening = Opening {
                block: head.to_owned(),
                end_stream,
            };
            if let Some(stream) = self.streams.get_mut(key) {
                stream.value = Some(value);
                stream.opening = Some(Box::new(opening));
            }
            self.waiting_to_open.push_back(key);
        } else {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.value = Some(value);
            }
            let id = self.put_on_wire(key, end_stream);
            self.write_headers(id, head, end_stream);
        }
        Ok(key)
    }

    /// Returns `true` if [`open`](Self::open) accepts new streams: this end is a client, the
    /// connection has not failed, and neither end has sent GOAWAY.
    pub fn takes_new_streams(&self) -> bool {
        self.role == Role::Client
            && self.failure().is_none()
            && self.peer_goaway.is_none()
            && !self.drain.is_on()
    }

    /// Resets a stream (RFC 9113 section 6.4). Drops its queued content and the owner's value.
    ///
    /// Does nothing if there is no such stream. A stream that still waits to be opened causes no
    /// frames.
    pub fn reset(&mut self, key: StreamKey, code: ErrorCode) {
        if let Some(stream) = self.streams.get(key)
            && stream.state != State::Closed
        {
            self.reset_on_wire(key, code);
            self.remove(key);
        }
    }

    /// Sends RST_STREAM for a stream and closes it, but keeps it in the store for its last event.
    pub(super) fn reset_on_wire(&mut self, key: StreamKey, code: ErrorCode) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if stream.state != State::Queued {
            let id = stream.id;
            RstStream { code }.write(id, self.output.buffer());
        }
        self.close(key, Closure::ResetLocally);
    }

    /// Closes a stream and drops its queued content. It stays in the store until it is removed.
    pub(super) fn close(&mut self, key: StreamKey, closure: Closure) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let (id, was) = (stream.id, stream.state);
        if was == State::Closed {
            return;
        }
        stream.state = State::Closed;
        self.queued_octets -= stream.queue.octets();
        stream.queue.clear();
        if was == State::Queued {
            self.waiting_to_open.retain(|&waiting| waiting != key);
            return;
        }
        if closure == Closure::ResetLocally && was.remote().is_some() {
            self.expect_late_data();
        }
        let response = match self.role {
            Role::Client => was.remote(),
            Role::Server => was.local(),
        };
        self.count_closed(id, closure, response.is_none());
    }

    /// Accounts for DATA that the peer may send before it learns that a stream is closed: at most
    /// the stream's window.
    pub(super) fn expect_late_data(&mut self) {
        self.late_octets = self
            .late_octets
            .saturating_add(u64::from(self.stream_window));
    }

    /// Updates the counters for a stream that was open on the wire and is now closed. `succeeded`
    /// means that its response is complete.
    #[inline]
    fn count_closed(&mut self, id: u32, closure: Closure, succeeded: bool) {
        self.stats.streams_succeeded += u64::from(succeeded);
        self.closed.push(id, closure);
        match closure {
            Closure::Ended => self.stats.streams_ended += 1,
            Closure::ResetLocally | Closure::ResetByPeer => self.stats.streams_reset += 1,
        }
        if self.role.opens(id) {
            self.local_streams -= 1;
            self.open_waiting();
        } else {
            self.peer_streams -= 1;
        }
    }

    /// Closes a stream if both ends have sent END_STREAM. Returns `true` if it is closed.
    #[inline]
    pub(super) fn close_if_ended(&mut self, key: StreamKey) -> bool {
        match self.streams.get(key) {
            Some(stream) if stream.state == State::Closed => {
                let id = stream.id;
                self.count_closed(id, Closure::Ended, true);
                true
            }
            _ => false,
        }
    }

    /// Removes a stream and drops its value.
    #[inline]
    pub(super) fn remove(&mut self, key: StreamKey) {
        drop(self.streams.remove(key));
    }

    /// Opens waiting streams, as many as the peer allows.
    pub(super) fn open_waiting(&mut self) {
        while !self.waiting_to_open.is_empty() && self.may_open() {
            if self.next_local_id > self.config.last_local_stream_id {
                return self.refuse_waiting();
            }
            let Some(key) = self.waiting_to_open.pop_front() else {
                return;
            };
            let Some(opening) = self
                .streams
                .get_mut(key)
                .and_then(|stream| stream.opening.take())
            else {
                continue;
            };
            let id = self.put_on_wire(key, opening.end_stream);
            self.write_headers(id, &opening.block.borrow(), opening.end_stream);
            self.schedule(key);
            self.pending_events.push_back(PendingEvent::Opened(key));
        }
    }

    /// Refuses all waiting streams, because they can no longer be opened.
    pub(super) fn refuse_waiting(&mut self) {
        for key in std::mem::take(&mut self.waiting_to_open) {
            self.refuse(key);
        }
    }

    /// Refuses a stream that the peer did not process. It stays in the store until its event is
    /// reported.
    pub(super) fn refuse(&mut self, key: StreamKey) {
        self.close(key, Closure::ResetLocally);
        self.pending_events.push_back(PendingEvent::Refused(key));
    }

    /// Assigns the next id to a stream and opens it.
    fn put_on_wire(&mut self, key: StreamKey, end_stream: bool) -> u32 {
        let id = self.next_local_id;
        self.next_local_id += 2;
        self.local_streams += 1;
        self.stats.streams_opened += 1;
        self.streams.set_id(key, id);
        // The window may have changed while the stream waited.
        let (send_window, receive_window) = self.new_windows();
        if let Some(stream) = self.streams.get_mut(key) {
            stream.send_window = send_window;
            stream.receive_window = receive_window;
            stream.state = State::Open {
                local: MessagePhase::Body,
                remote: MessagePhase::Head,
            };
            if end_stream {
                stream.state.local_end();
            }
        }
        id
    }

    /// Returns the initial windows of a new stream.
    pub(super) fn new_windows(&self) -> (SendWindow, StreamWindow) {
        (
            SendWindow::new(self.peer.initial_window_size),
            StreamWindow::new(self.stream_window),
        )
    }

    /// Returns `true` if the peer allows another stream.
    fn may_open(&self) -> bool {
        let limit = self.peer.max_concurrent_streams.unwrap_or(u32::MAX);
        self.local_streams < limit && self.peer_goaway.is_none()
    }

    /// Returns the stream with this id, unless it is closed.
    #[inline]
    pub(super) fn live(&mut self, id: u32) -> Option<StreamKey> {
        let key = self.streams.find(id)?;
        let stream = self.streams.get(key)?;
        (stream.state != State::Closed).then_some(key)
    }

    /// Returns `true` if the stream with this id was never opened (RFC 9113 section 5.1, "idle").
    #[inline]
    pub(super) fn is_idle(&self, id: u32) -> bool {
        if self.role.opens(id) {
            // A server has used none of its even ids.
            self.role == Role::Server || id >= self.next_local_id
        } else {
            id > self.last_peer_id
        }
    }

    /// Resets a stream because of a stream error. The returned event is the stream's last.
    pub(super) fn stream_error(
        &mut self,
        id: u32,
        error: StreamError,
        now: Instant,
    ) -> Result<Option<Event<H>>, ConnectionError> {
        if !self.role.opens(id) {
            self.spend(BudgetKind::StreamErrors, now)?;
        }
        if self.is_idle(id) {
            // An idle stream cannot be reset (RFC 9113 section 5.1).
            return Err(ConnectionError {
                code: error.code,
                reason: error.reason,
            });
        }
        self.count_control_frame()?;
        let Some(key) = self.live(id) else {
            RstStream { code: error.code }.write(id, self.output.buffer());
            self.closed.push(id, Closure::ResetLocally);
            return Ok(None);
        };
        self.reset_on_wire(key, error.code);
        self.reported_end = Some(key);
        Ok(Some(Event::StreamError {
            key,
            code: error.code,
            reason: error.reason,
        }))
    }

    /// Spends one unit of a budget.
    pub(super) fn spend(&mut self, kind: BudgetKind, now: Instant) -> Result<(), ConnectionError> {
        let done = self.progress();
        self.budgets.spend(kind, &self.config.budgets, now, &done)
    }

    /// Returns the last accepted stream of the peer, for a GOAWAY.
    pub(super) fn last_accepted(&self) -> u32 {
        self.drain
            .last_id()
            .unwrap_or(self.last_peer_id)
            .min(MAX_STREAM_ID)
    }
}
