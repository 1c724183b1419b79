//! Events of streams other than the one whose frame was received, in wait to be asked for.

use crate::event::Event;
use crate::stream::StreamKey;

use super::Connection;

/// Something that one frame, or one write, did to a stream besides. A notice of a stream that is
/// gone by the time it is asked for is dropped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    /// [`Event::Opened`].
    Opened(StreamKey),
    /// [`Event::SendReady`].
    SendReady(StreamKey),
    /// [`Event::Refused`], the stream's last.
    Refused(StreamKey),
}

impl<T, H: Clone> Connection<T, H> {
    /// The next event that waits.
    #[inline]
    pub(super) fn next_notice(&mut self) -> Option<Event<H>> {
        while let Some(notice) = self.notices.pop_front() {
            match notice {
                Notice::Opened(key) => {
                    if let Some(stream) = self.streams.get(key) {
                        let id = stream.id;
                        return Some(Event::Opened { key, id });
                    }
                }
                Notice::SendReady(key) => {
                    if self.streams.get(key).is_some() {
                        return Some(Event::SendReady { key });
                    }
                }
                Notice::Refused(key) => {
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
