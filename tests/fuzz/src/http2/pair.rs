//! Two well-behaved ends and the wire between them: everything sent arrives once and in order.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::call::{CALL, Call, Direction, call_number, content};
use super::{Choices, Fields, config, field, keep_fields, response, trailers};
use rgrpc_http2::{
    Allowance, Block, BudgetConfig, Config, Connection, ErrorCode, Event, FieldRef, HeadKind,
    Reading, Role, StreamKey,
};

/// The minimum credit of the connection when nothing is in flight. The rest may wait for an update
/// that is large enough for a frame.
const CREDIT_AT_REST: usize = 65_535 / 4 * 3;

/// The maximum number of round trips until nothing is in flight.
const ROUNDS: usize = 100_000;

/// A connection, both ends of it.
pub(super) struct Pair<'a> {
    choices: Choices<'a>,
    now: Instant,
    client: End,
    server: End,
    calls: Vec<Call>,
}

/// One end. Its streams' values are the numbers of their calls.
struct End {
    core: Connection<usize, Fields>,
    /// Octets that are on their way to it.
    input: BytesMut,
}

impl<'a> Pair<'a> {
    pub(super) fn new(mut choices: Choices<'a>) -> Self {
        let end = |core| End {
            core,
            input: BytesMut::new(),
        };
        let client = Connection::client(lenient(config(&mut choices)), keep_fields);
        let server = Connection::server(lenient(config(&mut choices)), keep_fields);
        Self {
            client: end(client),
            server: end(server),
            now: Instant::now(),
            calls: Vec::new(),
            choices,
        }
    }

    /// Does what the choices say, then brings everything to its end.
    pub(super) fn run(mut self) {
        while !self.choices.is_empty() {
            self.act();
        }
        self.settle();
        // Streams that wait for the server's limit come one after the other.
        for _ in 0..=self.calls.len() {
            if self.finish_calls() == 0 {
                break;
            }
            self.settle();
        }
        for (number, call) in self.calls.iter().enumerate() {
            assert!(call.given_up || call.is_complete(), "call {number} hangs");
        }
        for end in [&self.client, &self.server] {
            assert_eq!((end.core.open_streams(), end.core.queued_streams()), (0, 0));
            assert!(end.input.is_empty());
        }
        self.windows_are_open();
    }

    /// One step of either end, or of the wire.
    fn act(&mut self) {
        let action = self.choices.octet() % 20;
        match action {
            0..3 => self.open(),
            3 | 4 => {
                let most = self.choices.length();
                self.carry(Role::Client, most);
            }
            5 | 6 => {
                let most = self.choices.length();
                self.carry(Role::Server, most);
            }
            7 => self.take_events(Role::Client),
            8 => self.take_events(Role::Server),
            9 => self.now += Duration::from_millis(u64::from(self.choices.octet())),
            10 => self.connection_action(),
            _ => self.call_action(action),
        }
    }

    fn open(&mut self) {
        let number = self.calls.len();
        let text = number.to_string();
        let fields = [
            field(":method", "POST"),
            field(":scheme", "http"),
            field(":path", "/s/m"),
            FieldRef::new(CALL, text.as_bytes()),
        ];
        let end_stream = self.choices.octet().is_multiple_of(4);
        let head = Block::fields(fields);
        if let Ok(key) = self.client.core.open(number, &head, end_stream) {
            let mut call = Call {
                client: Some(key),
                ..Call::default()
            };
            call.up.head_sent = true;
            call.up.send_ended = end_stream;
            self.calls.push(call);
        }
    }

    /// An action on the whole connection.
    fn connection_action(&mut self) {
        let now = self.now;
        let role = self.role();
        let what = self.choices.octet() % 16;
        let core = &mut self.end(role).core;
        match what {
            0 => core.drain(Bytes::from_static(b"drain"), now),
            1..4 => core.handle_timeout(now).expect("no connection error"),
            4..8 => core.shrink(),
            _ => core.ping([1; 8]),
        }
    }

    fn role(&mut self) -> Role {
        if self.choices.flag() {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// One step of a call, at one of its ends.
    fn call_action(&mut self, action: u8) {
        if self.calls.is_empty() {
            return;
        }
        let number = usize::from(self.choices.octet()) % self.calls.len();
        let role = self.role();
        let length = self.choices.length();
        let Some(key) = self.calls[number].key(role) else {
            return;
        };
        match action {
            11..14 => self.send(number, role, length),
            14 => self.end_sending(number, role),
            15 if role == Role::Server => self.reply(number, length),
            15 | 16 => self.release(number, role, length),
            17 => {
                let direction = self.calls[number].receiving(role);
                let taken = direction.received - direction.unreleased as u64;
                let needed = taken + length as u64;
                self.end(role).core.read(key, Reading { taken, needed });
            }
            18 => self.end(role).core.wake_when_below(key, length),
            _ => self.give_up(number, role, length),
        }
    }

    fn give_up(&mut self, number: usize, role: Role, how: usize) {
        let Some(key) = self.calls[number].key(role) else {
            return;
        };
        self.calls[number].given_up = true;
        if how.is_multiple_of(2) {
            self.end(role).core.reset(key, ErrorCode::CANCEL);
        } else {
            self.end(role)
                .core
                .reset_when_sent(key, ErrorCode::NO_ERROR);
        }
    }

    fn send(&mut self, number: usize, role: Role, length: usize) {
        self.send_head(number, role);
        let call = &mut self.calls[number];
        let Some(key) = call.key(role) else {
            return;
        };
        let direction = call.sending(role);
        let content = content(number, role, direction.sent, length);
        let sent = self.end(role).core.send_data(key, content, false);
        let call = &mut self.calls[number];
        let direction = call.sending(role);
        match sent {
            Ok(()) => {
                assert!(!direction.send_ended, "call {number} sends after its end");
                direction.sent += length as u64;
            }
            Err(_) => assert!(
                direction.send_ended || call.given_up,
                "call {number} cannot send"
            ),
        }
    }

    /// A server sends the head before anything else; a client has done so.
    fn send_head(&mut self, number: usize, role: Role) {
        let call = &mut self.calls[number];
        let Some(key) = call.key(role) else {
            return;
        };
        if !std::mem::replace(&mut call.sending(role).head_sent, true) {
            let response = response();
            let sent = self
                .server
                .core
                .send_headers(key, &Block::prepared(&response), false);
            assert!(
                sent.is_ok() || self.calls[number].given_up,
                "call {number}: {sent:?}"
            );
        }
    }

    /// A client ends with END_STREAM or with trailers, a server with trailers.
    fn end_sending(&mut self, number: usize, role: Role) {
        self.send_head(number, role);
        let Some(key) = self.calls[number].key(role) else {
            return;
        };
        let trailers = trailers();
        let with_trailers = role == Role::Server || number.is_multiple_of(3);
        let core = &mut self.end(role).core;
        let sent = if with_trailers {
            core.send_trailers(key, &Block::prepared(&trailers))
        } else {
            core.send_data(key, &b""[..], true)
        };
        let call = &mut self.calls[number];
        let ended = std::mem::replace(&mut call.sending(role).send_ended, true);
        assert!(
            sent.is_ok() != ended || call.given_up,
            "call {number}: {sent:?}"
        );
    }

    /// A server sends a whole response.
    fn reply(&mut self, number: usize, length: usize) {
        let Some(key) = self.calls[number].server else {
            return;
        };
        let (response, trailers) = (response(), trailers());
        let sent = self.server.core.reply(
            key,
            &Block::prepared(&response),
            content(number, Role::Server, 0, length),
            &Block::prepared(&trailers),
        );
        let call = &mut self.calls[number];
        let direction = &mut call.down;
        match sent {
            Ok(()) => {
                assert!(!direction.head_sent && !direction.send_ended);
                direction.head_sent = true;
                direction.sent = length as u64;
                direction.send_ended = true;
            }
            Err(_) => assert!(
                direction.head_sent || call.given_up,
                "call {number} cannot reply"
            ),
        }
    }

    /// The application at one end has read what it got.
    fn release(&mut self, number: usize, role: Role, most: usize) {
        let call = &mut self.calls[number];
        let key = call.key(role);
        let direction = call.receiving(role);
        let octets = direction.unreleased.min(most);
        direction.unreleased -= octets;
        if let Some(key) = key {
            self.end(role).core.release(key, octets);
        }
    }

    /// Carries octets that one end wants to write to the other.
    fn carry(&mut self, from: Role, most: usize) {
        let (from, to) = match from {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        };
        let mut left = most;
        while left > 0 && !from.core.output().is_empty() {
            let output = from.core.output();
            let part = output.chunk().len().min(left);
            to.input.extend_from_slice(&output.chunk()[..part]);
            output.advance(part);
            left -= part;
        }
    }

    fn take_events(&mut self, role: Role) {
        let now = self.now;
        loop {
            let end = self.end(role);
            let event = end.core.next_event(&mut end.input, now);
            match event.expect("no connection error between ends that mean well") {
                Some(event) => self.event(role, event),
                None => return,
            }
        }
    }

    fn event(&mut self, role: Role, event: Event<Fields>) {
        match event {
            Event::Headers {
                key,
                kind: HeadKind::Request,
                head,
                end_stream,
                ..
            } => {
                let number = call_number(&head);
                self.server.core.set_value(key, number);
                let call = &mut self.calls[number];
                assert!(
                    call.server.replace(key).is_none(),
                    "call {number} came twice"
                );
                call.up.receive_ended = end_stream;
            }
            Event::Headers {
                key, end_stream, ..
            } => {
                let direction = self.receiving(role, key);
                assert!(!direction.receive_ended);
                direction.receive_ended = end_stream;
            }
            Event::Data {
                key,
                data,
                end_stream,
            } => self.data(role, key, &data, end_stream),
            Event::Reset { key, .. } | Event::Refused { key } => {
                let number = self.number(role, key);
                self.calls[number].given_up = true;
            }
            Event::StreamError { code, reason, .. } => {
                panic!("the peer of the {role:?} erred: {code}: {reason}")
            }
            Event::Opened { .. }
            | Event::SendReady { .. }
            | Event::GoAway { .. }
            | Event::Ping { .. }
            | Event::Pong { .. }
            | Event::PeerSettings
            | Event::SettingsAcked => {}
        }
    }

    fn data(&mut self, role: Role, key: StreamKey, data: &[u8], end_stream: bool) {
        let number = self.number(role, key);
        let sender = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let direction = self.calls[number].receiving(role);
        assert!(!direction.receive_ended, "content after the end");
        let expected = content(number, sender, direction.received, data.len());
        assert!(
            data == expected,
            "call {number}: other content than was sent"
        );
        direction.received += data.len() as u64;
        direction.unreleased += data.len();
        direction.receive_ended = end_stream;
    }

    /// Carries everything both ways, and reads it, until nothing is in flight.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.progress();
            for role in [Role::Client, Role::Server] {
                self.carry(role, usize::MAX);
            }
            for role in [Role::Client, Role::Server] {
                self.take_events(role);
                for number in 0..self.calls.len() {
                    self.release(number, role, usize::MAX);
                }
            }
            self.now += Duration::from_millis(1);
            let in_flight = !self.client.is_quiet() || !self.server.is_quiet();
            if !in_flight && self.progress() == before {
                return;
            }
        }
        panic!("the ends never come to rest");
    }

    /// A measure of progress, which changes while something arrives.
    fn progress(&self) -> (u64, usize) {
        let received = self
            .calls
            .iter()
            .map(|call| call.up.received + call.down.received);
        let ended = self.calls.iter().filter(|call| call.is_complete());
        (received.sum(), ended.count())
    }

    /// Both ends end what they have not. Returns how often that was.
    fn finish_calls(&mut self) -> usize {
        let mut ended = 0;
        for number in 0..self.calls.len() {
            for role in [Role::Client, Role::Server] {
                let call = &mut self.calls[number];
                // A server ends only calls that have come to it.
                if call.key(role).is_some() && !call.sending(role).send_ended {
                    self.end_sending(number, role);
                    ended += 1;
                }
            }
        }
        ended
    }

    /// With nothing in flight both ends can send most of a window at once, before anybody reads.
    fn windows_are_open(&mut self) {
        if !self.client.core.takes_new_streams() {
            return;
        }
        let number = self.calls.len();
        self.choices = Choices::new(&[1]);
        self.open();
        self.exchange();
        self.send(number, Role::Client, CREDIT_AT_REST);
        self.send(number, Role::Server, CREDIT_AT_REST);
        for _ in 0..CREDIT_AT_REST {
            self.exchange();
            let call = &self.calls[number];
            if call.up.received.min(call.down.received) == CREDIT_AT_REST as u64 {
                return;
            }
        }
        panic!("the connection's windows have shrunk");
    }

    /// Carries everything both ways, and reports it, but reads nothing.
    fn exchange(&mut self) {
        for role in [Role::Client, Role::Server] {
            self.carry(role, usize::MAX);
        }
        for role in [Role::Client, Role::Server] {
            self.take_events(role);
        }
    }

    fn end(&mut self, role: Role) -> &mut End {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// The number of a stream's call.
    fn number(&mut self, role: Role, key: StreamKey) -> usize {
        let value = self.end(role).core.value_mut(key);
        *value.expect("the stream of an event can be named")
    }

    fn receiving(&mut self, role: Role, key: StreamKey) -> &mut Direction {
        let number = self.number(role, key);
        self.calls[number].receiving(role)
    }
}

impl End {
    /// Returns whether it has no input to read and no output to write.
    fn is_quiet(&mut self) -> bool {
        self.input.is_empty() && self.core.output().is_empty()
    }
}

/// A configuration under which ends that mean well never fall out: no budget is spent, and there is
/// room for a stream at a time. Frames are long enough for a run to be short.
fn lenient(config: Config) -> Config {
    let allowance = Allowance {
        burst: u32::MAX,
        per_second: 0,
    };
    Config {
        max_concurrent_streams: config.max_concurrent_streams.map(|limit| limit.max(1)),
        max_send_frame_size: config.max_send_frame_size.max(1_000),
        budgets: BudgetConfig {
            resets: allowance,
            stream_errors: allowance,
            pings: allowance,
            settings: allowance,
            empty_frames: allowance,
            header_lists: allowance,
            window_updates: allowance,
            ignored_frames: allowance,
            continuations: u32::MAX,
            queued_control: u32::MAX,
            stalled_octets: usize::MAX,
            stall: Duration::MAX,
        },
        ..config
    }
}
