//! The end of a client's connection, as its calls and its channel learn of it.
//!
//! The connection's task makes it. Its text is formatted where a status or a log needs it.

use std::fmt;
use std::sync::Arc;

use rgrpc_http2::ConnectionError;

use super::keepalive::Unanswered;
use crate::disconnect_reason::{DisconnectReason, GoAway, ProtocolViolation};
use crate::io::Peer;
use crate::side::Side;
use crate::status::{Origin, Status};
use crate::task::Lost;

/// The end of a client's connection.
#[derive(Clone, Debug)]
pub(crate) struct Disconnect {
    peer: Arc<Peer>,
    reason: DisconnectReason,
    /// The server's GOAWAY before it.
    goaway: Option<GoAway>,
}

/// The end of a client's connection before the server's preface, its SETTINGS, had come.
#[derive(Clone, Debug)]
pub(crate) struct PrefaceError(pub(crate) Disconnect);

/// The reason why a connection takes no more streams, though those that are open go on.
#[derive(Clone, Debug)]
pub(crate) enum DrainReason {
    /// The server has sent GOAWAY.
    GoAway(GoAway),
    /// All stream ids are used, or nearly all.
    StreamIdsUsedUp,
}

impl Disconnect {
    pub(crate) fn new(
        peer: Arc<Peer>,
        reason: impl Into<DisconnectReason>,
        goaway: Option<GoAway>,
    ) -> Self {
        Self {
            peer,
            reason: reason.into(),
            goaway,
        }
    }

    /// Returns UNAVAILABLE, with the socket's error as its source if that is the reason.
    pub(crate) fn to_status(&self) -> Status {
        let status = Status::unavailable(self.to_string()).with_origin(Origin::Connection);
        with_io_source(status, &self.reason)
    }

    /// The reason as users see it: the first one that was seen, which is a GOAWAY if there was one
    /// (gRFC A94). A fault of this program is its own reason.
    pub(crate) fn reason(&self) -> DisconnectReason {
        match (&self.goaway, &self.reason) {
            (_, DisconnectReason::Panicked | DisconnectReason::RuntimeShutDown) | (None, _) => {
                self.reason.clone()
            }
            (Some(goaway), _) => DisconnectReason::GoAway(goaway.clone()),
        }
    }
}

impl PrefaceError {
    /// Adds the socket's error as the source of a status, if it is the reason.
    pub(crate) fn with_source(&self, status: Status) -> Status {
        with_io_source(status, &self.0.reason)
    }
}

fn with_io_source(status: Status, reason: &DisconnectReason) -> Status {
    match reason.io_error() {
        Some(error) => status.with_shared_source(Some(Arc::clone(error) as Arc<_>)),
        None => status,
    }
}

/// The text of calls on a connection that was lost.
pub(crate) fn lost_text(
    peer: &Peer,
    problem: &dyn fmt::Display,
    goaway: Option<&GoAway>,
) -> String {
    let Peer { remote, local, .. } = peer;
    let lost = format!("the connection to {remote} from {local} was lost: {problem}");
    match goaway {
        Some(goaway) => format!("{lost}, after GOAWAY with {goaway}"),
        None => lost,
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.at(Side::Client);
        f.write_str(&lost_text(&self.peer, &reason, self.goaway.as_ref()))
    }
}

impl fmt::Display for PrefaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.reason {
            DisconnectReason::OtherProtocol(text) => f.write_str(text),
            _ => write!(f, "no HTTP/2 SETTINGS came from the server: {}", self.0),
        }
    }
}

impl fmt::Display for DrainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoAway(goaway) => write!(f, "GOAWAY with {goaway}"),
            Self::StreamIdsUsedUp => f.write_str("its stream ids are used up"),
        }
    }
}

impl From<Lost> for DisconnectReason {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Panicked => Self::Panicked,
            Lost::Dropped => Self::RuntimeShutDown,
        }
    }
}

impl From<Unanswered> for DisconnectReason {
    fn from(Unanswered { time, timeout }: Unanswered) -> Self {
        Self::KeepaliveTimedOut { time, timeout }
    }
}

impl From<ConnectionError> for DisconnectReason {
    fn from(error: ConnectionError) -> Self {
        Self::Protocol(ProtocolViolation {
            code: error.code.0,
            description: error.reason.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io;
    use std::time::Duration;

    use bytes::Bytes;
    use rgrpc_http2::ErrorCode;

    use super::*;
    use crate::io::Address;

    fn disconnect(reason: impl Into<DisconnectReason>, goaway: Option<GoAway>) -> Disconnect {
        let peer = Peer::new(Address::Pipe, Address::Pipe);
        Disconnect::new(Arc::new(peer), reason, goaway)
    }

    fn reset() -> DisconnectReason {
        let error = io::Error::new(io::ErrorKind::ConnectionReset, "reset by peer");
        DisconnectReason::of_io(Arc::new(error))
    }

    #[test]
    fn the_text_has_both_ends_the_reason_and_the_goaway_before_it() {
        let goaway = GoAway::new(ErrorCode::NO_ERROR.0, Bytes::from_static(b"bye"));
        let violation = ConnectionError {
            code: ErrorCode::FRAME_SIZE_ERROR,
            reason: "too long",
        };
        for (end, text, preface) in [
            (
                disconnect(DisconnectReason::ClosedByPeer, Some(goaway)),
                "the connection to pipe from pipe was lost: the server closed it, after GOAWAY with \
                 code: NO_ERROR, debug data: \"bye\"",
                "no HTTP/2 SETTINGS came from the server: the connection to pipe from pipe was lost: \
                 the server closed it, after GOAWAY with code: NO_ERROR, debug data: \"bye\"",
            ),
            (
                disconnect(violation, None),
                "the connection to pipe from pipe was lost: the server broke the protocol: \
                 FRAME_SIZE_ERROR: too long",
                "no HTTP/2 SETTINGS came from the server: the connection to pipe from pipe was lost: \
                 the server broke the protocol: FRAME_SIZE_ERROR: too long",
            ),
            (
                disconnect(Lost::Dropped, None),
                "the connection to pipe from pipe was lost: the tokio runtime of its task was shut \
                 down",
                "no HTTP/2 SETTINGS came from the server: the connection to pipe from pipe was lost: \
                 the tokio runtime of its task was shut down",
            ),
            (
                disconnect(DisconnectReason::OtherProtocol("HTTP/1".into()), None),
                "the connection to pipe from pipe was lost: HTTP/1",
                "HTTP/1",
            ),
        ] {
            assert_eq!(end.to_string(), text);
            assert_eq!(end.to_status().message(), text);
            assert_eq!(PrefaceError(end).to_string(), preface);
        }
    }

    #[test]
    fn the_error_of_the_socket_is_the_source_of_the_status() {
        for (reason, expected) in [
            (reset(), Some(io::ErrorKind::ConnectionReset)),
            (DisconnectReason::ClosedByPeer, None),
        ] {
            let end = disconnect(reason, None);
            let preface = PrefaceError(end.clone()).with_source(Status::unavailable("why"));
            for status in [end.to_status(), preface] {
                let source = status.source();
                let source = source.and_then(|source| source.downcast_ref::<io::Error>());
                assert_eq!(source.map(io::Error::kind), expected);
            }
        }
    }

    #[test]
    fn a_goaway_is_the_reason_of_every_end_after_it() {
        let goaway = || Some(GoAway::new(ErrorCode::NO_ERROR.0, Bytes::new()));
        let unanswered = || DisconnectReason::KeepaliveTimedOut {
            time: Duration::from_secs(30),
            timeout: Duration::from_secs(20),
        };
        for (end, label) in [
            (
                disconnect(DisconnectReason::ClosedByPeer, goaway()),
                "GOAWAY NO_ERROR",
            ),
            (
                disconnect(DisconnectReason::ClosedLocally, goaway()),
                "GOAWAY NO_ERROR",
            ),
            (disconnect(reset(), goaway()), "GOAWAY NO_ERROR"),
            (disconnect(unanswered(), goaway()), "GOAWAY NO_ERROR"),
            (disconnect(unanswered(), None), "connection timed out"),
            (disconnect(DisconnectReason::Panicked, goaway()), "unknown"),
            (disconnect(reset(), None), "connection reset"),
            (
                disconnect(DisconnectReason::ClosedLocally, None),
                "subchannel shutdown",
            ),
        ] {
            assert_eq!(end.reason().metric_label(), label, "{end}");
        }
    }
}
