//! Counters of a connection.

/// What has happened on a connection so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    /// Streams that either end opened on the wire.
    pub(crate) streams_opened: u64,
    /// Streams on which both ends came to END_STREAM.
    pub(crate) streams_ended: u64,
    /// Streams that either end reset.
    pub(crate) streams_reset: u64,
    /// Streams of the peer that were refused.
    pub(crate) streams_refused: u64,
    /// Header lists received.
    pub(crate) headers_received: u64,
    /// Header lists sent.
    pub(crate) headers_sent: u64,
    /// DATA frames received that had content.
    pub(crate) data_frames_received: u64,
    /// DATA frames sent that had content.
    pub(crate) data_frames_sent: u64,
    /// Octets of content received, padding apart.
    pub(crate) octets_received: u64,
    /// Octets of content sent.
    pub(crate) octets_sent: u64,
    /// PINGs received, acknowledgements apart.
    pub(crate) pings_received: u64,
    /// PINGs sent, acknowledgements apart.
    pub(crate) pings_sent: u64,
}

impl Stats {
    /// Frames with content in either direction: header lists of the peer are none, because a peer
    /// that does nothing but open streams has achieved nothing.
    pub(super) fn content_frames(&self) -> u64 {
        self.data_frames_received + self.data_frames_sent + self.headers_sent
    }
}
