//! The role of an end of a connection.

/// The role of an end of a connection: client or server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that opens streams, with odd ids.
    Client,
    /// The end that responds. It opens no streams, because server push is disabled.
    Server,
}

impl Role {
    /// Returns `true` if this end opens the streams with this id's parity (RFC 9113 section 5.1.1).
    #[inline]
    pub(super) const fn opens(self, stream_id: u32) -> bool {
        match self {
            Self::Client => stream_id % 2 == 1,
            Self::Server => stream_id.is_multiple_of(2),
        }
    }
}
