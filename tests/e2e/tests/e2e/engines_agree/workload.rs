//! A workload: calls made of random numbers.

use rgrpc::{Code, Metadata, Request, Status};
use rgrpc_e2e::{Message, msg};

/// Lengths of messages around the edges of frames and of windows.
const LENGTHS: [usize; 12] = [
    0, 1, 100, 1_024, 16_375, 16_379, 16_384, 65_526, 65_530, 65_536, 70_000, 200_000,
];

/// The plan of a call.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) number: usize,
    pub(super) kind: Kind,
    /// Lengths of messages.
    pub(super) requests: Vec<usize>,
    pub(super) responses: Vec<usize>,
    pub(super) metadata: Metadata,
    pub(super) header: Metadata,
    /// True if the header is sent before anything else.
    pub(super) header_first: bool,
    pub(super) trailer: Metadata,
    pub(super) failure: Option<Code>,
    /// The handler returns without having read the requests.
    pub(super) ends_early: bool,
    /// The client gives up after this many responses.
    pub(super) gives_up_after: Option<usize>,
    /// The largest response that the client takes.
    pub(super) receive_limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    /// A response for each request.
    BidiInTurns,
    /// Requests and responses as fast as they go.
    BidiAtOnce,
}

/// Numbers that are the same in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.next(times) == 0
    }

    fn lengths(&mut self, count: usize) -> Vec<usize> {
        let length = |_| LENGTHS[self.next(LENGTHS.len())];
        (0..count).map(length).collect()
    }

    fn metadata(&mut self) -> Metadata {
        let mut metadata = Metadata::new();
        for _ in 0..self.next(4) {
            let (key, value) = match self.next(4) {
                0 => ("x-a", b"one".to_vec()),
                1 => ("x-a", b"two, and ~`|{}\\".to_vec()),
                2 => (
                    "x-octets-bin",
                    (0..self.next(300)).map(|n| n as u8).collect(),
                ),
                _ => ("x-long", vec![b'v'; self.next(5_000)]),
            };
            metadata.append(key, value).expect("valid metadata");
        }
        metadata
    }
}

pub(super) fn workload(random: &mut Random) -> Vec<Planned> {
    let calls = 1 + random.next(20);
    (0..calls).map(|number| planned(random, number)).collect()
}

fn planned(random: &mut Random, number: usize) -> Planned {
    let kind = [
        Kind::Unary,
        Kind::ServerStreaming,
        Kind::ClientStreaming,
        Kind::BidiInTurns,
        Kind::BidiAtOnce,
    ][random.next(5)];
    let (requests, responses) = match kind {
        Kind::Unary => (1, 1),
        Kind::ServerStreaming => (1, random.next(6)),
        Kind::ClientStreaming => (random.next(6), 1),
        Kind::BidiInTurns => [(0, 0), (1, 1), (4, 4)][random.next(3)],
        Kind::BidiAtOnce => (random.next(6), random.next(6)),
    };
    let code = Code::ALL[1 + random.next(16)];
    let streams_in = matches!(kind, Kind::ClientStreaming | Kind::BidiAtOnce);
    let ends_early = streams_in && random.once_in(4);
    let mut responses = random.lengths(responses);
    if kind == Kind::ClientStreaming && ends_early {
        // The client reads when it has sent all, and the handler does not: what it gets then has to
        // fit into its window.
        responses[0] = responses[0].min(16_384);
    }
    Planned {
        number,
        kind,
        requests: random.lengths(requests),
        responses,
        metadata: random.metadata(),
        header: random.metadata(),
        header_first: random.once_in(2),
        trailer: random.metadata(),
        failure: random.once_in(3).then_some(code),
        ends_early,
        gives_up_after: random.once_in(6).then(|| random.next(3)),
        receive_limit: random.once_in(6).then(|| 1_000 + random.next(100_000)),
    }
}

impl Planned {
    pub(super) fn is_cut_short(&self) -> bool {
        self.gives_up_after.is_some() || self.receive_limit.is_some()
    }

    pub(super) fn request(&self, place: usize) -> Message {
        message(self.number + place, self.requests[place])
    }

    pub(super) fn response(&self, place: usize) -> Message {
        message(self.number + place + 7, self.responses[place])
    }

    /// The result of the handler.
    pub(super) fn outcome(&self) -> Result<(), Status> {
        match self.failure {
            None => Ok(()),
            Some(code) => Err(Status::new(
                code,
                format!("call {} fails: 100 %, \u{e9}", self.number),
            )
            // The code, and an unknown field.
            .with_details(vec![8, code.to_i32() as u8, 0x78, self.number as u8])),
        }
    }

    /// The first step of a handler.
    pub(super) fn begin<T>(&self, request: &Request<T>) -> Result<(), Status> {
        request.set_trailer(self.trailer.clone());
        if self.header_first {
            request.send_header(self.header.clone())
        } else {
            request.set_header(self.header.clone())
        }
    }
}

/// A message of this length; no two that follow each other are alike.
fn message(salt: usize, length: usize) -> Message {
    msg((0..length)
        .map(|n| (n * 31 + salt) as u8)
        .collect::<Vec<_>>())
}
