//! A connection: the state of all the parts, and what its owner can ask of it.

mod control;
mod error;
mod headers;
#[cfg(any(test, feature = "invariants"))]
mod invariants;
mod notice;
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
pub use send::Payload;
pub use stats::Stats;

use control::{ControlBacklog, Drain};
use headers::{KnownBlock, OpenBlock};
use notice::Notice;

/// What a client sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What an owner makes of a header list: a pure function of its fields, because for a block that
/// repeats its result is cloned and not asked for again. The list before is there to make use of.
pub type ReadHead<H> = fn(&[Field], Option<Before<'_, H>>) -> H;

/// What the owner made of the list before, which was of the same kind.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a, H> {
    /// What the owner made of it.
    pub head: &'a H,
    /// Where the new list differs from it.
    pub difference: Difference,
}

/// One end of an HTTP/2 connection.
///
/// `T` is what the owner keeps with each stream. `H` is what the owner's [`ReadHead`] makes of a
/// header list.
#[derive(Debug)]
pub struct Connection<T, H> {
    role: Role,
    config: Config,
    phase: Phase,
    read_head: ReadHead<H>,

    decoder: Decoder,
    known_blocks: BlockCache<KnownBlock<H>>,
    /// The fields of the block that was decoded last.
    fields: Vec<Field>,
    /// What they meant, if they were well-formed.
    last_block: Option<KnownBlock<H>>,
    open_block: Option<OpenBlock>,
    encoder: Encoder,

    peer: PeerSettings,
    /// The SETTINGS_HEADER_TABLE_SIZE of each of our SETTINGS that is not acknowledged.
    unacknowledged_settings: VecDeque<u32>,
    send_window: SendWindow,
    receive_window: ConnectionWindow,
    /// The window of a new stream that the peer sends on: grows with the estimate.
    stream_window: u32,
    bdp: Option<BdpEstimator>,

    streams: Store<T>,
    closed: RecentlyClosed,
    /// Open streams that we opened.
    local_streams: u32,
    /// Open streams that the peer opened.
    peer_streams: u32,
    next_local_id: u32,
    last_peer_id: u32,
    /// Streams in [`State::Queued`](super::stream::State::Queued), first come first served.
    waiting_to_open: VecDeque<StreamKey>,
    /// The stream whose last event was just reported: it goes when the next one is asked for.
    reported_end: Option<StreamKey>,
    notices: VecDeque<Notice>,

    scheduler: Scheduler,
    /// The octets of DATA that wait, of all streams.
    queued_octets: usize,
    output: Output,

    drain: Drain,
    /// The last stream of ours that the peer's GOAWAY lets live.
    peer_goaway: Option<u32>,
    pings_in_flight: u32,
    control_backlog: ControlBacklog,
    budgets: Budgets,
    /// The octets of DATA that may still arrive for streams that we reset: what their windows held.
    late_octets: u64,
    stall: StallWatch,
    stats: Stats,
}

/// How far the connection has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A server waits for the client's preface.
    Preface,
    /// The peer's first frame has to be SETTINGS.
    FirstSettings,
    /// Everything goes.
    Running,
    /// Nothing goes.
    Failed(ConnectionError),
}

impl<T, H: Clone> Connection<T, H> {
    /// The server's end. Its SETTINGS are in the output.
    pub fn server(config: Config, read_head: ReadHead<H>) -> Self {
        Self::new(Role::Server, config, read_head)
    }

    /// The client's end. Its preface and its SETTINGS are in the output; streams may be opened at
    /// once.
    pub fn client(config: Config, read_head: ReadHead<H>) -> Self {
        Self::new(Role::Client, config, read_head)
    }

    fn new(role: Role, config: Config, read_head: ReadHead<H>) -> Self {
        let config = config.in_range();
        let (phase, peer_limit) = match role {
            Role::Client => (Phase::FirstSettings, Some(config.initial_max_send_streams)),
            Role::Server => (Phase::Preface, None),
        };
        let mut connection = Self {
            role,
            phase,
            read_head,
            decoder: Decoder::new(config.header_table_size as usize),
            known_blocks: BlockCache::new(),
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
            notices: VecDeque::new(),
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
        connection.greet();
        connection
    }

    fn greet(&mut self) {
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

    /// What is to be written to the peer. Asking for it gives waiting streams their turns, until
    /// there is a batch: so write, and ask again until it is empty.
    pub fn output(&mut self) -> &mut Output {
        // GOAWAY for an error is the last frame there is.
        if self.failure().is_none() {
            self.take_turns();
        }
        &mut self.output
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let stall = self.stall.deadline(&self.config.budgets);
        match (self.drain.deadline(), stall) {
            (Some(drain), Some(stall)) => Some(drain.min(stall)),
            (drain, stall) => drain.or(stall),
        }
    }

    /// Does what is due by now; nothing if nothing is.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ConnectionError> {
        if let Phase::Failed(error) = self.phase {
            return Err(error);
        }
        self.drain_timeout(now);
        self.watch_for_stall(now)
    }

    /// What the owner keeps with a stream.
    #[inline]
    pub fn value_mut(&mut self, key: StreamKey) -> Option<&mut T> {
        self.streams.get_mut(key)?.value.as_mut()
    }

    /// Takes what the owner keeps with a stream, for instance on the stream's last event.
    #[inline]
    pub fn take_value(&mut self, key: StreamKey) -> Option<T> {
        self.streams.get_mut(key)?.value.take()
    }

    /// Keeps a value with a stream, until it is taken or the stream is gone. Returns the one kept
    /// before, or the given one if there is no such stream.
    #[inline]
    pub fn attach(&mut self, key: StreamKey, value: T) -> Option<T> {
        match self.streams.get_mut(key) {
            Some(stream) => stream.value.replace(value),
            None => Some(value),
        }
    }

    /// Every stream there is with its value, those that wait to be opened included.
    pub fn values_mut(&mut self) -> impl Iterator<Item = (StreamKey, &mut T)> {
        let streams = self.streams.iter_mut();
        streams.filter_map(|(key, stream)| Some((key, stream.value.as_mut()?)))
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What the peer has announced; the protocol's defaults until it has.
    pub fn peer_settings(&self) -> &PeerSettings {
        &self.peer
    }

    /// How many streams are open on the wire.
    pub fn open_streams(&self) -> usize {
        (self.local_streams + self.peer_streams) as usize
    }

    /// How many streams wait for the peer's limit.
    pub fn queued_streams(&self) -> usize {
        self.streams.len().saturating_sub(self.open_streams())
    }

    /// The connection's window for what this end sends, in octets: negative when the peer has made
    /// it smaller than what is in flight.
    pub fn send_window(&self) -> i64 {
        self.send_window.size()
    }

    /// The connection's window for what the peer sends, in octets.
    pub fn receive_window(&self) -> u32 {
        self.receive_window.available()
    }

    /// Counters, for introspection.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Gives back memory that is only held for speed. For a connection that has become idle.
    pub fn trim(&mut self) {
        self.decoder.trim();
        self.known_blocks.clear();
        self.fields = Vec::new();
        self.last_block = None;
        self.streams.trim();
        self.scheduler.trim();
        self.notices.shrink_to_fit();
        self.waiting_to_open.shrink_to_fit();
        self.output.trim();
    }

    /// What earns a peer its budgets.
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

    /// Whether the owner may still expect anything of this connection: the error, if not.
    pub fn failure(&self) -> Option<ConnectionError> {
        match self.phase {
            Phase::Failed(error) => Some(error),
            _ => None,
        }
    }
}
