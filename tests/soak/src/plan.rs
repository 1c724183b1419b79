//! The plan of a call: its kind, its messages, and the habits of its two sides.

use crate::habits::Habits;

/// The method and the order of messages of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unary.
    Unary,
    /// Many messages to the server, one back.
    ClientStreaming,
    /// One message to the server, many back.
    ServerStreaming,
    /// The server answers when it has received all messages.
    HalfDuplex,
    /// The server answers each message before the client sends the next.
    PingPong,
    /// Both sides send at once.
    FullDuplex,
}

/// The way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// The way a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All messages arrive, and the status is OK.
    Complete,
    /// The client drops the call after this many messages that it received.
    ClientDrops(usize),
    /// The server returns an error after this many messages that it received.
    ServerFails(usize),
    /// The server drops its receiving half after this many messages, and completes the call.
    ServerStopsReading(usize),
}

/// The bounds of plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The largest encoded size of a message, in bytes.
    pub max_message: usize,
    /// The largest sum of the sizes of a direction's messages, in bytes.
    pub max_total: usize,
    /// The largest number of messages in a direction.
    pub max_messages: usize,
}

impl Profile {
    /// For runs in virtual time, which are unoptimised builds.
    pub const SMALL: Self = Self {
        max_message: 4 << 20,
        max_total: 5 << 20,
        max_messages: 12,
    };

    /// For runs over sockets.
    pub const LARGE: Self = Self {
        max_message: (16 << 20) + 6,
        max_total: 36 << 20,
        max_messages: 24,
    };
}

/// A call, which its seed and its profile determine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The kind.
    pub kind: Kind,
    pub(crate) up: Vec<usize>,
    pub(crate) down: Vec<usize>,
    pub(crate) client: Habits,
    pub(crate) server: Habits,
    pub(crate) ending: Ending,
}

/// The length of a message's prefix.
const PREFIX: usize = 5;

/// Sizes at which the transport decides something: a frame, 16 KiB, the window, 64 KiB (from which
/// on a message is read straight into its buffer), the default limit of a received message, and 16
/// MiB (up to which it is). The prefix of a message counts in some of them and not in others.
const THRESHOLDS: [usize; 9] = [
    1_024,
    16_384,
    32_768,
    49_152,
    65_535,
    65_536,
    1 << 20,
    4 << 20,
    16 << 20,
];

impl Plan {
    /// Returns the plan of a seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let kind = random
            .choice([
                Kind::Unary,
                Kind::ClientStreaming,
                Kind::ServerStreaming,
                Kind::HalfDuplex,
                Kind::PingPong,
                Kind::FullDuplex,
            ])
            .unwrap_or(Kind::FullDuplex);
        let mut up = sizes(&mut random, profile);
        let mut down = sizes(&mut random, profile);
        if matches!(kind, Kind::Unary | Kind::ServerStreaming) {
            up.truncate(1);
        }
        if matches!(kind, Kind::Unary | Kind::ClientStreaming) {
            down.truncate(1);
        }
        if kind == Kind::PingPong {
            let rounds = up.len().min(down.len());
            up.truncate(rounds);
            down.truncate(rounds);
        }
        let ending = match random.u8(..12) {
            0 => Ending::ClientDrops(random.usize(..=down.len())),
            1 => Ending::ServerFails(random.usize(..=up.len())),
            2 => Ending::ServerStopsReading(random.usize(..=up.len())),
            _ => Ending::Complete,
        };
        // A server that has its only message cannot fail after it, and one that answers each
        // message has to read them.
        let ending = match (kind, ending) {
            (_, Ending::ClientDrops(_) | Ending::Complete)
            | (Kind::ClientStreaming | Kind::HalfDuplex | Kind::FullDuplex, _)
            | (Kind::PingPong, Ending::ServerFails(_)) => ending,
            _ => Ending::Complete,
        };
        Self {
            seed,
            kind,
            up,
            down,
            client: Habits::new(&mut random),
            server: Habits::new(&mut random),
            ending,
        }
    }

    /// The bytes of all messages of the plan.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.up.iter().chain(&self.down).sum()
    }
}

/// The sizes of a direction's messages: at least one.
fn sizes(random: &mut fastrand::Rng, profile: Profile) -> Vec<usize> {
    let count = 1 + random.usize(..profile.max_messages);
    // Most directions have messages of about the same size, which is how users stream.
    let alike = random.u8(..4) > 0;
    let first = size(random, profile.max_message);
    let mut left = profile.max_total;
    let mut sizes = Vec::new();
    for _ in 0..count {
        let size = if alike {
            vary(random, first, profile.max_message)
        } else {
            size(random, profile.max_message)
        };
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None if sizes.is_empty() => {}
            None => break,
        }
        sizes.push(size);
    }
    sizes
}

fn size(random: &mut fastrand::Rng, max: usize) -> usize {
    let size = match random.u8(..10) {
        0 => random.usize(..100),
        1 => random.usize(..200_000),
        2 | 3 => 200 * 1_024,
        // The largest ones are seldom: they take the time of hundreds of others.
        4 if random.u8(..4) == 0 => THRESHOLDS[random.usize(..THRESHOLDS.len())],
        _ => THRESHOLDS[random.usize(..6)] * random.usize(1..=3),
    };
    vary(random, size, max)
}

/// A size at most a few bytes from this one, most often on either side of a prefix.
fn vary(random: &mut fastrand::Rng, size: usize, max: usize) -> usize {
    let near = match random.u8(..8) {
        0 => size.saturating_sub(PREFIX),
        1 => size.saturating_sub(PREFIX + 1),
        2 => size.saturating_sub(PREFIX - 1),
        3 => size.saturating_sub(1),
        4 => size + 1,
        _ => size,
    };
    near.min(max)
}
