use std::fmt;

/// How a channel is connected.
///
/// ```text
///             connect(), a call
///      Idle ─────────────────────► Connecting ─────────► Ready
///       ▲                           │      │              │ ▲
///       │   no calls for long       │      ▼ failed       │ │
///       ├───────────────────────────┤  TransientFailure ──│─┘
///       │                           │      │              │
///       └───────────────────────────┴──────┴──────────────┘
///                          connection lost, GOAWAY, no calls for long
/// ```
///
/// `Shutdown` follows any of them. While a channel in `TransientFailure` tries again it stays
/// there, until it is `Ready`: calls that do not wait fail at once meanwhile (gRFC A62).
///
/// Source: grpc-go `connectivity.State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectivityState {
    /// There is no connection, and none is being made: none is needed.
    Idle,
    /// A connection is being made, and no attempt has failed so far.
    Connecting,
    /// There is a connection, and calls go there.
    Ready,
    /// No connection could be made; the channel tries again, each time after a longer wait.
    TransientFailure,
    /// The channel was closed. The last state.
    Shutdown,
}

impl ConnectivityState {
    /// The state's name in the gRPC documents, such as `TRANSIENT_FAILURE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "IDLE",
            Self::Connecting => "CONNECTING",
            Self::Ready => "READY",
            Self::TransientFailure => "TRANSIENT_FAILURE",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

impl fmt::Display for ConnectivityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
