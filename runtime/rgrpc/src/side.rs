//! The side of a call or a connection, for decisions and error texts that differ by it.

use std::fmt;

/// A side of a call: the client or the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a call has two sides")]
pub enum Side {
    /// The side that makes the call.
    Client,
    /// The side that handles the call.
    Server,
}

impl Side {
    /// Returns the other side.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}
