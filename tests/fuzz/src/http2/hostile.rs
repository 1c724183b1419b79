//! One end of a connection, whose peer sends anything at all.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::{Choices, Fields, Written, config, field, keep_fields, response, trailers};
use rgrpc_http2::PREFACE;
use rgrpc_http2::frame::{Head, Kind, SettingsFrame, flag};
use rgrpc_http2::{
    Allowance, Block, BudgetConfig, Config, Connection, ConnectionError, ErrorCode, Event,
    HeadKind, Reading, Role, StaticBlock, StreamKey,
};

/// The longest frame that the core receives here: the protocol's default.
const MAX_FRAME: usize = 16_384;

/// The longest frame that it may send here, for any peer: the maximum of every [`config`].
const MAX_SENT_FRAME: usize = 1 << 20;

/// The core under test and the owner it reports to.
pub(super) struct Hostile<'a> {
    choices: Choices<'a>,
    config: Config,
    core: Connection<u32, Fields>,
    input: BytesMut,
    /// The DATA frame whose content is taken past the input, and how much of it is to come.
    arriving: Option<(Head, usize)>,
    now: Instant,
    /// The streams that the owner knows of; it may still name those that are gone.
    keys: Vec<StreamKey>,
    written: Written,
    received_octets: usize,
    /// The number of the owner's actions.
    actions: usize,
    /// Content that the owner has given to be sent.
    content_octets: u64,
    /// Content that the core has reported and the owner has not released.
    held_octets: u64,
}

impl<'a> Hostile<'a> {
    pub(super) fn new(role: Role, mut choices: Choices<'a>) -> Self {
        let config = Config {
            budgets: budgets(&mut choices),
            ..config(&mut choices)
        };
        let core = match role {
            Role::Client => Connection::client(config.clone(), keep_fields),
            Role::Server => Connection::server(config.clone(), keep_fields),
        };
        let mut hostile = Self {
            core,
            config,
            input: BytesMut::new(),
            arriving: None,
            now: Instant::now(),
            keys: Vec::new(),
            written: Written::new(role == Role::Client, MAX_SENT_FRAME),
            received_octets: 0,
            actions: 0,
            content_octets: 0,
            held_octets: 0,
            choices,
        };
        if hostile.choices.flag() {
            hostile.greet();
        }
        hostile
    }

    /// Sends the preface and SETTINGS, because most faults come after them.
    fn greet(&mut self) {
        let mut octets = Vec::new();
        if self.core.role() == Role::Server {
            octets.extend_from_slice(PREFACE);
        }
        SettingsFrame::write(&[], &mut octets);
        SettingsFrame::write_ack(&mut octets);
        self.peer_sends(&octets);
    }

    /// Does what the choices say, until there are no more or the connection fails.
    pub(super) fn run(mut self) {
        while !self.choices.is_empty() {
            let outcome = match self.choices.octet() % 32 {
                0..14 => {
                    self.receive();
                    self.take_events()
                }
                14 => {
                    let time = Duration::from_millis(u64::from(self.choices.short()));
                    self.now += time;
                    self.core.handle_timeout(self.now)
                }
                15 | 16 => {
                    let count = self.choices.length();
                    self.write(count);
                    Ok(())
                }
                17 => self.take_events(),
                action => {
                    self.act(action);
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                return self.failed(error);
            }
            self.check();
        }
    }

    /// The peer sends something.
    fn receive(&mut self) {
        let id = u32::from(self.choices.octet() % 16);
        match self.choices.octet() % 4 {
            0 => {
                let octets = self.choices.string();
                self.peer_sends(octets);
            }
            1 => {
                let kind = Kind::from_octet(self.choices.octet() % 11);
                let (flags, payload) = (self.choices.octet(), self.choices.string());
                self.peer_sends_frame(kind, flags, id, payload);
            }
            2 => {
                let content = vec![0; self.choices.length().min(MAX_FRAME)];
                let flags = self.choices.octet() & (flag::END_STREAM | flag::PADDED);
                self.peer_sends_frame(Kind::Data, flags, id, &content);
            }
            _ => {
                let block = match (self.core.role(), self.choices.flag()) {
                    (_, true) => trailers(),
                    (Role::Client, _) => response(),
                    (Role::Server, _) => request(),
                };
                let flags = self.choices.octet() & flag::END_STREAM | flag::END_HEADERS;
                self.peer_sends_frame(Kind::Headers, flags, id, block.octets());
            }
        }
    }

    fn peer_sends_frame(&mut self, kind: Kind, flags: u8, id: u32, payload: &[u8]) {
        let head = Head::new(kind, flags, id, payload.len());
        self.peer_sends(&head.octets());
        self.peer_sends(payload);
    }

    fn peer_sends(&mut self, mut octets: &[u8]) {
        self.received_octets += octets.len();
        if let Some((_, left)) = &mut self.arriving {
            let (content, rest) = octets.split_at((*left).min(octets.len()));
            *left -= content.len();
            octets = rest;
        }
        self.input.extend_from_slice(octets);
    }

    /// Takes what the core reports until it has nothing more.
    fn take_events(&mut self) -> Result<(), ConnectionError> {
        // A frame makes an event at most, and so does an action; a stream is opened or refused.
        let mut most = self.input.len() / Head::LEN + self.actions + 2 * self.keys.len();
        match self.arriving.take_if(|(_, left)| *left == 0) {
            Some((head, _)) => {
                if let Some(event) = self.core.content_arrived(head, self.now)? {
                    if let Event::Data { .. } = event {
                        self.held_octets += head.length as u64;
                    }
                    self.event(event);
                }
            }
            None if self.arriving.is_some() => return Ok(()),
            None => {}
        }
        while let Some(event) = self.core.next_event(&mut self.input, self.now)? {
            most = most.checked_sub(1).expect("events out of nothing");
            self.event(event);
        }
        if let Some((head, key)) = self.core.partial_content(&self.input)
            && self.choices.flag()
        {
            assert!(
                self.core.value_mut(key).is_some(),
                "the owner knows the stream"
            );
            let come = self.input.len() - Head::LEN;
            self.arriving = Some((head, head.length - come));
            self.input.clear();
        }
        // The rest is the front of a frame, once the client's preface is whole.
        let greeted = self.core.role() == Role::Client || self.received_octets >= PREFACE.len();
        if let (true, Some(&head)) = (greeted, self.input.first_chunk()) {
            let head = Head::parse(head);
            assert!(head.length <= MAX_FRAME, "a frame too long is waited for");
            assert!(
                self.input.len() < Head::LEN + head.length,
                "a frame is left"
            );
        }
        Ok(())
    }

    fn event(&mut self, event: Event<Fields>) {
        match event {
            Event::Headers {
                key, kind, head, ..
            } => {
                let size: usize = head.iter().map(|field| field.as_ref().size()).sum();
                let limit = self.config.max_header_list_size.unwrap_or(16 << 20);
                assert!(size <= limit as usize && head.len() <= self.config.max_header_fields);
                if kind == HeadKind::Request {
                    assert!(self.core.set_value(key, 0).is_none(), "a new stream is new");
                    self.keys.push(key);
                }
                assert!(
                    self.core.value_mut(key).is_some(),
                    "the owner knows the stream"
                );
            }
            Event::Data { key, data, .. } => {
                assert!(
                    self.core.value_mut(key).is_some(),
                    "the owner knows the stream"
                );
                assert!(data.len() <= MAX_FRAME);
                self.held_octets += data.len() as u64;
            }
            Event::Reset { key, .. }
            | Event::StreamError { key, .. }
            | Event::Refused { key }
            | Event::Opened { key, .. }
            | Event::SendReady { key } => {
                assert!(
                    self.core.value_mut(key).is_some(),
                    "the owner knows the stream"
                );
            }
            Event::GoAway { .. }
            | Event::Ping { .. }
            | Event::Pong { .. }
            | Event::PeerSettings
            | Event::SettingsAcked => {}
        }
    }

    /// The owner does something.
    fn act(&mut self, action: u8) {
        let (response, trailers) = (response(), trailers());
        let (response, trailers) = (Block::prepared(&response), Block::prepared(&trailers));
        self.actions += 1;
        if action == 18 || self.keys.is_empty() {
            let end_stream = self.choices.flag();
            let request = request();
            let value = self.keys.len() as u32;
            if let Ok(key) = self
                .core
                .open(value, &Block::prepared(&request), end_stream)
            {
                self.keys.push(key);
            }
            return;
        }
        let key = *self.choices.one_of(&self.keys);
        match action {
            19 => {
                let _ = self.core.send_headers(key, &response, self.choices.flag());
            }
            20 | 21 => self.send_data(key),
            22 => {
                let _ = self.core.send_trailers(key, &trailers);
            }
            23 => {
                let message = Bytes::from(vec![1; self.choices.length()]);
                self.content_octets += message.len() as u64;
                let _ = self.core.reply(key, &response, message, &trailers);
            }
            24 => self.core.reset(key, ErrorCode::CANCEL),
            25 => self.core.reset_when_sent(key, ErrorCode::NO_ERROR),
            26 | 27 => self.core.release(key, self.choices.length()),
            28 => {
                let needed = u64::from(self.choices.word());
                self.core.read(key, Reading { taken: 0, needed });
            }
            29 => self.core.wake_when_below(key, self.choices.length()),
            30 => match self.choices.octet() % 4 {
                0 => self.core.drain(Bytes::from_static(b"drain"), self.now),
                1 => self.core.goaway(ErrorCode::NO_ERROR, b"goaway"),
                2 => self.core.shrink(),
                _ => drop(
                    self.core
                        .take_value(key)
                        .map(|value| self.core.set_value(key, value)),
                ),
            },
            _ => self.core.ping([self.choices.octet(); 8]),
        }
    }

    fn send_data(&mut self, key: StreamKey) {
        let (length, end_stream) = (self.choices.length(), self.choices.flag());
        let content = Bytes::from(vec![0; length]);
        let queued = self.core.queued(key);
        let sent = if self.choices.flag() {
            self.core.send_data(key, &content[..], end_stream)
        } else {
            self.core.send_data(key, content, end_stream)
        };
        if sent.is_ok() {
            self.content_octets += length as u64;
            assert!(self.core.queued(key) <= queued + length);
        } else {
            assert_eq!(self.core.queued(key), queued);
        }
    }

    /// The socket takes this many octets, if there are as many.
    fn write(&mut self, count: usize) {
        let mut left = count;
        while left > 0 && !self.core.output().is_empty() {
            let output = self.core.output();
            let part = output.chunk().len().min(left);
            assert!(part > 0, "octets that cannot be had");
            self.written.push(&output.chunk()[..part]);
            output.advance(part);
            left -= part;
        }
    }

    /// Checks the core's bounds, as far as a caller can see them.
    fn check(&mut self) {
        let open = self.core.open_streams();
        let queued = self.core.queued_streams();
        assert!(open + queued <= self.keys.len() + 1);
        if self.core.role() == Role::Server {
            assert_eq!(queued, 0, "a server opens no streams");
            if let Some(limit) = self.config.max_concurrent_streams {
                assert!(open <= limit as usize, "{open} streams, {limit} allowed");
            }
        }
        let waiting: usize = self.keys.iter().map(|&key| self.core.queued(key)).sum();
        let stats = *self.core.stats();
        assert!(stats.octets_sent + waiting as u64 <= self.content_octets);
        assert!(stats.octets_received <= self.received_octets as u64);
        assert_eq!(stats.octets_received, self.held_octets);
        // Output that the peer causes and does not read: an acknowledgement is no longer than 17
        // octets with its head; credit is worth a quarter of a window. The owner makes us
        // write two header blocks of ours, or a control frame, each time; and its content.
        let acknowledgements = self.config.budgets.queued_control as usize * 17;
        let credit = self.received_octets / 100;
        let owner = 1_000 * (self.actions + 2) + self.content_octets as usize;
        let bound = self.config.output_batch + acknowledgements + credit + owner;
        let output = self.core.output().len();
        assert!(
            output <= bound,
            "{output} octets to be written, at most {bound} expected"
        );
    }

    /// An error stays, and is announced to the peer.
    fn failed(mut self, error: ConnectionError) {
        self.peer_sends(&[0; 100]);
        for _ in 0..2 {
            let event = self.core.next_event(&mut self.input, self.now);
            assert_eq!(event, Err(error), "the error stays");
            assert_eq!(self.core.handle_timeout(self.now), Err(error));
        }
        assert_eq!(self.core.failure(), Some(error));
        assert!(!self.core.takes_new_streams());
        self.write(usize::MAX);
        assert_eq!(
            self.written.last_goaway(),
            Some(error.code),
            "GOAWAY is the last frame"
        );
        for &key in &self.keys {
            self.core.reset(key, ErrorCode::CANCEL);
        }
        self.write(usize::MAX);
    }
}

fn request() -> StaticBlock {
    StaticBlock::new([
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", "/s/m"),
        field("te", "trailers"),
    ])
}

/// Budgets that are soon spent, or never.
fn budgets(choices: &mut Choices<'_>) -> BudgetConfig {
    let few = choices.flag();
    let allowance = Allowance {
        burst: if few { 3 } else { 1 << 20 },
        per_second: 1,
    };
    BudgetConfig {
        resets: allowance,
        stream_errors: allowance,
        pings: allowance,
        settings: allowance,
        empty_frames: allowance,
        header_lists: allowance,
        window_updates: allowance,
        ignored_frames: allowance,
        continuations: if few { 2 } else { 1_100 },
        queued_control: if few { 4 } else { 1_000 },
        stalled_octets: if few { 1_000 } else { 16 << 20 },
        stall: Duration::from_secs(60),
    }
}
