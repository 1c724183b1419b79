//! Scripts made of random numbers: valid ones, in which nobody waits for what will not come.
//!
//! A call is written down step by step in an order in which it could happen. An end that waits does
//! so for what was written before, so that some order always goes.

use super::super::random::Random;
use super::content::Content;
use super::script::{Call, Ending, Exchange, Fields, Options, Side, Step};
use crate::{Config, ErrorCode, Role};

/// Lengths on both sides of the edges of frames, of windows, and of what the core copies.
const LENGTHS: [usize; 18] = [
    1, 5, 32, 100, 1_023, 1_024, 1_025, 5_000, 16_383, 16_384, 16_385, 40_000, 65_534, 65_535,
    65_536, 65_537, 131_071, 204_800,
];

/// Why a stream is reset; the last is no code that the RFC knows.
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
    /// The exchange of this seed. In the calls of its last wave the last word is said by the end of
    /// this role: h2, when it says the last word on the last stream of a connection, closes, and
    /// has not always written it.
    pub(super) fn of(seed: u64, last_word: Role) -> Self {
        let mut random = Random::new(seed);
        // Without these steps the first numbers of neighbouring seeds are alike.
        for _ in 0..4 {
            random.next(2);
        }
        let ending = random.one_of(&[Ending::ClientLeaves, Ending::ServerDrains]);
        let client = options(&mut random);
        let mut server = options(&mut random);
        if ending == Ending::ServerDrains {
            // A call that waits for the limit is lost when the server drains.
            server.max_concurrent_streams = None;
        }
        let pipe = random.one_of(&[100, 1_000, 20_000, 100_000]);
        // Through a narrow pipe, or a small window, long content takes its time.
        let longest = (pipe * 200).min(client.longest()).min(server.longest());
        let mut waves = Vec::new();
        let mut number = 0;
        let last = 1 + random.next(2);
        for wave in 0..=last {
            let numbers = number..number + 1 + random.next(9) as usize;
            number = numbers.end;
            let last_word = (wave == last).then_some(last_word);
            let calls = numbers.map(|n| call(&mut random, n, longest, last_word));
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
    /// The longest content that is worth the many windows it takes.
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

/// A call that ends in any way, or in full with this end's last word.
fn call(random: &mut Random, number: usize, longest: usize, last_word: Option<Role>) -> Call {
    let mut talk = Talk {
        random,
        longest,
        client: Way::default(),
        server: Way::default(),
    };
    talk.client.steps.push(Step::Head { end_stream: false });
    for _ in 0..talk.random.next(5) {
        talk.exchange();
    }
    let ending = match last_word {
        Some(Role::Client) => 0,
        Some(Role::Server) => 1,
        None => talk.random.next(10),
    };
    match ending {
        0 => talk.complete_by_client(),
        1 => talk.complete_by_server(),
        2..5 => talk.complete(),
        5 => talk.server_resets(),
        6 => talk.server_resets_unanswered(),
        7 => talk.client_resets(),
        8 => talk.server_ends_early(),
        _ => talk.broken_off(),
    }
    let abrupt = ending > 8;
    let (client, server) = (talk.client, talk.server);
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

fn side(random: &mut Random, mut head: Fields, way: Way, whole: bool) -> Side {
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

/// Regular fields: some known, some repeated, some as long as a frame.
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

/// A call that is being written.
struct Talk<'r> {
    random: &'r mut Random,
    longest: usize,
    client: Way,
    server: Way,
}

/// What one end has said so far.
#[derive(Default)]
struct Way {
    steps: Vec<Step>,
    octets: usize,
}

impl Way {
    fn data(&mut self, octets: usize, end_stream: bool) {
        self.steps.push(Step::Data { octets, end_stream });
        self.octets += octets;
    }

    /// Waits for all that the other end has said.
    fn wait_for(&mut self, other: &Self) {
        let octets = other.octets as u64;
        self.steps.push(Step::Await { octets });
    }

    fn reset(&mut self, random: &mut Random) {
        let ErrorCode(code) = random.one_of(&RESETS);
        self.steps.push(Step::Reset { code });
    }
}

impl Talk<'_> {
    /// Either end says something, or waits for what the other has said.
    fn exchange(&mut self) {
        match self.random.next(8) {
            0..3 => self.client_says(),
            3..6 => self.server_says(),
            6 => self.server.wait_for(&self.client),
            _ if self.server_has_begun() => self.client.wait_for(&self.server),
            _ => self.server_head(),
        }
    }

    fn client_says(&mut self) {
        let octets = self.length(self.client.octets);
        self.client.data(octets, false);
    }

    fn server_says(&mut self) {
        self.server_head();
        let octets = self.length(self.server.octets);
        self.server.data(octets, false);
    }

    fn server_head(&mut self) {
        if !self.server_has_begun() {
            self.server.steps.push(Step::Head { end_stream: false });
        }
    }

    fn server_has_begun(&self) -> bool {
        let head = Step::Head { end_stream: false };
        self.server.steps.contains(&head)
    }

    /// How much an end says that has said `before`.
    fn length(&mut self, before: usize) -> usize {
        let length = self.random.one_of(&LENGTHS);
        length
            .min(self.longest)
            .min(Content::MOST / 2 - before.min(Content::MOST / 2))
    }

    /// Both ends come to their end, the client when it has heard everything.
    fn complete_by_client(&mut self) {
        self.server_ends();
        self.client.steps.push(Step::AwaitEnd);
        self.client_ends();
    }

    /// As [`complete_by_client`](Self::complete_by_client), the other way round.
    fn complete_by_server(&mut self) {
        self.client_ends();
        self.server.steps.push(Step::AwaitEnd);
        self.server_ends();
    }

    /// Both ends come to their end, whoever is first.
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

    /// The server resets when both ends have heard all that was said. That it was heard by the
    /// client the client says with an octet more.
    fn server_resets(&mut self) {
        if self.server_has_begun() {
            self.client.wait_for(&self.server);
            self.client.data(1, false);
        }
        self.server.wait_for(&self.client);
        self.server.reset(self.random);
    }

    /// The server resets a whole request, to which it has not said a word.
    fn server_resets_unanswered(&mut self) {
        if self.server_has_begun() {
            return self.server_resets();
        }
        self.client_ends();
        self.server.steps.push(Step::AwaitEnd);
        self.server.reset(self.random);
    }

    /// As [`server_resets`](Self::server_resets), the other way round.
    fn client_resets(&mut self) {
        self.server_head();
        self.server.wait_for(&self.client);
        self.server.data(1, false);
        self.client.wait_for(&self.server);
        self.client.reset(self.random);
    }

    /// The server answers in full, and does not want the rest of the request.
    fn server_ends_early(&mut self) {
        self.server.wait_for(&self.client);
        self.server_ends();
        self.server.steps.push(Step::Leave);
    }

    /// Either end resets while both have more to say than has gone out.
    fn broken_off(&mut self) {
        self.client_says();
        if self.random.once_in(2) {
            self.server_says();
        }
        if self.random.once_in(2) {
            self.client.reset(self.random);
            self.server_says();
        } else {
            self.server.reset(self.random);
            self.client_says();
        }
    }
}

impl Way {
    fn end(&mut self, how: u32, octets: usize) {
        match (how, self.steps.last_mut()) {
            (0, _) => self.steps.push(Step::Trailers),
            // Nothing but a head.
            (1, Some(Step::Head { end_stream })) => *end_stream = true,
            (1, _) => self.data(0, true),
            _ => self.data(octets, true),
        }
    }
}
