//! The statistics of one connection. Its task writes them, and any task can read them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::ConnectionSnapshot;
use crate::disconnect_reason::GoAway;
use crate::io::Peer;
use crate::side::Side;

/// The published statistics of a connection.
#[derive(Debug)]
pub(crate) struct ConnectionStats {
    id: u64,
    side: Side,
    peer: Arc<Peer>,
    /// One time by both clocks, to which other times are relative.
    epoch: (Instant, SystemTime),
    streams_started: AtomicU64,
    streams_succeeded: AtomicU64,
    streams_open: AtomicU64,
    messages_sent: AtomicU64,
    messages_received: AtomicU64,
    keepalives_sent: AtomicU64,
    send_window: AtomicI64,
    receive_window: AtomicI64,
    last_stream: LastTime,
    last_message_sent: LastTime,
    last_message_received: LastTime,
    goaway: OnceLock<GoAway>,
}

/// The counts of a connection's task.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) streams_started: u64,
    pub(crate) streams_succeeded: u64,
    pub(crate) streams_open: u64,
    pub(crate) messages_sent: u64,
    pub(crate) messages_received: u64,
    pub(crate) keepalives_sent: u64,
    pub(crate) send_window: i64,
    pub(crate) receive_window: i64,
}

/// A time, in nanoseconds after the epoch plus one; 0 for none.
#[derive(Debug, Default)]
struct LastTime(AtomicU64);

impl ConnectionStats {
    pub(super) fn new(id: u64, side: Side, peer: Arc<Peer>) -> Self {
        Self {
            id,
            side,
            peer,
            epoch: (Instant::now(), SystemTime::now()),
            streams_started: AtomicU64::default(),
            streams_succeeded: AtomicU64::default(),
            streams_open: AtomicU64::default(),
            messages_sent: AtomicU64::default(),
            messages_received: AtomicU64::default(),
            keepalives_sent: AtomicU64::default(),
            send_window: AtomicI64::default(),
            receive_window: AtomicI64::default(),
            last_stream: LastTime::default(),
            last_message_sent: LastTime::default(),
            last_message_received: LastTime::default(),
            goaway: OnceLock::new(),
        }
    }

    /// Publishes the peer's GOAWAY. The first one stays.
    pub(crate) fn set_goaway(&self, goaway: GoAway) {
        let _ = self.goaway.set(goaway);
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Publishes the counts at `now`. Only the connection's task calls it.
    pub(crate) fn publish(&self, counts: &Counts, now: Instant) {
        let now = now.saturating_duration_since(self.epoch.0);
        count(
            &self.streams_started,
            counts.streams_started,
            &self.last_stream,
            now,
        );
        let sent = &self.last_message_sent;
        count(&self.messages_sent, counts.messages_sent, sent, now);
        let received = &self.last_message_received;
        count(
            &self.messages_received,
            counts.messages_received,
            received,
            now,
        );
        for (published, count) in [
            (&self.streams_succeeded, counts.streams_succeeded),
            (&self.streams_open, counts.streams_open),
            (&self.keepalives_sent, counts.keepalives_sent),
        ] {
            published.store(count, Ordering::Relaxed);
        }
        self.send_window
            .store(counts.send_window, Ordering::Relaxed);
        self.receive_window
            .store(counts.receive_window, Ordering::Relaxed);
    }

    /// Returns the statistics, as last published.
    pub(crate) fn snapshot(&self) -> ConnectionSnapshot {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let time = |time: &LastTime| Some(self.epoch.1 + time.get()?);
        let streams_started = get(&self.streams_started);
        let streams_succeeded = get(&self.streams_succeeded);
        let alive_or_succeeded = get(&self.streams_open).saturating_add(streams_succeeded);
        let last_stream = time(&self.last_stream);
        ConnectionSnapshot {
            id: self.id,
            peer: (*self.peer).clone(),
            streams_started,
            streams_succeeded,
            streams_failed: streams_started.saturating_sub(alive_or_succeeded),
            messages_sent: get(&self.messages_sent),
            messages_received: get(&self.messages_received),
            keepalives_sent: get(&self.keepalives_sent),
            last_local_stream_created: last_stream.filter(|_| self.side == Side::Client),
            last_remote_stream_created: last_stream.filter(|_| self.side == Side::Server),
            last_message_sent: time(&self.last_message_sent),
            last_message_received: time(&self.last_message_received),
            local_flow_control_window: self.send_window.load(Ordering::Relaxed),
            remote_flow_control_window: self.receive_window.load(Ordering::Relaxed),
            goaway: self.goaway.get().cloned(),
        }
    }
}

/// Publishes a count, and the time of its last change.
fn count(published: &AtomicU64, count: u64, last: &LastTime, now: Duration) {
    if published.load(Ordering::Relaxed) != count {
        published.store(count, Ordering::Relaxed);
        last.set(now);
    }
}

impl LastTime {
    fn set(&self, after_epoch: Duration) {
        let nanos = u64::try_from(after_epoch.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos.saturating_add(1), Ordering::Relaxed);
    }

    fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Address;

    #[test]
    fn times_are_those_when_a_count_has_changed() {
        let stats = ConnectionStats::new(
            7,
            Side::Client,
            Arc::new(Peer::new(Address::Pipe, Address::Pipe)),
        );
        let (begun, time) = stats.epoch;
        let second = Duration::from_secs(1);
        assert_eq!(stats.snapshot().last_message_sent, None);
        let mut counts = Counts {
            streams_started: 2,
            streams_open: 2,
            messages_sent: 2,
            ..Counts::default()
        };
        stats.publish(&counts, begun + second);
        counts.messages_received = 1;
        counts.streams_succeeded = 1;
        counts.streams_open = 0;
        stats.publish(&counts, begun + 3 * second);
        let snapshot = stats.snapshot();
        assert_eq!(snapshot.id, 7);
        assert_eq!(snapshot.streams_started, 2);
        assert_eq!(snapshot.streams_succeeded, 1);
        assert_eq!(snapshot.streams_failed, 1);
        assert_eq!(snapshot.last_local_stream_created, Some(time + second));
        assert_eq!(snapshot.last_remote_stream_created, None);
        assert_eq!(snapshot.last_message_sent, Some(time + second));
        assert_eq!(snapshot.last_message_received, Some(time + 3 * second));
    }
}
