//! The load that a client makes.

use std::fmt;

use crate::flags::Mode;

/// The size of a payload that is small.
const SMALL: i32 = 32;

/// Connections, calls open on each, sizes and kind of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) conns: usize,
    pub(super) streams: usize,
    pub(super) bytes: i32,
    pub(super) mode: Mode,
}

impl Load {
    pub(super) const fn unary(conns: usize, streams: usize) -> Self {
        Self {
            conns,
            streams,
            bytes: SMALL,
            mode: Mode::Unary,
        }
    }

    pub(super) const fn stream(conns: usize, streams: usize) -> Self {
        Self {
            mode: Mode::Stream,
            ..Self::unary(conns, streams)
        }
    }

    /// The flags of a client.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Unary => "unary",
            Mode::Stream => "stream",
            Mode::Push => "push",
        };
        let bytes = self.bytes.to_string();
        [
            ("--conns", self.conns.to_string()),
            ("--streams", self.streams.to_string()),
            ("--req", bytes.clone()),
            ("--resp", bytes),
            ("--mode", mode.to_owned()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    }
}

/// As the tables name it: connections × streams.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.conns, self.streams)
    }
}
