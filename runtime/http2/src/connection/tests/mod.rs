//! Tests of a connection, frame by frame.
//!
//! A test sends frames as the peer, calls functions as the owner, and checks the events and the
//! sent frames. Sent frames are compared in text form, one line each.

mod budgets;
mod connection_errors;
mod direct_reads;
mod drain;
mod flow;
mod garbage;
mod h2_peer;
mod initial_state;
mod messages;
mod opening;
mod random;
mod settings;
mod stream_errors;

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::block::{Block, NoFields};
use crate::config::Config;
use crate::error::{ConnectionError, ErrorCode};
use crate::event::Event;
use crate::frame::{Head, Kind, flag};
use crate::hpack::{Field, FieldRef};
use crate::static_block::StaticBlock;
use crate::stream::StreamKey;

use super::{Connection, PREFACE, PreviousHead};

/// The owner's form of a header list in these tests.
type Text = String;

fn read_head(fields: &[Field], _: Option<PreviousHead<'_, Text>>) -> Text {
    let line = |field: &Field| {
        let (name, value) = (&field.name, &field.value);
        format!("{}={}", name.escape_ascii(), value.escape_ascii())
    };
    fields.iter().map(line).collect::<Vec<_>>().join(" ")
}

/// A connection under test. The test plays the peer.
struct Wire {
    core: Connection<u32, Text>,
    input: BytesMut,
    now: Instant,
}

impl Wire {
    /// Creates a server that has received the preface and SETTINGS of its client.
    fn server(config: Config) -> Self {
        let mut wire = Self::with(Connection::server(config, read_head));
        wire.input.extend_from_slice(PREFACE);
        wire.handshake();
        wire
    }

    /// Creates a client that has received the SETTINGS of its server.
    fn client(config: Config) -> Self {
        let mut wire = Self::with(Connection::client(config, read_head));
        wire.handshake();
        wire
    }

    fn with(core: Connection<u32, Text>) -> Self {
        Self {
            core,
            input: BytesMut::new(),
            now: Instant::now(),
        }
    }

    fn handshake(&mut self) {
        assert_eq!(self.receive(settings(&[])), [Event::PeerSettings]);
        assert_eq!(self.receive(settings_ack()), [Event::SettingsAcked]);
        self.sent();
    }

    /// Sends octets as the peer. Returns the events or the connection error.
    fn try_receive(
        &mut self,
        octets: impl AsRef<[u8]>,
    ) -> Result<Vec<Event<Text>>, ConnectionError> {
        self.input.extend_from_slice(octets.as_ref());
        let mut events = Vec::new();
        while let Some(event) = self.core.next_event(&mut self.input, self.now)? {
            events.push(event);
        }
        Ok(events)
    }

    /// Sends octets as the peer that cause no connection error. Returns the events.
    fn receive(&mut self, octets: impl AsRef<[u8]>) -> Vec<Event<Text>> {
        self.try_receive(octets).expect("no connection error")
    }

    /// Sends octets as the peer that cause a connection error. Checks the GOAWAY and returns the
    /// error.
    fn receive_error(&mut self, octets: impl AsRef<[u8]>) -> ConnectionError {
        let error = self.try_receive(octets).expect_err("a connection error");
        let sent = self.sent();
        let last = sent.last().expect("GOAWAY in the output");
        let expected = format!("{} {}", error.code, error.reason);
        assert!(
            last.starts_with("GOAWAY") && last.ends_with(&expected),
            "{last}"
        );
        assert_eq!(self.try_receive(b""), Err(error), "the error stays");
        error
    }

    /// Sends a request as the client. Returns the key of the stream.
    fn request(&mut self, id: u32, end_stream: bool) -> StreamKey {
        match self.receive(request(id, end_stream)).as_slice() {
            [Event::Headers { key, .. }] => *key,
            events => panic!("{events:?}"),
        }
    }

    /// Opens a stream as the owner.
    fn open(&mut self, value: u32) -> StreamKey {
        let head = request_block();
        self.core
            .open(value, &Block::prepared(&head), false)
            .expect("opened")
    }

    /// Sends a response head as the owner.
    fn respond(&mut self, key: StreamKey) {
        let head = response_block();
        self.core
            .send_headers(key, &Block::prepared(&head), false)
            .expect("sent");
    }

    /// Removes the frames from the output and returns them in text form, one line each.
    fn sent(&mut self) -> Vec<String> {
        let octets = self.take_output();
        let mut rest = octets.as_slice();
        if let Some(after) = rest.strip_prefix(PREFACE) {
            rest = after;
        }
        let mut lines = Vec::new();
        while let Some((octets, after)) = rest.split_first_chunk() {
            let head = Head::parse(*octets);
            let (payload, after) = after.split_at(head.length);
            lines.push(line(head, payload));
            rest = after;
        }
        assert!(rest.is_empty(), "a part of a frame");
        lines
    }

    /// Removes and returns the octets of the output.
    fn take_output(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        while !self.core.output().is_empty() {
            let output = self.core.output();
            octets.extend_from_slice(output.chunk());
            let count = output.chunk().len();
            output.advance(count);
        }
        octets
    }

    /// Advances the time.
    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

/// Returns the text form of a sent frame.
fn line(head: Head, payload: &[u8]) -> String {
    let id = head.stream_id;
    let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("4 octets"));
    let end = |bit, name| if head.has(bit) { name } else { "" };
    match head.kind {
        Kind::Data => format!(
            "DATA {id} {}{}",
            head.length,
            end(flag::END_STREAM, " END_STREAM")
        ),
        Kind::Headers => format!(
            "HEADERS {id}{}{}",
            end(flag::END_STREAM, " END_STREAM"),
            if head.has(flag::END_HEADERS) {
                ""
            } else {
                " ..."
            }
        ),
        Kind::Continuation => format!("CONTINUATION {id} {}", head.length),
        Kind::RstStream => format!("RST_STREAM {id} {}", ErrorCode(number(0))),
        Kind::Settings if head.has(flag::ACK) => "SETTINGS ACK".to_owned(),
        Kind::Settings => {
            let (parameters, _) = payload.as_chunks::<6>();
            let value =
                |p: &[u8; 6]| format!(" {}={}", p[1], u32::from_be_bytes([p[2], p[3], p[4], p[5]]));
            format!(
                "SETTINGS{}",
                parameters.iter().map(value).collect::<String>()
            )
        }
        Kind::Ping => format!("PING{} {:02x}", end(flag::ACK, " ACK"), payload[0]),
        Kind::GoAway => format!(
            "GOAWAY {} {} {}",
            number(0),
            ErrorCode(number(4)),
            String::from_utf8_lossy(&payload[8..])
        ),
        Kind::WindowUpdate => format!("WINDOW_UPDATE {id} {}", number(0)),
        Kind::Priority | Kind::PushPromise | Kind::Unknown(_) => panic!("{head:?}"),
    }
}

/// Encodes any frame.
fn frame(kind: Kind, flags: u8, id: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let payload = payload.as_ref();
    Head::new(kind, flags, id, payload.len()).write(&mut out);
    out.extend_from_slice(payload);
    out
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter();
    let refs = fields.map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()));
    StaticBlock::new(refs).octets().to_vec()
}

const REQUEST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/s/m"),
    ("te", "trailers"),
];

fn headers(id: u32, fields: &[(&str, &str)], end_stream: bool) -> Vec<u8> {
    let end = if end_stream { flag::END_STREAM } else { 0 };
    frame(Kind::Headers, end | flag::END_HEADERS, id, block(fields))
}

fn request(id: u32, end_stream: bool) -> Vec<u8> {
    headers(id, &REQUEST, end_stream)
}

fn response(id: u32, end_stream: bool) -> Vec<u8> {
    headers(id, &[(":status", "200")], end_stream)
}

fn trailers(id: u32) -> Vec<u8> {
    headers(id, &[("grpc-status", "0")], true)
}

fn data(id: u32, length: usize, end_stream: bool) -> Vec<u8> {
    let flags = if end_stream { flag::END_STREAM } else { 0 };
    frame(Kind::Data, flags, id, vec![b'x'; length])
}

fn settings(parameters: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in parameters {
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(Kind::Settings, 0, 0, payload)
}

fn settings_ack() -> Vec<u8> {
    frame(Kind::Settings, flag::ACK, 0, [])
}

fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(Kind::Ping, 0, 0, payload)
}

fn ping_ack(payload: [u8; 8]) -> Vec<u8> {
    frame(Kind::Ping, flag::ACK, 0, payload)
}

fn window_update(id: u32, increment: u32) -> Vec<u8> {
    frame(Kind::WindowUpdate, 0, id, increment.to_be_bytes())
}

fn rst_stream(id: u32, code: ErrorCode) -> Vec<u8> {
    frame(Kind::RstStream, 0, id, code.0.to_be_bytes())
}

fn goaway(last_id: u32, code: ErrorCode, debug: &str) -> Vec<u8> {
    let mut payload = last_id.to_be_bytes().to_vec();
    payload.extend_from_slice(&code.0.to_be_bytes());
    payload.extend_from_slice(debug.as_bytes());
    frame(Kind::GoAway, 0, 0, payload)
}

fn request_block() -> StaticBlock {
    let fields = REQUEST.iter();
    StaticBlock::new(fields.map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes())))
}

fn response_block() -> StaticBlock {
    StaticBlock::new([FieldRef::new(b":status", b"200")])
}

fn trailers_block() -> StaticBlock {
    StaticBlock::new([FieldRef::new(b"grpc-status", b"0")])
}

fn prepared(block: &StaticBlock) -> Block<'_, NoFields> {
    Block::prepared(block)
}
