//! Counters of a connection.

/// The counters of a connection since its creation, for introspection such as channelz.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Streams that either end opened on the wire.
    pub streams_opened: u64,
    /// Streams on which both ends sent END_STREAM.
    pub streams_ended: u64,
    /// Streams on which the server sent END_STREAM, including those that were reset afterwards
    /// because the client did not.
    pub streams_succeeded: u64,
    /// Streams that either end reset.
    pub streams_reset: u64,
    /// Streams of the peer that we refused.
    pub streams_refused: u64,
    /// Received header lists.
    pub headers_received: u64,
    /// Sent header lists.
    pub headers_sent: u64,
    /// Received DATA frames with content.
    pub data_frames_received: u64,
    /// Sent DATA frames with content.
    pub data_frames_sent: u64,
    /// Received octets of content, without padding.
    pub octets_received: u64,
    /// Sent octets of content.
    pub octets_sent: u64,
    /// Received PINGs, without acknowledgements.
    pub pings_received: u64,
    /// Sent PINGs, without acknowledgements.
    pub pings_sent: u64,
}

impl Stats {
    /// Returns the number of content frames in either direction, for the earnings of the budgets.
    ///
    /// Header lists of the peer do not count, so that opening streams alone earns nothing.
    #[inline]
    pub(super) fn content_frames(&self) -> u64 {
        self.data_frames_received + self.data_frames_sent + self.headers_sent
    }
}
