//! The recently closed streams, and how each of them closed.
//!
//! The handling of a late frame depends on how its stream closed (RFC 9113 section 5.1, "closed").

/// The number of closed streams that are kept. Frames of streams that closed earlier are ignored,
/// which the RFC allows after some time.
const REMEMBERED: usize = 128;

/// The way in which a stream closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closure {
    /// Both ends sent END_STREAM.
    Ended,
    /// We reset the stream. The peer may have sent frames before it received the RST_STREAM.
    ResetLocally,
    /// The peer reset the stream.
    ResetByPeer,
}

/// The streams that closed last, and the ids that the peer skipped.
#[derive(Debug, Default)]
pub(crate) struct RecentlyClosed {
    ring: Vec<(u32, Closure)>,
    /// The position in the ring that is overwritten next.
    next: usize,
    /// The first and the last id of the range that the peer skipped last.
    skipped: Option<(u32, u32)>,
}

impl RecentlyClosed {
    /// Adds a closed stream.
    #[inline]
    pub(crate) fn push(&mut self, id: u32, closure: Closure) {
        if self.ring.len() < REMEMBERED {
            self.ring.push((id, closure));
            return;
        }
        self.ring[self.next] = (id, closure);
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Returns the way in which a stream closed, or `None` if it is not known any more.
    pub(crate) fn find(&self, id: u32) -> Option<Closure> {
        let entry = self.ring.iter().find(|entry| entry.0 == id)?;
        Some(entry.1)
    }

    /// Records that the peer skipped the ids from `first` to `last` when it opened a stream.
    /// Skipped ids are closed (section 5.1.1).
    pub(crate) fn skip(&mut self, first: u32, last: u32) {
        self.skipped = Some((first, last));
    }

    /// Returns `true` if this id is in the range that the peer skipped last.
    pub(crate) fn was_skipped(&self, id: u32) -> bool {
        self.skipped
            .is_some_and(|(first, last)| (first..=last).contains(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_kept_streams_is_bounded() {
        let mut closed = RecentlyClosed::default();
        for index in 0..1_000 {
            closed.push(2 * index + 1, Closure::Ended);
        }
        closed.push(5_001, Closure::ResetByPeer);
        assert_eq!(closed.find(1_999), Some(Closure::Ended));
        assert_eq!(closed.find(5_001), Some(Closure::ResetByPeer));
        assert_eq!(closed.find(1), None);
        assert_eq!(closed.ring.len(), REMEMBERED);
    }
}
