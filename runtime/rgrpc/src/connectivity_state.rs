//! The states of a channel, a policy and an endpoint.
//!
//! Published by balancers, on the channel's task; read by users and calls, on any.

use std::fmt;

/// The state of a channel's connections.
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
/// Every state can change to `Shutdown`. A channel in `TransientFailure` stays in this state while
/// it reconnects, until it is `Ready`. Until then, calls without "wait for ready" fail at once
/// (gRFC A62).
///
/// Source: grpc-go `connectivity.State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectivityState {
    /// There is no connection and no attempt to connect, because no call needs one.
    Idle,
    /// The channel is connecting, and no attempt has failed yet.
    Connecting,
    /// The channel has a connection, and calls use it.
    Ready,
    /// Connecting has failed. The channel tries again, after a longer delay each time.
    TransientFailure,
    /// The channel is closed. This is the last state.
    Shutdown,
}

impl ConnectivityState {
    /// Returns the state's name in the gRPC documents, such as `TRANSIENT_FAILURE`.
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
