//! The statistics of one connection. Its task writes them, and any task can read them.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{CallCounts, ConnectionSnapshot};
use crate::disconnect_reason::GoAway;
use crate::io::Peer;
use crate::side::Side;

/// The published statistics of a connection.
#[derive(Debug)]
pub(crate) struct ConnectionStats {
    id: u64,
    side: Side,
    is_draining: AtomicBool,
    peer: Arc<Peer>,
    /// One time by both clocks, to which other times are relative.
    epoch: (Instant, SystemTime),
    streams_started: AtomicU64,
    streams_succeeded: AtomicU64,
    streams_open: AtomicU64,
    failed_responses: AtomicU64,
    messages_sent: AtomicU64,
    messages_received: AtomicU64,
    keepalives_sent: AtomicU64,
    pings_received: AtomicU64,
    send_window: AtomicI64,
    receive_window: AtomicI64,
    last_stream: LastTime,
    last_message_sent: LastTime,
    last_message_received: LastTime,
    /// None while there are streams.
    idle_since: LastTime,
    max_age_at: LastTime,
    /// Boxed, because most connections have none.
    goaway: OnceLock<Box<GoAway>>,
}

/// The counts of a connection's task.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) streams_started: u64,
    pub(crate) streams_succeeded: u64,
    pub(crate) streams_open: u64,
    /// Complete responses with another status than OK.
    pub(crate) failed_responses: u64,
    pub(crate) messages_sent: u64,
    pub(crate) messages_received: u64,
    pub(crate) keepalives_sent: u64,
    pub(crate) pings_received: u64,
    pub(crate) send_window: i64,
    pub(crate) receive_window: i64,
    pub(crate) is_draining: bool,
}

/// A time, in nanoseconds after the epoch plus one; 0 for none.
#[derive(Debug, Default)]
struct LastTime(AtomicU64);

impl ConnectionStats {
    pub(super) fn new(id: u64, side: Side, peer: Arc<Peer>) -> Self {
        let idle_since = LastTime::default();
        idle_since.set(Duration::ZERO);
        Self {
            id,
            side,
            is_draining: AtomicBool::new(false),
            peer,
            epoch: (Instant::now(), SystemTime::now()),
            streams_started: AtomicU64::default(),
            streams_succeeded: AtomicU64::default(),
            streams_open: AtomicU64::default(),
            failed_responses: AtomicU64::default(),
            messages_sent: AtomicU64::default(),
            messages_received: AtomicU64::default(),
            keepalives_sent: AtomicU64::default(),
            pings_received: AtomicU64::default(),
            send_window: AtomicI64::default(),
            receive_window: AtomicI64::default(),
            last_stream: LastTime::default(),
            last_message_sent: LastTime::default(),
            last_message_received: LastTime::default(),
            idle_since,
            max_age_at: LastTime::default(),
            goaway: OnceLock::new(),
        }
    }

    /// Publishes the peer's GOAWAY. The first one stays.
    pub(crate) fn set_goaway(&self, goaway: GoAway) {
        let _ = self.goaway.set(Box::new(goaway));
        self.set_draining();
    }

    /// Publishes that the connection takes no new streams.
    pub(crate) fn set_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Publishes the time at which the connection reaches its maximum age.
    pub(crate) fn set_max_age(&self, at: Instant) {
        self.max_age_at
            .set(at.saturating_duration_since(self.epoch.0));
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Counts a stream that begins, on a connection whose task does not publish.
    #[cfg(feature = "transport-h2")]
    pub(super) fn begin_stream(&self, now: Instant) {
        self.streams_started.fetch_add(1, Ordering::Relaxed);
        self.streams_open.fetch_add(1, Ordering::Relaxed);
        self.last_stream
            .set(now.saturating_duration_since(self.epoch.0));
        self.idle_since.clear();
    }

    /// Counts the end of a stream, on a connection whose task does not publish. `complete` says
    /// whether its complete response was OK; `None`: it was not complete.
    #[cfg(feature = "transport-h2")]
    pub(super) fn end_stream(&self, complete: Option<bool>, now: Instant) {
        if let Some(is_ok) = complete {
            self.streams_succeeded.fetch_add(1, Ordering::Relaxed);
            let failed = u64::from(!is_ok);
            self.failed_responses.fetch_add(failed, Ordering::Relaxed);
        }
        if self.streams_open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle_since
                .set(now.saturating_duration_since(self.epoch.0));
        }
    }

    /// Publishes the counts at `now`. Only the connection's task calls it.
    pub(crate) fn publish(&self, counts: &Counts, now: Instant) {
        let now = now.saturating_duration_since(self.epoch.0);
        let has_opened = self.streams_started.load(Ordering::Relaxed) != counts.streams_started;
        if counts.streams_open > 0 {
            self.idle_since.clear();
        } else if has_opened || self.streams_open.load(Ordering::Relaxed) > 0 {
            self.idle_since.set(now);
        }
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
            (&self.failed_responses, counts.failed_responses),
            (&self.keepalives_sent, counts.keepalives_sent),
            (&self.pings_received, counts.pings_received),
        ] {
            published.store(count, Ordering::Relaxed);
        }
        self.send_window
            .store(counts.send_window, Ordering::Relaxed);
        self.receive_window
            .store(counts.receive_window, Ordering::Relaxed);
        if counts.is_draining {
            self.set_draining();
        }
    }

    /// Returns the counts of the connection's calls, as last published.
    pub(super) fn calls(&self) -> CallCounts {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let open = get(&self.streams_open);
        let succeeded = get(&self.streams_succeeded).saturating_sub(get(&self.failed_responses));
        let started = get(&self.streams_started);
        CallCounts {
            started,
            succeeded,
            failed: started.saturating_sub(open.saturating_add(succeeded)),
            last_started: self.last_stream.get().map(|time| self.epoch.1 + time),
        }
    }

    /// Returns the counts of the calls of a connection that has ended: those that had not ended
    /// have failed.
    pub(super) fn calls_at_end(&self) -> CallCounts {
        let calls = self.calls();
        CallCounts {
            failed: calls.started.saturating_sub(calls.succeeded),
            ..calls
        }
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
            created: self.epoch.1,
            streams_started,
            streams_open: get(&self.streams_open),
            streams_succeeded,
            streams_failed: streams_started.saturating_sub(alive_or_succeeded),
            messages_sent: get(&self.messages_sent),
            messages_received: get(&self.messages_received),
            keepalives_sent: get(&self.keepalives_sent),
            pings_received: get(&self.pings_received),
            last_local_stream_created: last_stream.filter(|_| self.side == Side::Client),
            last_remote_stream_created: last_stream.filter(|_| self.side == Side::Server),
            last_message_sent: time(&self.last_message_sent),
            last_message_received: time(&self.last_message_received),
            local_flow_control_window: self.send_window.load(Ordering::Relaxed),
            remote_flow_control_window: self.receive_window.load(Ordering::Relaxed),
            idle_since: time(&self.idle_since),
            max_age_at: time(&self.max_age_at),
            is_draining: self.is_draining.load(Ordering::Relaxed),
            goaway: self.goaway.get().map(|goaway| (**goaway).clone()),
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

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
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

    #[test]
    fn a_connection_is_idle_since_its_beginning_or_since_its_last_stream_has_ended() {
        let stats = ConnectionStats::new(
            7,
            Side::Server,
            Arc::new(Peer::new(Address::Pipe, Address::Pipe)),
        );
        let (begun, time) = stats.epoch;
        let second = Duration::from_secs(1);
        let idle_since = |stats: &ConnectionStats| stats.snapshot().idle_since;
        assert_eq!(idle_since(&stats), Some(time));
        let mut counts = Counts::default();
        stats.publish(&counts, begun + second);
        assert_eq!(idle_since(&stats), Some(time), "nothing has happened");
        (counts.streams_started, counts.streams_open) = (1, 1);
        stats.publish(&counts, begun + 2 * second);
        assert_eq!(idle_since(&stats), None);
        counts.streams_open = 0;
        stats.publish(&counts, begun + 3 * second);
        stats.publish(&counts, begun + 4 * second);
        assert_eq!(idle_since(&stats), Some(time + 3 * second));
        // One that has begun and ended between two publications.
        counts.streams_started = 2;
        stats.publish(&counts, begun + 5 * second);
        assert_eq!(idle_since(&stats), Some(time + 5 * second));
        stats.set_max_age(begun + 60 * second);
        assert_eq!(stats.snapshot().max_age_at, Some(time + 60 * second));
    }

    /// An idle connection of a server has little more memory than this and its buffers.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn the_statistics_of_a_connection_are_192_bytes_at_most() {
        assert!(size_of::<ConnectionStats>() <= 192);
    }

    #[test]
    fn calls_succeed_with_ok_and_fail_with_another_status_or_without_a_complete_response() {
        let stats = ConnectionStats::new(
            7,
            Side::Server,
            Arc::new(Peer::new(Address::Pipe, Address::Pipe)),
        );
        let counts = Counts {
            streams_started: 10,
            streams_succeeded: 6,
            streams_open: 3,
            failed_responses: 2,
            ..Counts::default()
        };
        stats.publish(&counts, stats.epoch.0);
        let seen = |calls: CallCounts| (calls.started, calls.succeeded, calls.failed);
        assert_eq!(seen(stats.calls()), (10, 4, 3));
        assert_eq!(seen(stats.calls_at_end()), (10, 4, 6));
    }
}
