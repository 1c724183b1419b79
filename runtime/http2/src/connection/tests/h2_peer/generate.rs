//! The generator of random scripts, which are always valid.
//!
//! A call is generated step by step, in an order in which it could happen. An end only waits for
//! earlier steps of the other end, so that a script cannot deadlock.

use super::super::random::Random;
use super::content::Content;
use super::script::{Call, Ending, Exchange, Fields, Options, Side, Step};
use crate::{Config, ErrorCode, Role};

/// Lengths around the limits of frames, of windows, and of payloads that the core copies.
const LENGTHS: [usize; 18] = [
    1, 5, 32, 100, 1_023, 1_024, 1_025, 5_000, 16_383, 16_384, 16_385, 40_000, 65_534, 65_535,
    65_536, 65_537, 131_071, 204_800,
];

/// Codes of resets. The last one is unknown to the RFC.
const RESETS: [ErrorCode; 4] = [
    ErrorCode::CANCEL,
    ErrorCode::INTERNAL_ERROR,
    ErrorCode::REFUSED_STREAM,
    ErrorCode(0xfade),
];

const NAMES: [&str; 8] = [
    "authorization",
    "content-type",
    "grpc-timeout",
    "user-agent",
    "x-a",
    "x-b-bin",
    "x-request-id",
    "x-~!#$%&'*+.^_`|",
];

impl Exchange {
    /// Generates the exchange of this seed.
    ///
    /// In the calls of the last wave, the end with the role `last_sender` sends the last frame. If
    /// h2 sends the last frame on the last stream of a connection, it can close before it has
    /// written that frame.
    pub(super) fn of(seed: u64, last_sender: Role) -> Self {
        let mut random = Random::new(seed);
        // Without these steps, the first numbers of consecutive seeds are similar.
        for _ in 0..4 {
            random.next(2);
        }
        let ending = random.one_of(&[Ending::ClientLeaves, Ending::ServerDrains]);
        let client = options(&mut random);
        let mut server = options(&mut random);
        if ending == Ending::ServerDrains {
            // A call that waits for the limit fails when the server drains.
            server.max_concurrent_streams = None;
        }
        let pipe = random.one_of(&[100, 1_000, 20_000, 100_000]);
        // Long content takes too long with a small pipe or a small window.
        let longest = (pipe * 200).min(client.longest()).min(server.longest());
        let mut waves = Vec::new();
        let mut number = 0;
        let last = 1 + random.next(2);
        for wave in 0..=last {
            let numbers = number..number + 1 + random.next(9) as usize;
            number = numbers.end;
            let last_sender = (wave == last).then_some(last_sender);
            let calls = numbers.map(|n| call(&mut random, n, longest, last_sender));
            waves.push(calls.collect());
        }
        Self {
            client,
            server,
            pipe,
            waves,
            ending,
        }
    }
}

impl Options {
    /// Returns the maximum length of content: 30 windows.
    fn longest(&self) -> usize {
        self.stream_window.min(self.connection_window) as usize * 30
    }
}

fn options(random: &mut Random) -> Options {
    Options {
        stream_window: random.one_of(&[1_000, 16_384, 65_535, 65_536, 1 << 20]),
        connection_window: random.one_of(&[65_535, 65_536, 1 << 20]),
        max_frame_size: random.one_of(&[16_384, 16_385, 1 << 20]),
        max_concurrent_streams: random.one_of(&[None, None, Some(1), Some(3)]),
        header_table_size: random.one_of(&[0, 100, 4_096, 4_096, 65_536]),
        send_buffer: random.one_of(&[5_000, 400 << 10]),
        core: Config {
            max_send_frame_size: random.one_of(&[1_000, 16_384, 1 << 20]),
            output_batch: random.one_of(&[500, 65_536]),
            bdp_estimation: random.once_in(2),
            ..Config::default()
        },
    }
}

/// Generates a call that ends in any way, or with a last frame of `last_sender`.
fn call(random: &mut Random, number: usize, longest: usize, last_sender: Option<Role>) -> Call {
    let mut builder = CallBuilder {
        random,
        longest,
        client: SideBuilder::default(),
        server: SideBuilder::default(),
    };
    builder.client.steps.push(Step::Head { end_stream: false });
    for _ in 0..builder.random.next(5) {
        builder.exchange();
    }
    let ending = match last_sender {
        Some(Role::Client) => 0,
        Some(Role::Server) => 1,
        None => builder.random.next(10),
    };
    match ending {
        0 => builder.complete_by_client(),
        1 => builder.complete_by_server(),
        2..5 => builder.complete(),
        5 => builder.server_resets(),
        6 => builder.server_resets_unanswered(),
        7 => builder.client_resets(),
        8 => builder.server_ends_early(),
        _ => builder.interrupted(),
    }
    let abrupt = ending > 8;
    let (client, server) = (builder.client, builder.server);
    let whole = ending < 5;
    let mut call = Call {
        number,
        client: side(random, request_line(number), client, whole),
        server: side(random, Vec::new(), server, whole),
        abrupt,
    };
    let status = random.one_of(&["200", "200", "299", "404", "503"]);
    call.server.head.insert(0, field(":status", status));
    call
}

fn request_line(number: usize) -> Fields {
    vec![
        field(":authority", "localhost"),
        field(":method", ["POST", "GET", "PUT"][number % 3]),
        field(":path", &format!("/service/method?of={}", number % 7)),
        field(":scheme", "http"),
        field(Call::NUMBER, &number.to_string()),
    ]
}

fn side(random: &mut Random, mut head: Fields, way: SideBuilder, whole: bool) -> Side {
    head.extend(fields(random));
    if whole && random.once_in(3) {
        head.push(field("content-length", &way.octets.to_string()));
    }
    head.sort_by(|(one, _), (other, _)| one.cmp(other));
    Side {
        head,
        trailers: fields(random),
        steps: way.steps,
    }
}

/// Generates regular fields: some well-known, some repeated, some as long as a frame.
fn fields(random: &mut Random) -> Fields {
    let mut fields = Fields::new();
    for _ in 0..random.next(6) {
        let name = random.one_of(&NAMES);
        let value = match random.next(12) {
            0 => String::new(),
            1 => "v".repeat(random.one_of(&[200, 4_000, 20_000])),
            2 => "\u{e9}~`|{}\"\\, ;".to_owned(),
            other => format!("value {other}"),
        };
        fields.push(field(name, &value));
    }
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A call that is being generated.
struct CallBuilder<'r> {
    random: &'r mut Random,
    longest: usize,
    client: SideBuilder,
    server: SideBuilder,
}

/// The steps of one end that have been generated.
#[derive(Default)]
struct SideBuilder {
    steps: Vec<Step>,
    octets: usize,
}

impl SideBuilder {
    fn data(&mut self, octets: usize, end_stream: bool) {
        self.steps.push(Step::Data { octets, end_stream });
        self.octets += octets;
    }

    /// Adds a wait for everything that the other end has sent.
    fn wait_for(&mut self, other: &Self) {
        let octets = other.octets as u64;
        self.steps.push(Step::Await { octets });
    }

    fn reset(&mut self, random: &mut Random) {
        let ErrorCode(code) = random.one_of(&RESETS);
        self.steps.push(Step::Reset { code });
    }
}

impl CallBuilder<'_> {
    /// Adds a step of either end: sending, or waiting for the other end.
    fn exchange(&mut self) {
        match self.random.next(8) {
            0..3 => self.client_sends(),
            3..6 => self.server_sends(),
            6 => self.server.wait_for(&self.client),
            _ if self.server_has_sent_head() => self.client.wait_for(&self.server),
            _ => self.server_head(),
        }
    }

    fn client_sends(&mut self) {
        let octets = self.length(self.client.octets);
        self.client.data(octets, false);
    }

    fn server_sends(&mut self) {
        self.server_head();
        let octets = self.length(self.server.octets);
        self.server.data(octets, false);
    }

    fn server_head(&mut self) {
        if !self.server_has_sent_head() {
            self.server.steps.push(Step::Head { end_stream: false });
        }
    }

    fn server_has_sent_head(&self) -> bool {
        let head = Step::Head { end_stream: false };
        self.server.steps.contains(&head)
    }

    /// Returns the length of the next content of an end that has sent `before` octets.
    fn length(&mut self, before: usize) -> usize {
        let length = self.random.one_of(&LENGTHS);
        length
            .min(self.longest)
            .min(Content::MAX_LEN / 2 - before.min(Content::MAX_LEN / 2))
    }

    /// Ends both directions. The client ends when it has received everything.
    fn complete_by_client(&mut self) {
        self.server_ends();
        self.client.steps.push(Step::AwaitEnd);
        self.client_ends();
    }

    /// Ends both directions. The server ends when it has received everything.
    fn complete_by_server(&mut self) {
        self.client_ends();
        self.server.steps.push(Step::AwaitEnd);
        self.server_ends();
    }

    /// Ends both directions in any order.
    fn complete(&mut self) {
        self.client_ends();
        self.server_ends();
    }

    fn client_ends(&mut self) {
        let length = self.length(self.client.octets);
        self.client.end(self.random.next(4), length);
    }

    fn server_ends(&mut self) {
        self.server_head();
        let length = self.length(self.server.octets);
        self.server.end(self.random.next(4), length);
    }

    /// Adds a reset by the server, after both ends have received everything. The client confirms this
    /// with one octet.
    fn server_resets(&mut self) {
        if self.server_has_sent_head() {
            self.client.wait_for(&self.server);
            self.client.data(1, false);
        }
        self.server.wait_for(&self.client);
        self.server.reset(self.random);
    }

    /// Adds a reset by the server, after a whole request and without a response.
    fn server_resets_unanswered(&mut self) {
        if self.server_has_sent_head() {
            return self.server_resets();
        }
        self.client_ends();
        self.server.steps.push(Step::AwaitEnd);
        self.server.reset(self.random);
    }

    /// Adds a reset by the client, after both ends have received everything. The server confirms
    /// this with one octet.
    fn client_resets(&mut self) {
        self.server_head();
        self.server.wait_for(&self.client);
        self.server.data(1, false);
        self.client.wait_for(&self.server);
        self.client.reset(self.random);
    }

    /// Adds a whole response to an incomplete request, followed by a reset.
    fn server_ends_early(&mut self) {
        self.server.wait_for(&self.client);
        self.server_ends();
        self.server.steps.push(Step::Leave);
    }

    /// Adds a reset by either end while content is queued.
    fn interrupted(&mut self) {
        self.client_sends();
        if self.random.once_in(2) {
            self.server_sends();
        }
        if self.random.once_in(2) {
            self.client.reset(self.random);
            self.server_sends();
        } else {
            self.server.reset(self.random);
            self.client_sends();
        }
    }
}

impl SideBuilder {
    fn end(&mut self, variant: u32, octets: usize) {
        match (variant, self.steps.last_mut()) {
            (0, _) => self.steps.push(Step::Trailers),
            // Only a head.
            (1, Some(Step::Head { end_stream })) => *end_stream = true,
            (1, _) => self.data(0, true),
            _ => self.data(octets, true),
        }
    }
}
