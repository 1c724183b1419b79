//! A connection: its state and its accessors. Each submodule adds one group of functions.

mod control;
mod error;
mod headers;
#[cfg(any(test, feature = "invariants"))]
mod invariants;
mod pending_events;
mod receive;
mod send;
mod stats;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use super::bdp::BdpEstimator;
use super::budget::{Budgets, Progress, StallWatch};
use super::config::Config;
use super::error::ConnectionError;
use super::flow::{ConnectionWindow, DEFAULT_WINDOW, SendWindow};
use super::frame::{SettingsFrame, WindowUpdate};
use super::hpack::{BlockCache, Decoder, Difference, Encoder, Field};
use super::output::Output;
use super::role::Role;
use super::scheduler::Scheduler;
use super::settings::{self, PeerSettings};
use super::stream::{RecentlyClosed, Store, StreamKey};

pub use error::{OpenError, SendError};
pub use send::Content;
pub use stats::Stats;

use control::{ControlBacklog, Drain};
use headers::{CachedBlock, OpenBlock};
use pending_events::PendingEvent;

/// The connection preface: the first octets that a client sends (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The owner's function that converts a header list into its own form `H`.
///
/// It must be a pure function of the fields: for a repeated header block, the connection clones the
/// previous result instead of calling it. The second argument is the previous result for a list of
/// the same kind, if there is one, which the function may reuse.
pub type ReadHead<H> = fn(&[Field], Option<PreviousHead<'_, H>>) -> H;

/// The result of [`ReadHead`] for the previous header list, which was of the same kind.
#[derive(Clone, Copy, Debug)]
pub struct PreviousHead<'a, H> {
    /// The owner's form of the previous list.
    pub head: &'a H,
    /// The difference between the previous list and the new one.
    pub difference: Difference,
}

/// One end of an HTTP/2 connection (RFC 9113), without IO.
///
/// `T` is the owner's value of each stream. `H` is the owner's form of a header list, see
/// [`ReadHead`]. See the [crate's documentation](crate) for the loop that drives a connection.
#[derive(Debug)]
pub struct Connection<T, H> {
    role: Role,
    config: Config,
    phase: ConnectionPhase,
    read_head: ReadHead<H>,

    decoder: Decoder,
    cached_blocks: BlockCache<CachedBlock<H>>,
    /// The fields of the last decoded block.
    fields: Vec<Field>,
    /// The result of the last decoded block, if it was well-formed.
    last_block: Option<CachedBlock<H>>,
    open_block: Option<OpenBlock>,
    encoder: Encoder,

    peer: PeerSettings,
    /// The SETTINGS_HEADER_TABLE_SIZE of each of our unacknowledged SETTINGS.
    unacknowledged_settings: VecDeque<u32>,
    send_window: SendWindow,
    receive_window: ConnectionWindow,
    /// The receive window of a new stream, in octets. It grows with the estimate of `bdp`.
    stream_window: u32,
    bdp: Option<BdpEstimator>,

    streams: Store<T>,
    closed: RecentlyClosed,
    /// The number of open streams that we opened.
    local_streams: u32,
    /// The number of open streams that the peer opened.
    peer_streams: u32,
    next_local_id: u32,
    last_peer_id: u32,
    /// The streams in [`State::Queued`](super::stream::State::Queued), in order.
    waiting_to_open: VecDeque<StreamKey>,
    /// The stream whose last event was just reported. The next call of `next_event` removes it.
    reported_end: Option<StreamKey>,
    pending_events: VecDeque<PendingEvent>,

    scheduler: Scheduler,
    /// The number of queued octets of DATA of all streams.
    queued_octets: usize,
    output: Output,

    drain: Drain,
    /// The last stream id of the peer's GOAWAY.
    peer_goaway: Option<u32>,
    pings_in_flight: u32,
    control_backlog: ControlBacklog,
    budgets: Budgets,
    /// The number of octets of DATA that may still arrive on streams that we reset: the sum of
    /// their windows.
    late_octets: u64,
    stall: StallWatch,
    stats: Stats,
}

/// The phase of a connection.
///
/// ```text
///   server --> Preface --> FirstSettings --> Running
///   client -------------------^                |
///                an error in any phase --> Failed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    /// The server waits for the client's preface.
    Preface,
    /// The next frame of the peer must be SETTINGS.
    FirstSettings,
    /// All frames are allowed.
    Running,
    /// The connection has ended with this error.
    Failed(ConnectionError),
}

impl<T, H: Clone> Connection<T, H> {
    /// Creates the server's end of a connection. The output contains its SETTINGS.
    pub fn server(config: Config, read_head: ReadHead<H>) -> Self {
        Self::new(Role::Server, config, read_head)
    }

    /// Creates the client's end of a connection. The output contains its preface and SETTINGS.
    ///
    /// Streams may be opened immediately, before the server's SETTINGS arrive.
    pub fn client(config: Config, read_head: ReadHead<H>) -> Self {
        Self::new(Role::Client, config, read_head)
    }

    fn new(role: Role, config: Config, read_head: ReadHead<H>) -> Self {
        let config = config.in_range();
        let (phase, peer_limit) = match role {
            Role::Client => (
                ConnectionPhase::FirstSettings,
                Some(config.initial_max_send_streams),
            ),
            Role::Server => (ConnectionPhase::Preface, None),
        };
        let mut connection = Self {
            role,
            phase,
            read_head,
            decoder: Decoder::new(config.header_table_size as usize),
            cached_blocks: BlockCache::new(),
            fields: Vec::new(),
            last_block: None,
            open_block: None,
            encoder: Encoder::new(),
            peer: PeerSettings::initial(peer_limit),
            unacknowledged_settings: VecDeque::from([config.header_table_size]),
            send_window: SendWindow::new(DEFAULT_WINDOW),
            receive_window: ConnectionWindow::new(config.connection_window),
            stream_window: config.stream_window,
            bdp: config.bdp_estimation.then(BdpEstimator::new),
            streams: Store::new(),
            closed: RecentlyClosed::default(),
            local_streams: 0,
            peer_streams: 0,
            next_local_id: 1,
            last_peer_id: 0,
            waiting_to_open: VecDeque::new(),
            reported_end: None,
            pending_events: VecDeque::new(),
            scheduler: Scheduler::default(),
            queued_octets: 0,
            output: Output::default(),
            drain: Drain::Off,
            peer_goaway: None,
            pings_in_flight: 0,
            control_backlog: ControlBacklog::default(),
            budgets: Budgets::new(&config.budgets),
            late_octets: 0,
            stall: StallWatch::default(),
            stats: Stats::default(),
            config,
        };
        connection.write_preface();
        connection
    }

    fn write_preface(&mut self) {
        let out = self.output.buffer();
        if self.role == Role::Client {
            out.extend_from_slice(PREFACE);
        }
        SettingsFrame::write(&settings::announced(&self.config, self.role), out);
        let increment = self.config.connection_window - DEFAULT_WINDOW;
        if increment > 0 {
            WindowUpdate { increment }.write(0, out);
        }
    }

    /// Returns the octets to write to the peer.
    ///
    /// Each call adds queued DATA of waiting streams, up to
    /// [`output_batch`](crate::Config::output_batch). So write the output and call this function
    /// again until the output is empty.
    pub fn output(&mut self) -> &mut Output {
        // After an error, the GOAWAY is the last frame.
        if self.failure().is_none() {
            self.take_turns();
        }
        &mut self.output
    }

    /// Returns the time at which to call [`handle_timeout`](Self::handle_timeout), or `None` if
    /// there is no deadline. Other calls can change it.
    pub fn next_deadline(&self) -> Option<Instant> {
        let stall = self.stall.deadline(&self.config.budgets);
        match (self.drain.deadline(), stall) {
            (Some(drain), Some(stall)) => Some(drain.min(stall)),
            (drain, stall) => drain.or(stall),
        }
    }

    /// Handles the deadlines that have passed: the second GOAWAY of a drain, and a stall of the
    /// peer.
    ///
    /// # Errors
    ///
    /// Returns the error of a failed connection, or ENHANCE_YOUR_CALM if DATA has waited for longer
    /// than [`stall`](crate::BudgetConfig::stall).
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ConnectionError> {
        if let ConnectionPhase::Failed(error) = self.phase {
            return Err(error);
        }
        self.drain_timeout(now);
        self.watch_for_stall(now)
    }

    /// Returns the owner's value of a stream, or `None` if there is no such stream or value.
    #[inline]
    pub fn value_mut(&mut self, key: StreamKey) -> Option<&mut T> {
        self.streams.get_mut(key)?.value.as_mut()
    }

    /// Removes and returns the owner's value of a stream, usually on the stream's last event.
    #[inline]
    pub fn take_value(&mut self, key: StreamKey) -> Option<T> {
        self.streams.get_mut(key)?.value.take()
    }

    /// Sets the owner's value of a stream. The stream holds it until it is taken or the stream
    /// ends.
    ///
    /// Returns the previous value, or the given value if there is no such stream.
    #[inline]
    pub fn set_value(&mut self, key: StreamKey, value: T) -> Option<T> {
        match self.streams.get_mut(key) {
            Some(stream) => stream.value.replace(value),
            None => Some(value),
        }
    }

    /// Returns an iterator over all streams that have a value, including streams that wait to be
    /// opened.
    pub fn values_mut(&mut self) -> impl Iterator<Item = (StreamKey, &mut T)> {
        let streams = self.streams.iter_mut();
        streams.filter_map(|(key, stream)| Some((key, stream.value.as_mut()?)))
    }

    /// Returns the role of this end.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the settings of the peer, with the protocol's defaults until the peer announces
    /// others.
    pub fn peer_settings(&self) -> &PeerSettings {
        &self.peer
    }

    /// Returns the number of open streams on the wire.
    pub fn open_streams(&self) -> usize {
        (self.local_streams + self.peer_streams) as usize
    }

    /// Returns the number of streams that wait for the peer's limit of concurrent streams.
    pub fn queued_streams(&self) -> usize {
        self.streams.len().saturating_sub(self.open_streams())
    }

    /// Returns the connection's send window, in octets: the number that may still be sent.
    ///
    /// Only WINDOW_UPDATE frames change it besides sending (RFC 9113 section 6.9.2).
    pub fn send_window(&self) -> i64 {
        self.send_window.size()
    }

    /// Returns the connection's receive window, in octets: the number that the peer may still send.
    pub fn receive_window(&self) -> u32 {
        self.receive_window.available()
    }

    /// Returns the counters of the connection.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Frees memory that is only held for speed. Call it when the connection becomes idle.
    pub fn shrink(&mut self) {
        self.decoder.shrink();
        self.cached_blocks.clear();
        self.fields = Vec::new();
        self.last_block = None;
        self.streams.shrink();
        self.scheduler.shrink();
        self.pending_events.shrink_to_fit();
        self.waiting_to_open.shrink_to_fit();
        self.output.shrink();
    }

    /// Returns the traffic from which the earnings of the budgets are computed.
    fn progress(&self) -> Progress {
        let stats = &self.stats;
        Progress {
            frames: stats.content_frames(),
            headers_sent: stats.headers_sent,
            octets_sent: stats.octets_sent,
            streams: stats.streams_ended,
            reset: stats.streams_reset + stats.streams_refused,
        }
    }

    /// Returns the error that ended the connection, if any.
    #[inline]
    pub fn failure(&self) -> Option<ConnectionError> {
        match self.phase {
            ConnectionPhase::Failed(error) => Some(error),
            _ => None,
        }
    }
}
