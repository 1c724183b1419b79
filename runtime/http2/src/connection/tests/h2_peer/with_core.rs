//! Both roles of an exchange, on the core.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::DuplexStream;

use super::received::{End, Received, Transcript, call_number};
use super::script::{Call, Ending, Exchange, Fields, Step, other};
use super::socket::Socket;
use crate::{
    Block, Config, Connection, ErrorCode, Event, Field, FieldRef, HeadKind, PreviousHead, Role,
    StaticBlock, StreamKey,
};

/// The number of queued octets from which a sender waits.
const QUEUED: usize = 50_000;

/// Runs the client until the connection has closed.
pub(super) async fn client(exchange: Arc<Exchange>, io: DuplexStream) -> Transcript {
    let config = Config {
        initial_max_send_streams: exchange.streams_at_first(),
        ..exchange.client.config()
    };
    let core = Connection::client(config, read_head);
    let mut end = CoreEnd::new(Role::Client, exchange.clone(), Socket::new(core, io));
    while exchange.server.shrinks_windows() && !end.has_settings {
        assert!(end.make_progress().await, "the server closes too early");
    }
    for wave in &exchange.waves {
        for call in wave {
            end.open(call);
        }
        while !end.streams.values().all(Stream::is_over) {
            assert!(end.make_progress().await, "the server closes too early");
        }
    }
    if exchange.ending == Ending::ClientLeaves {
        end.socket.core.drain(Bytes::new(), Instant::now());
    }
    while !end.socket.is_drained() && end.make_progress().await {}
    end.into_transcript().await
}

/// Runs the server until the connection has closed.
pub(super) async fn server(exchange: Arc<Exchange>, io: DuplexStream) -> Transcript {
    let core = Connection::server(exchange.server.config(), read_head);
    let mut end = CoreEnd::new(Role::Server, exchange, Socket::new(core, io));
    while !end.socket.is_drained() && end.make_progress().await {}
    end.into_transcript().await
}

fn read_head(fields: &[Field], _: Option<PreviousHead<'_, Fields>>) -> Fields {
    let text = |octets: &Bytes| String::from_utf8_lossy(octets).into_owned();
    let pair = |field: &Field| (text(&field.name), text(&field.value));
    let mut fields: Fields = fields.iter().map(pair).collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

struct CoreEnd {
    role: Role,
    exchange: Arc<Exchange>,
    socket: Socket<Fields>,
    /// `true` once the other end's SETTINGS have been applied.
    has_settings: bool,
    /// The streams, by the number of the call.
    streams: BTreeMap<usize, Stream>,
}

/// The state of a call at this end.
struct Stream {
    key: StreamKey,
    received: Received,
    /// The number of completed steps.
    steps: usize,
    /// The number of octets of content passed to the core.
    sent: u64,
    send_ended: bool,
    /// `true` if either end has reset the stream.
    closed: bool,
}

impl Stream {
    fn new(key: StreamKey) -> Self {
        Self {
            key,
            received: Received::default(),
            steps: 0,
            sent: 0,
            send_ended: false,
            closed: false,
        }
    }

    fn is_over(&self) -> bool {
        self.closed || (self.send_ended && self.received.end.is_some())
    }
}

impl CoreEnd {
    fn new(role: Role, exchange: Arc<Exchange>, socket: Socket<Fields>) -> Self {
        Self {
            role,
            exchange,
            socket,
            has_settings: false,
            streams: BTreeMap::new(),
        }
    }

    /// Transfers octets and handles the events. Returns `false` if the peer has closed.
    async fn make_progress(&mut self) -> bool {
        let more = self.socket.carry().await;
        while let Some(event) = self.socket.event() {
            self.event(event);
        }
        more
    }

    fn open(&mut self, call: &Call) {
        let head = Block::fields(refs(&call.client.head));
        let end_stream = call.client.steps[0] == Step::Head { end_stream: true };
        let opened = self.socket.core.open(call.number, &head, end_stream);
        let mut stream = Stream::new(opened.expect("the server takes calls"));
        stream.steps = 1;
        stream.send_ended = end_stream;
        self.streams.insert(call.number, stream);
        self.advance(call.number);
    }

    fn event(&mut self, event: Event<Fields>) {
        let core = &mut self.socket.core;
        let number = match &event {
            Event::Headers {
                key,
                kind: HeadKind::Request,
                head,
                ..
            } => {
                let number = call_number(head);
                core.set_value(*key, number);
                let before = self.streams.insert(number, Stream::new(*key));
                assert!(before.is_none(), "call {number} comes twice");
                if self.exchange.drains_at(number) {
                    core.drain(Bytes::new(), Instant::now());
                }
                number
            }
            Event::Headers { key, .. }
            | Event::Data { key, .. }
            | Event::Reset { key, .. }
            | Event::SendReady { key } => {
                *core.value_mut(*key).expect("the key of an event is valid")
            }
            Event::Opened { .. }
            | Event::GoAway { .. }
            | Event::Ping { .. }
            | Event::Pong { .. }
            | Event::SettingsAcked => return,
            Event::PeerSettings => {
                self.has_settings = true;
                return;
            }
            Event::StreamError { .. } | Event::Refused { .. } => panic!("{event:?}"),
        };
        let stream = self
            .streams
            .get_mut(&number)
            .expect("a call that has begun");
        let received = &mut stream.received;
        match event {
            Event::Headers {
                kind: HeadKind::Trailers,
                head,
                end_stream,
                ..
            } => {
                assert!(end_stream, "trailers are the end");
                received.end = Some(End::Trailers(head));
            }
            Event::Headers {
                head, end_stream, ..
            } => {
                assert!(received.head.replace(head).is_none(), "a second head");
                received.end_if(end_stream);
            }
            Event::Data {
                key,
                data,
                end_stream,
            } => {
                received.data(number, other(self.role), &data);
                received.end_if(end_stream);
                core.release(key, data.len());
            }
            Event::Reset { code, .. } => {
                received.reset = Some(code.0);
                stream.closed = true;
            }
            _ => {}
        }
        self.advance(number);
    }

    /// Takes all steps of a call that are possible now.
    fn advance(&mut self, number: usize) {
        let exchange = self.exchange.clone();
        let call = exchange.call(number);
        let side = call.side(self.role);
        let core = &mut self.socket.core;
        let stream = self
            .streams
            .get_mut(&number)
            .expect("a call that has begun");
        let key = stream.key;
        while !stream.closed
            && let Some(&step) = side.steps.get(stream.steps)
        {
            let rest = &side.steps[stream.steps..];
            if let Some(octets) = whole_reply(rest) {
                let (head, trailers) = (&side.head, &side.trailers);
                let content = call.content(self.role, stream.sent, octets);
                let head = Block::fields(refs(head));
                let trailers = Block::fields(refs(trailers));
                core.reply(key, &head, content, &trailers).expect("sent");
                stream.send_ended = true;
                stream.steps += 3;
                continue;
            }
            match step {
                Step::Head { end_stream } => {
                    let (first, others) = side.head.split_first().expect("a status");
                    let prepared = StaticBlock::new(refs(std::slice::from_ref(first)));
                    let head = Block::prepared(&prepared).with(refs(others));
                    core.send_headers(key, &head, end_stream).expect("sent");
                    stream.send_ended |= end_stream;
                }
                Step::Data { octets, end_stream } => {
                    if core.queued(key) >= QUEUED {
                        core.wake_when_below(key, QUEUED);
                        return;
                    }
                    let content = call.content(self.role, stream.sent, octets);
                    // Half of the calls pass owned content, the others borrowed content.
                    let sent = if number.is_multiple_of(2) {
                        core.send_data(key, content, end_stream)
                    } else {
                        core.send_data(key, content.as_ref(), end_stream)
                    };
                    sent.expect("sent");
                    stream.sent += octets as u64;
                    stream.send_ended |= end_stream;
                }
                Step::Trailers => {
                    let trailers = Block::fields(refs(&side.trailers));
                    core.send_trailers(key, &trailers).expect("sent");
                    stream.send_ended = true;
                }
                Step::Await { octets } if !stream.received.has(octets) => return,
                Step::AwaitEnd if stream.received.end.is_none() => return,
                Step::Await { .. } | Step::AwaitEnd => {}
                Step::Reset { code } => {
                    core.reset(key, ErrorCode(code));
                    stream.closed = true;
                }
                Step::Leave => {
                    core.reset_when_sent(key, ErrorCode::NO_ERROR);
                    stream.closed = true;
                }
            }
            stream.steps += 1;
        }
    }

    async fn into_transcript(mut self) -> Transcript {
        let core = &mut self.socket.core;
        let left = (
            core.open_streams(),
            core.queued_streams(),
            core.queued_octets,
        );
        assert_eq!(left, (0, 0, 0), "the connection has closed");
        self.socket.close().await;
        let received = |(number, stream): (usize, Stream)| (number, stream.received);
        self.streams.into_iter().map(received).collect()
    }
}

/// Returns the length of the content if the next steps are one whole response.
fn whole_reply(steps: &[Step]) -> Option<usize> {
    match *steps {
        [
            Step::Head { end_stream: false },
            Step::Data {
                octets,
                end_stream: false,
            },
            Step::Trailers,
        ] => Some(octets),
        _ => None,
    }
}

fn refs(fields: &[(String, String)]) -> impl Iterator<Item = FieldRef<'_>> + Clone {
    fields.iter().map(|(name, value)| FieldRef {
        name: name.as_bytes(),
        value: value.as_bytes(),
        never_indexed: name == "x-request-id",
    })
}
