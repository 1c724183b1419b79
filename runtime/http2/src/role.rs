//! Which end of a connection this is.

/// The two ends differ in who opens streams, and in little else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens streams, with odd ids.
    Client,
    /// Answers on them. Its own ids would be even; it opens none, since push is off.
    Server,
}

impl Role {
    /// Whether a stream of this id is this end's to open (RFC 9113 section 5.1.1).
    #[inline]
    pub(super) const fn opens(self, stream_id: u32) -> bool {
        match self {
            Self::Client => stream_id % 2 == 1,
            Self::Server => stream_id.is_multiple_of(2),
        }
    }
}
