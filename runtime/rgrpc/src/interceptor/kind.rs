//! The four kinds of calls.
//!
//! Set by stubs and by a server's descriptors; read by interceptors, stats handlers and dispatch.

use std::fmt;

/// The kind of a call: which sides send any number of messages.
///
/// Source: grpc-go `StreamDesc`; connect-go `StreamType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "gRPC has these four kinds")]
pub enum CallKind {
    /// One request, one response.
    Unary,
    /// Any number of requests, one response.
    ClientStreaming,
    /// One request, any number of responses.
    ServerStreaming,
    /// Any number of requests, any number of responses.
    BidiStreaming,
}

impl CallKind {
    /// Returns the kind of a method by the sides that send any number of messages: `Unary` for neither,
    /// `ClientStreaming` and `ServerStreaming` for one, `BidiStreaming` for both.
    #[must_use]
    pub const fn new(client_streams: bool, server_streams: bool) -> Self {
        match (client_streams, server_streams) {
            (false, false) => Self::Unary,
            (true, false) => Self::ClientStreaming,
            (false, true) => Self::ServerStreaming,
            (true, true) => Self::BidiStreaming,
        }
    }

    /// Returns whether the client sends any number of messages.
    #[must_use]
    pub const fn client_streams(self) -> bool {
        matches!(self, Self::ClientStreaming | Self::BidiStreaming)
    }

    /// Returns whether the server sends any number of messages.
    #[must_use]
    pub const fn server_streams(self) -> bool {
        matches!(self, Self::ServerStreaming | Self::BidiStreaming)
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unary => "unary",
            Self::ClientStreaming => "client-streaming",
            Self::ServerStreaming => "server-streaming",
            Self::BidiStreaming => "bidirectional",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_the_sides_that_stream() {
        for (client, server, text) in [
            (false, false, "unary"),
            (true, false, "client-streaming"),
            (false, true, "server-streaming"),
            (true, true, "bidirectional"),
        ] {
            let kind = CallKind::new(client, server);
            assert_eq!(kind.to_string(), text);
            assert_eq!(
                (kind.client_streams(), kind.server_streams()),
                (client, server)
            );
        }
    }
}
