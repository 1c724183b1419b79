//! Frames and operations of the whole connection: SETTINGS, PING, GOAWAY, drain and failure.

use std::time::Instant;

use bytes::Bytes;

use crate::bdp;
use crate::budget::{self, BudgetKind};
use crate::error::{ConnectionError, ErrorCode, Fault};
use crate::event::Event;
use crate::frame::{GoAway, Head, MAX_STREAM_ID, Ping, Setting, SettingsFrame, WindowUpdate};
use crate::role::Role;
use crate::stream::StreamKey;

use super::{Connection, ConnectionPhase};

/// The payload of the PING that a drain sends. All gRPC implementations use it for this purpose.
const DRAIN_PING: [u8; 8] = [0x01, 0x06, 0x01, 0x08, 0x00, 0x03, 0x03, 0x09];

/// The state of this end's graceful close.
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
    /// There is no graceful close.
    Off,
    /// We sent GOAWAY with the maximum stream id. The peer opens no more streams, but streams in
    /// flight are still accepted.
    Announced {
        /// The time at which the drain continues without the acknowledgement of the PING.
        deadline: Instant,
        /// The debug data of both GOAWAYs.
        debug: Bytes,
    },
    /// We sent GOAWAY with the last accepted stream. Later streams are ignored.
    Final {
        /// The id of the last accepted stream.
        last_id: u32,
    },
}

impl Drain {
    /// Returns `true` if the drain has begun.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Returns the id of the last accepted stream, once it is final.
    #[inline]
    pub(super) fn last_id(&self) -> Option<u32> {
        match self {
            Self::Final { last_id } => Some(*last_id),
            Self::Off | Self::Announced { .. } => None,
        }
    }

    /// Returns the time at which the drain continues without an acknowledgement.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Announced { deadline, .. } => Some(*deadline),
            Self::Off | Self::Final { .. } => None,
        }
    }
}

/// The number of waiting frames that the peer caused, such as acknowledgements.
///
/// The frames are counted in two generations, separated by a position in the output. When the
/// output is written up to that position, the older generation is written. So the count is never
/// too low, and writes reduce it.
#[derive(Debug, Default)]
pub(super) struct ControlBacklog {
    older: u32,
    newer: u32,
    /// The position behind the older generation, in octets since the connection was created.
    boundary: u64,
}

impl ControlBacklog {
    /// Counts one more frame at the end of the output. Returns the number of waiting frames.
    ///
    /// `written` and `end` are the positions of the first waiting octet and of the end of the
    /// output.
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
    /// Sends a PING (RFC 9113 section 6.7). The acknowledgement causes [`Event::Pong`].
    ///
    /// Several PINGs may be in flight. Two payloads are reserved for the connection itself, which
    /// uses them as other gRPC implementations do: 0204_1010_090e_0707 to measure the bandwidth and
    /// 0106_0108_0003_0309 to drain.
    pub fn ping(&mut self, payload: [u8; 8]) {
        let ping = Ping {
            ack: false,
            payload,
        };
        ping.write(self.output.buffer());
        self.pings_in_flight += 1;
        self.stats.pings_sent += 1;
    }

    /// Sends GOAWAY with the last accepted stream (RFC 9113 section 6.8).
    ///
    /// Later streams of the peer are ignored; open streams continue. To close the connection for an
    /// error, write the output afterwards and close the socket.
    pub fn goaway(&mut self, code: ErrorCode, debug_data: &[u8]) {
        let last_id = self.last_accepted();
        self.drain = Drain::Final { last_id };
        let goaway = GoAway {
            last_stream_id: last_id,
            code,
            debug_data,
        };
        goaway.write(self.output.buffer());
    }

    /// Begins a graceful close of the connection. Does nothing if it has already begun.
    ///
    /// A server closes in two steps (RFC 9113 section 6.8), so that no request in flight is lost.
    /// It sends a GOAWAY with the maximum stream id and a PING. When the PING is acknowledged, or
    /// after [`drain_timeout`](crate::Config::drain_timeout), it sends a GOAWAY with the last
    /// accepted stream. A client sends one GOAWAY. [`is_drained`](Self::is_drained) reports the
    /// end. `debug` is the debug data of the GOAWAYs.
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

    /// Returns `true` once either end has begun to close the connection by a GOAWAY: no new stream
    /// begins.
    pub fn is_draining(&self) -> bool {
        self.drain.is_on() || self.peer_goaway.is_some()
    }

    /// Returns `true` if either end has sent its final GOAWAY and no stream is left.
    pub fn is_drained(&self) -> bool {
        let no_more = self.drain.last_id().is_some() || self.peer_goaway.is_some();
        no_more && self.streams.len() == 0
    }

    /// Takes the second step of a server's drain.
    fn finish_drain(&mut self) {
        if let Drain::Announced { debug, .. } = &self.drain {
            let debug = debug.clone();
            self.goaway(ErrorCode::NO_ERROR, &debug);
        }
    }

    /// Takes the second step if its deadline has passed.
    pub(super) fn drain_timeout(&mut self, now: Instant) {
        if self
            .drain
            .deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.finish_drain();
        }
    }

    /// Fails a server's connection if too much DATA has waited for too long.
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

    /// Ends the connection with a GOAWAY, which is the last frame.
    #[cold]
    pub(super) fn fail(&mut self, error: ConnectionError) -> ConnectionError {
        self.goaway(error.code, error.reason.as_bytes());
        self.phase = ConnectionPhase::Failed(error);
        error
    }

    /// Counts a frame that the peer caused. Fails if too many wait.
    pub(super) fn count_control_frame(&mut self) -> Result<(), ConnectionError> {
        let (written, end) = (self.output.total_written(), self.output.end());
        if self.control_backlog.push(written, end) > self.config.budgets.queued_control {
            return Err(budget::spent("queued_control"));
        }
        Ok(())
    }

    /// Handles SETTINGS (RFC 9113 section 6.5).
    pub(super) fn settings(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let frame = SettingsFrame::parse(head, payload)?;
        if frame == SettingsFrame::Ack {
            let Some(table_size) = self.unacknowledged_settings.pop_front() else {
                self.spend(BudgetKind::Settings, now)?;
                return Ok(None);
            };
            self.decoder.settings_acknowledged(table_size as usize);
            return Ok(Some(Event::SettingsAcked));
        }
        self.spend(BudgetKind::Settings, now)?;
        if self.phase == ConnectionPhase::FirstSettings {
            self.phase = ConnectionPhase::Running;
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

    /// Changes the send windows of all streams (RFC 9113 section 6.9.2).
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

    /// Handles PING (RFC 9113 section 6.7).
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
        self.spend(BudgetKind::Pings, now)?;
        self.count_control_frame()?;
        Ping { ack: true, payload }.write(self.output.buffer());
        self.stats.pings_received += 1;
        Ok(Some(Event::Ping { payload }))
    }

    /// Handles the acknowledgement of a PING.
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
            self.spend(BudgetKind::Pings, now)?;
            return Ok(None);
        }
        self.pings_in_flight -= 1;
        Ok(Some(Event::Pong { payload }))
    }

    /// Raises the receive windows of the connection and of all present and future streams.
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

    /// Handles GOAWAY (RFC 9113 section 6.8).
    pub(super) fn goaway_frame(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event<H>>, Fault> {
        let frame = GoAway::parse(head, payload)?;
        let last_id = frame.last_stream_id;
        if let Some(before) = self.peer_goaway {
            self.spend(BudgetKind::IgnoredFrames, now)?;
            if last_id > before {
                return Err(Fault::connection(
                    ErrorCode::PROTOCOL_ERROR,
                    "GOAWAY with a higher stream id than the previous one",
                ));
            }
        }
        if last_id != 0 && !self.role.opens(last_id) {
            return Err(Fault::connection(
                ErrorCode::PROTOCOL_ERROR,
                "GOAWAY with a stream id that its sender opens",
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
    fn a_backlog_counts_unwritten_frames() {
        let mut backlog = ControlBacklog::default();
        // Nothing is written, so every frame waits.
        for count in 1..=5 {
            assert_eq!(backlog.push(0, 10 * u64::from(count)), count);
        }
        // Everything is written.
        assert_eq!(backlog.push(60, 60), 1);
        // The output is never empty, but old frames are written.
        let mut end = 70;
        for _ in 0..1_000 {
            let count = backlog.push(end - 100_u64.min(end), end);
            assert!(count <= 21, "{count}");
            end += 10;
        }
    }
}
