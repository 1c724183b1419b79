//! What concerns the connection as a whole: SETTINGS, PING, GOAWAY, draining, failing.

use std::time::Instant;

use bytes::Bytes;

use crate::bdp;
use crate::budget;
use crate::error::{ConnectionError, ErrorCode, Fault};
use crate::event::Event;
use crate::frame::{GoAway, Head, MAX_STREAM_ID, Ping, Setting, SettingsFrame, WindowUpdate};
use crate::role::Role;
use crate::stream::StreamKey;

use super::{Connection, Phase};

/// The PING that asks whether all requests in flight have arrived: the payload by which gRPC
/// implementations know it.
const DRAIN_PING: [u8; 8] = [0x01, 0x06, 0x01, 0x08, 0x00, 0x03, 0x03, 0x09];

/// How far this end has got with closing the connection gracefully.
///
/// ```text
///           drain()              PING acknowledged, or drain_timeout
///   +-----+         +-----------+                    +-------+
///   | Off | ------> | Announced | -----------------> | Final |
///   +-----+         +-----------+                    +-------+
///      |   goaway(), drain() on a client, an error       ^
///      +-------------------------------------------------+
/// ```
#[derive(Clone, Debug)]
pub(super) enum Drain {
    /// Not at all.
    Off,
    /// GOAWAY with the highest id there is: the peer opens no more streams, but those in flight
    /// still count.
    Announced {
        /// When the answer to the PING is no longer waited for.
        deadline: Instant,
        /// The debug data of both GOAWAYs.
        debug: Bytes,
    },
    /// GOAWAY with the last stream that was taken up: later ones are ignored.
    Final {
        /// That stream.
        last_id: u32,
    },
}

impl Drain {
    /// Whether it has begun.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// The last stream that is taken up, once that is decided.
    #[inline]
    pub(super) fn last_id(&self) -> Option<u32> {
        match self {
            Self::Final { last_id } => Some(*last_id),
            Self::Off | Self::Announced { .. } => None,
        }
    }

    /// When it goes on by itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Announced { deadline, .. } => Some(*deadline),
            Self::Off | Self::Final { .. } => None,
        }
    }
}

/// How many frames that the peer made us send wait for it to read.
///
/// They are counted in two generations, parted by a place in the output: when that place is
/// written, the older ones are. So the count is never too low, and catches up with every write.
#[derive(Debug, Default)]
pub(super) struct ControlBacklog {
    older: u32,
    newer: u32,
    /// The place after the older ones.
    boundary: u64,
}

impl ControlBacklog {
    /// One more, at the end of the output. Returns how many wait.
    fn push(&mut self, written: u64, end: u64) -> u32 {
        if written >= self.boundary {
            self.older = if written == end { 0 } else { self.newer };
            self.newer = 0;
            self.boundary = end;
        }
        self.newer += 1;
        self.older + self.newer
    }
}

impl<T, H: Clone> Connection<T, H> {
    /// Sends a PING. [`Event::Pong`] brings the payload back. Several may be in flight; the two
    /// payloads that gRPC uses for measuring bandwidth and for draining are the connection's own.
    pub fn ping(&mut self, payload: [u8; 8]) {
        let ping = Ping {
            ack: false,
            payload,
        };
        ping.write(self.output.buffer());
        self.pings_in_flight += 1;
        self.stats.pings_sent += 1;
    }

    /// Sends GOAWAY, with the last stream that was taken up: later ones of the peer are ignored from
    /// here on. Streams that are open go on. Whoever wants to close the connection for an error
    /// writes the output and closes.
    pub fn goaway(&mut self, code: ErrorCode, debug_data: &[u8]) {
        let last_id = self.last_taken_up();
        self.drain = Drain::Final { last_id };
        let goaway = GoAway {
            last_stream_id: last_id,
            code,
            debug_data,
        };
        goaway.write(self.output.buffer());
    }

    /// Begins to close the connection gracefully; [`is_drained`](Self::is_drained) tells the end. A
    /// server does it in two steps (RFC 9113 section 6.8), so that no request in flight is lost: it
    /// announces that it will stop, and stops when a PING tells that the announcement has arrived,
    /// or after [`drain_timeout`](crate::Config::drain_timeout). Does nothing if it has begun
    /// already.
    pub fn drain(&mut self, debug: Bytes, now: Instant) {
        if self.drain.is_on() {
            return;
        }
        if self.role == Role::Client {
            return self.goaway(ErrorCode::NO_ERROR, &debug);
        }
        let out = self.output.buffer();
        let goaway = GoAway {
            last_stream_id: MAX_STREAM_ID,
            code: ErrorCode::NO_ERROR,
            debug_data: &debug,
        };
        goaway.write(out);
        let ping = Ping {
            ack: false,
            payload: DRAIN_PING,
        };
        ping.write(out);
        self.stats.pings_sent += 1;
        let deadline = now + self.config.drain_timeout;
        self.drain = Drain::Announced { deadline, debug };
    }

    /// Whether either end has said that there will be no new streams, and none is left.
    pub fn is_drained(&self) -> bool {
        let no_more = self.drain.last_id().is_some() || self.peer_goaway.is_some();
        no_more && self.streams.len() == 0
    }

    /// The second step of a server's drain.
    fn finish_drain(&mut self) {
        if let Drain::Announced { debug, .. } = &self.drain {
            let debug = debug.clone();
            self.goaway(ErrorCode::NO_ERROR, &debug);
        }
    }

    /// The second step, if its time has come.
    pub(super) fn drain_timeout(&mut self, now: Instant) {
        if self
            .drain
            .deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.finish_drain();
        }
    }

    /// Fails the connection if too much DATA has waited for too long.
    #[inline]
    pub(super) fn watch_for_stall(&mut self, now: Instant) -> Result<(), ConnectionError> {
        if self.role == Role::Client {
            return Ok(());
        }
        let budgets = &self.config.budgets;
        let sent = self.stats.octets_sent;
        match self.stall.observe(budgets, self.queued_octets, sent, now) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Ends the connection: GOAWAY is the last thing it sends.
    #[cold]
    pub(super) fn fail(&mut self, error: ConnectionError) -> ConnectionError {
        self.goaway(error.code, error.reason.as_bytes());
        self.phase = Phase::Failed(error);
        error
    }

    /// Counts a frame that the peer made us send.
    pub(super) fn count_control_frame(&mut self) -> Result<(), ConnectionError> {
        let (written, end) = (self.output.total_written(), self.output.end());
        if self.control_backlog.push(written, end) > self.config.budgets.queued_control {
            return Err(budget::spent("queued_control"));
        }
        Ok(())
    }

    /// RFC 9113 section 6.5.
    pub(super) fn settings(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let frame = SettingsFrame::parse(head, payload)?;
        if frame == SettingsFrame::Ack {
            let Some(table_size) = self.unacknowledged_settings.pop_front() else {
                self.spend(|budgets| &mut budgets.settings, now)?;
                return Ok(None);
            };
            self.decoder.settings_acknowledged(table_size as usize);
            return Ok(Some(Event::SettingsAcked));
        }
        self.spend(|budgets| &mut budgets.settings, now)?;
        if self.phase == Phase::FirstSettings {
            self.phase = Phase::Running;
            self.peer.max_concurrent_streams = None;
        }
        let window_before = self.peer.initial_window_size;
        for setting in frame.parameters() {
            self.peer.apply(setting, self.role)?;
            if setting.id == Setting::HEADER_TABLE_SIZE {
                self.encoder.set_size_limit(setting.value as usize);
            }
        }
        let window_change = i64::from(self.peer.initial_window_size) - i64::from(window_before);
        self.adjust_send_windows(window_change)?;
        self.count_control_frame()?;
        SettingsFrame::write_ack(self.output.buffer());
        self.open_waiting();
        Ok(Some(Event::PeerSettings))
    }

    /// RFC 9113 section 6.9.2.
    fn adjust_send_windows(&mut self, change: i64) -> Result<(), ConnectionError> {
        if change == 0 {
            return Ok(());
        }
        let mut opened = Vec::new();
        for (key, stream) in self.streams.iter_mut() {
            if stream.send_window.adjust(change).is_err() {
                return Err(ConnectionError {
                    code: ErrorCode::FLOW_CONTROL_ERROR,
                    reason: "a stream's window exceeds 2^31-1",
                });
            }
            if !stream.queue.is_empty() {
                opened.push(key);
            }
        }
        for key in opened {
            self.schedule(key);
        }
        Ok(())
    }

    /// RFC 9113 section 6.7.
    pub(super) fn ping_frame(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let Ping { ack, payload } = Ping::parse(head, payload)?;
        if ack {
            return self.pong(payload, now);
        }
        self.spend(|budgets| &mut budgets.pings, now)?;
        self.count_control_frame()?;
        Ping { ack: true, payload }.write(self.output.buffer());
        self.stats.pings_received += 1;
        Ok(Some(Event::Ping { payload }))
    }

    fn pong(&mut self, payload: [u8; 8], now: Instant) -> Result<Option<Event<H>>, Fault> {
        if payload == bdp::PING
            && let Some(bdp) = &mut self.bdp
            && bdp.is_running()
        {
            if let Some(window) = bdp.acknowledged(now) {
                self.raise_windows(window);
            }
            return Ok(None);
        }
        if payload == DRAIN_PING && self.drain.deadline().is_some() {
            self.finish_drain();
            return Ok(None);
        }
        if self.pings_in_flight == 0 {
            self.spend(|budgets| &mut budgets.pings, now)?;
            return Ok(None);
        }
        self.pings_in_flight -= 1;
        Ok(Some(Event::Pong { payload }))
    }

    /// Raises the connection's window and those of all streams, present and future.
    fn raise_windows(&mut self, window: u32) {
        let out = self.output.buffer();
        if let Some(increment) = self.receive_window.raise(window) {
            WindowUpdate { increment }.write(0, out);
        }
        if window <= self.stream_window {
            return;
        }
        self.stream_window = window;
        for (_, stream) in self.streams.iter_mut() {
            stream.receive_window.raise(window);
        }
        let setting = Setting {
            id: Setting::INITIAL_WINDOW_SIZE,
            value: window,
        };
        SettingsFrame::write(&[setting], out);
        self.unacknowledged_settings
            .push_back(self.config.header_table_size);
    }

    /// RFC 9113 section 6.8.
    pub(super) fn goaway_frame(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let frame = GoAway::parse(head, payload)?;
        let last_id = frame.last_stream_id;
        if let Some(before) = self.peer_goaway {
            self.spend(|budgets| &mut budgets.ignored_frames, now)?;
            if last_id > before {
                return Err(Fault::connection(
                    ErrorCode::PROTOCOL_ERROR,
                    "GOAWAY with a higher stream id than before",
                ));
            }
        }
        if last_id != 0 && !self.role.opens(last_id) {
            return Err(Fault::connection(
                ErrorCode::PROTOCOL_ERROR,
                "GOAWAY with a stream id of its sender",
            ));
        }
        self.peer_goaway = Some(last_id);
        self.refuse_waiting();
        let mut lost: Vec<(u32, StreamKey)> = Vec::new();
        for (key, stream) in self.streams.iter_mut() {
            if self.role.opens(stream.id) && stream.id > last_id {
                lost.push((stream.id, key));
            }
        }
        lost.sort_unstable_by_key(|&(id, _)| id);
        for (_, key) in lost {
            self.refuse(key);
        }
        Ok(Some(Event::GoAway {
            last_id,
            code: frame.code,
            debug: Bytes::copy_from_slice(frame.debug_data),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_counts_what_is_not_written() {
        let mut backlog = ControlBacklog::default();
        // Nothing is written: every frame waits.
        for count in 1..=5 {
            assert_eq!(backlog.push(0, 10 * u64::from(count)), count);
        }
        // All of it is written.
        assert_eq!(backlog.push(60, 60), 1);
        // What is never written to the end is still forgotten by and by.
        let mut end = 70;
        for _ in 0..1_000 {
            let count = backlog.push(end - 100_u64.min(end), end);
            assert!(count <= 21, "{count}");
            end += 10;
        }
    }
}
