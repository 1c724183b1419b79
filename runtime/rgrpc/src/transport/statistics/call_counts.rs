//! The counts of the calls of a channel, a subchannel or a server.

use std::time::SystemTime;

/// The counts of the calls of a channel, a subchannel or a server, at one time.
///
/// A call that has begun and has not ended is neither a success nor a failure.
///
/// Source: `grpc/channelz/v1/channelz.proto`, `ChannelData` and `ServerData`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallCounts {
    /// The number of calls that have begun. A subchannel counts attempts: each that has a stream.
    pub started: u64,
    /// The number of calls that have ended with OK.
    pub succeeded: u64,
    /// The number of calls that have ended otherwise: with another status, or cancelled.
    pub failed: u64,
    /// The time at which a call last began, as its stream; `None` before the first.
    pub last_started: Option<SystemTime>,
}

impl CallCounts {
    /// Adds the counts of others.
    pub(crate) fn add(&mut self, others: Self) {
        self.started += others.started;
        self.succeeded += others.succeeded;
        self.failed += others.failed;
        self.last_started = self.last_started.max(others.last_started);
    }
}
