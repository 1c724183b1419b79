//! The queue of events that one call causes on other streams.
//!
//! [`Connection::next_event`] returns them before it reads the next frame.

use crate::event::Event;
use crate::stream::StreamKey;

use super::Connection;

/// An event that a frame or a call caused on another stream. It is dropped if the stream no longer
/// exists when the event is due.
#[derive(Clone, Copy, Debug)]
pub(super) enum PendingEvent {
    /// An [`Event::Opened`].
    Opened(StreamKey),
    /// An [`Event::SendReady`].
    SendReady(StreamKey),
    /// An [`Event::Refused`], which is the stream's last event.
    Refused(StreamKey),
}

impl<T, H: Clone> Connection<T, H> {
    /// Removes and returns the next pending event.
    #[inline]
    pub(super) fn next_pending_event(&mut self) -> Option<Event<H>> {
        while let Some(event) = self.pending_events.pop_front() {
            match event {
                PendingEvent::Opened(key) => {
                    if let Some(stream) = self.streams.get(key) {
                        let id = stream.id;
                        return Some(Event::Opened { key, id });
                    }
                }
                PendingEvent::SendReady(key) => {
                    if self.streams.get(key).is_some() {
                        return Some(Event::SendReady { key });
                    }
                }
                PendingEvent::Refused(key) => {
                    if self.streams.get(key).is_some() {
                        self.reported_end = Some(key);
                        return Some(Event::Refused { key });
                    }
                }
            }
        }
        None
    }
}
