//! Counters of a connection.

/// What has happened on a connection so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Streams that either end opened on the wire.
    pub streams_opened: u64,
    /// Streams on which both ends came to END_STREAM.
    pub streams_ended: u64,
    /// Streams on which the server came to END_STREAM, also those that were reset afterwards because
    /// the client had not.
    pub streams_succeeded: u64,
    /// Streams that either end reset.
    pub streams_reset: u64,
    /// Streams of the peer that were refused.
    pub streams_refused: u64,
    /// Header lists received.
    pub headers_received: u64,
    /// Header lists sent.
    pub headers_sent: u64,
    /// DATA frames received that had content.
    pub data_frames_received: u64,
    /// DATA frames sent that had content.
    pub data_frames_sent: u64,
    /// Octets of content received, padding apart.
    pub octets_received: u64,
    /// Octets of content sent.
    pub octets_sent: u64,
    /// PINGs received, acknowledgements apart.
    pub pings_received: u64,
    /// PINGs sent, acknowledgements apart.
    pub pings_sent: u64,
}

impl Stats {
    /// Frames with content in either direction: header lists of the peer are none, because a peer
    /// that does nothing but open streams has achieved nothing.
    pub(super) fn content_frames(&self) -> u64 {
        self.data_frames_received + self.data_frames_sent + self.headers_sent
    }
}
