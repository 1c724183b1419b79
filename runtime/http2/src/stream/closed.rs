//! How streams that are gone came to their end: what a late frame for one means depends on it (RFC
//! 9113 section 5.1, "closed").

/// How many streams are remembered. A frame for one that closed before those is ignored, as the RFC
/// lets an endpoint do after a while.
const REMEMBERED: usize = 128;

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closure {
    /// Both ends sent END_STREAM.
    Ended,
    /// We reset it. The peer may have sent more before it knew.
    ResetLocally,
    /// The peer reset it.
    ResetByPeer,
}

/// The streams that closed last, and the ids that the peer left out.
#[derive(Debug, Default)]
pub(crate) struct RecentlyClosed {
    ring: Vec<(u32, Closure)>,
    next: usize,
    skipped: Option<(u32, u32)>,
}

impl RecentlyClosed {
    /// Remembers a stream.
    #[inline]
    pub(crate) fn push(&mut self, id: u32, closure: Closure) {
        if self.ring.len() < REMEMBERED {
            self.ring.push((id, closure));
            return;
        }
        self.ring[self.next] = (id, closure);
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// How a stream ended, if it is remembered.
    pub(crate) fn find(&self, id: u32) -> Option<Closure> {
        let entry = self.ring.iter().find(|entry| entry.0 == id)?;
        Some(entry.1)
    }

    /// The peer left out the ids from `first` to `last` when it opened a stream. That closes them
    /// (section 5.1.1).
    pub(crate) fn skip(&mut self, first: u32, last: u32) {
        self.skipped = Some((first, last));
    }

    /// Whether the peer left this id out, the last time that it left any out.
    pub(crate) fn was_skipped(&self, id: u32) -> bool {
        self.skipped
            .is_some_and(|(first, last)| (first..=last).contains(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_streams_are_remembered_and_no_more() {
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
