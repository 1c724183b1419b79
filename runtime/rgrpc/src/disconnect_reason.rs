//! The reason why a connection has ended.
//!
//! Created by the connection's task; read by statistics, stats handlers, the channel and the texts
//! of statuses.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rgrpc_http2::ErrorCode;

use crate::side::Side;

/// The reason why a connection has ended.
///
/// Its text is a part of a sentence about the connection: "the peer closed it".
///
/// Source: gRFC A94 for the kinds that a metric distinguishes, which
/// [`metric_label`](Self::metric_label) returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The peer sent GOAWAY, and the connection ended after it.
    GoAway(GoAway),
    /// The peer closed the connection without GOAWAY.
    ClosedByPeer,
    /// This end closed the connection: its channel no longer needs it, or its server was stopped or
    /// has drained it.
    ClosedLocally,
    /// The peer, or a host on the path, reset the connection.
    Reset(Arc<io::Error>),
    /// The peer's host did not acknowledge sent data in time, for example within the
    /// [TCP user timeout](crate::Server::tcp_user_timeout).
    SocketTimedOut(Arc<io::Error>),
    /// The socket or the session on it, such as that of TLS, failed otherwise.
    Io(Arc<io::Error>),
    /// The peer did not acknowledge a PING of [keepalive](crate::keepalive).
    #[non_exhaustive]
    KeepaliveTimedOut {
        /// The time of silence before the PING.
        time: Duration,
        /// The time of silence after the PING.
        timeout: Duration,
    },
    /// The client sent no HTTP/2 SETTINGS within
    /// [`connection_timeout`](crate::Server::connection_timeout).
    PrefaceTimedOut,
    /// The client sent more PINGs than
    /// [`keepalive_enforcement`](crate::Server::keepalive_enforcement) allows.
    TooManyPings,
    /// The connection reached its
    /// [`max_connection_age`](crate::keepalive::ServerParameters::max_connection_age), and calls
    /// were under way at the end of the grace period.
    MaxConnectionAge,
    /// The peer violated HTTP/2 or exceeded a budget.
    Protocol(ProtocolViolation),
    /// The peer does not speak HTTP/2, or not in plain text.
    OtherProtocol(OtherProtocol),
    /// The connection's task panicked; the log has the message.
    Panicked,
    /// The tokio runtime of the connection's task was shut down.
    RuntimeShutDown,
}

/// A GOAWAY frame that the peer has sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GoAway {
    /// The error code (RFC 9113, section 7).
    pub code: u32,
    /// The debug data, up to the length of a frame. gRPC's implementations send text.
    pub debug_data: Bytes,
}

/// A violation of HTTP/2 by the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProtocolViolation {
    /// The error code sent to the peer (RFC 9113, section 7).
    pub code: u32,
    /// The description of the violation, or the name of the budget.
    pub description: Cow<'static, str>,
}

/// The protocol of a peer that does not speak HTTP/2, or not in plain text: recognised by the first
/// octets that it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherProtocol {
    /// HTTP/1. The text is the first line, up to 64 octets of it.
    Http1(Arc<str>),
    /// TLS: the peer has sent a TLS record (RFC 8446, section 5.1).
    Tls,
}

/// The debug data of a server that receives too many PINGs.
pub(crate) const TOO_MANY_PINGS: &[u8] = b"too_many_pings";

impl DisconnectReason {
    /// The reason of an error of the socket.
    pub(crate) fn of_io(error: Arc<io::Error>) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset => Self::Reset(error),
            io::ErrorKind::TimedOut => Self::SocketTimedOut(error),
            _ => Self::Io(error),
        }
    }

    /// The error of the socket, if it is the reason.
    #[must_use]
    pub fn io_error(&self) -> Option<&Arc<io::Error>> {
        match self {
            Self::Reset(error) | Self::SocketTimedOut(error) | Self::Io(error) => Some(error),
            _ => None,
        }
    }

    /// Returns whether the peer had sent GOAWAY with "too_many_pings".
    #[must_use]
    pub fn is_too_many_pings(&self) -> bool {
        matches!(self, Self::TooManyPings)
            || matches!(self, Self::GoAway(goaway) if goaway.is_too_many_pings())
    }

    /// Returns the value of the label `grpc.disconnect_error` of a metric. There are few of them,
    /// as a label needs.
    ///
    /// - `GOAWAY NO_ERROR` and so on, with the names of RFC 9113. A code that it does not define is
    ///   `INTERNAL_ERROR`, as its section 7 allows.
    /// - `subchannel shutdown`: this end closed the connection.
    /// - `connection reset`, `connection timed out` (by the socket or by keepalive), `connection
    ///   aborted`, and `socket error` for the other errors of the socket.
    /// - `unknown`: the peer closed the connection without GOAWAY, the session on the socket failed,
    ///   or anything else.
    ///
    /// Source: gRFC A94; grpc-go `disconnectErrorLabel` for a closed connection.
    #[must_use]
    pub fn metric_label(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::GoAway(goaway) => {
                let name = ErrorCode(goaway.code).name();
                // A peer can send any number.
                return format!("GOAWAY {}", name.unwrap_or("INTERNAL_ERROR")).into();
            }
            Self::ClosedLocally => "subchannel shutdown",
            Self::Reset(_) => "connection reset",
            Self::SocketTimedOut(_) | Self::KeepaliveTimedOut { .. } => "connection timed out",
            Self::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionAborted => "connection aborted",
                // The errors of a TLS session.
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => "unknown",
                _ => "socket error",
            },
            _ => "unknown",
        })
    }

    /// The reason in the words of an end of the connection.
    pub(crate) fn at(&self, side: Side) -> impl fmt::Display + '_ {
        ReasonText {
            reason: self,
            side: Some(side),
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = ReasonText {
            reason: self,
            side: None,
        };
        text.fmt(f)
    }
}

/// The text of a reason, in the words of the side, if there is one.
struct ReasonText<'a> {
    reason: &'a DisconnectReason,
    side: Option<Side>,
}

impl fmt::Display for ReasonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (this, peer) = match self.side {
            Some(Side::Client) => ("the client", "the server"),
            Some(Side::Server) => ("the server", "the client"),
            None => ("this end", "the peer"),
        };
        match self.reason {
            DisconnectReason::GoAway(goaway) => {
                write!(f, "{peer} ended it by GOAWAY with {goaway}")
            }
            DisconnectReason::ClosedByPeer => write!(f, "{peer} closed it"),
            DisconnectReason::ClosedLocally => write!(f, "{this} closed it"),
            DisconnectReason::Reset(error)
            | DisconnectReason::SocketTimedOut(error)
            | DisconnectReason::Io(error) => error.fmt(f),
            // It begins as in grpc-go.
            DisconnectReason::KeepaliveTimedOut { time, timeout } => write!(
                f,
                "keepalive ping failed to receive ACK within timeout: nothing was received for \
                 {time:?}, nor for {timeout:?} after a PING; the option is keepalive"
            ),
            DisconnectReason::PrefaceTimedOut => {
                f.write_str("no HTTP/2 SETTINGS came within the option connection_timeout")
            }
            DisconnectReason::TooManyPings => write!(
                f,
                "{peer} sent too many PINGs; the option is keepalive_enforcement"
            ),
            DisconnectReason::MaxConnectionAge => f.write_str(
                "it has reached its max_connection_age and max_connection_age_grace; the option is \
                 keepalive",
            ),
            DisconnectReason::Protocol(violation) => {
                write!(f, "{peer} broke the protocol: {violation}")
            }
            DisconnectReason::OtherProtocol(OtherProtocol::Http1(line)) => {
                let sent = match self.side {
                    Some(Side::Client) => "answered",
                    Some(Side::Server) | None => "sent",
                };
                write!(f, "{peer} speaks HTTP/1, not HTTP/2: it {sent} {line:?}")
            }
            DisconnectReason::OtherProtocol(OtherProtocol::Tls) => f.write_str(match self.side {
                Some(Side::Client) => {
                    "the server speaks TLS, not plain text: it answered with a TLS record"
                }
                Some(Side::Server) => {
                    "the client speaks TLS, and the server is in plain text; the server's option is \
                     credentials"
                }
                None => "the peer speaks TLS, not plain text",
            }),
            DisconnectReason::Panicked => f.write_str("its task panicked; the log has the message"),
            DisconnectReason::RuntimeShutDown => {
                f.write_str("the tokio runtime of its task was shut down")
            }
        }
    }
}

impl GoAway {
    pub(crate) fn new(code: u32, debug_data: Bytes) -> Self {
        Self { code, debug_data }
    }

    /// Returns whether the server says that the client has sent too many PINGs: ENHANCE_YOUR_CALM
    /// with the debug data "too_many_pings".
    ///
    /// Source: gRFC A8; grpc-go `GoAwayTooManyPings`.
    #[must_use]
    pub fn is_too_many_pings(&self) -> bool {
        self.code == ErrorCode::ENHANCE_YOUR_CALM.0 && self.debug_data == TOO_MANY_PINGS
    }
}

impl fmt::Display for GoAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code: {}", ErrorCode(self.code))?;
        if self.debug_data.is_empty() {
            return Ok(());
        }
        let debug_data = String::from_utf8_lossy(&self.debug_data);
        write!(f, ", debug data: {debug_data:?}")
    }
}

impl fmt::Display for ProtocolViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", ErrorCode(self.code), self.description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goaway(code: ErrorCode, debug_data: &'static str) -> GoAway {
        GoAway::new(code.0, Bytes::from_static(debug_data.as_bytes()))
    }

    fn io(kind: io::ErrorKind) -> DisconnectReason {
        DisconnectReason::of_io(Arc::new(io::Error::new(kind, "why")))
    }

    #[test]
    fn too_many_pings_are_recognised_by_code_and_debug_data() {
        for (code, debug_data, expected) in [
            (ErrorCode::ENHANCE_YOUR_CALM, "too_many_pings", true),
            (ErrorCode::ENHANCE_YOUR_CALM, "too_many_pings!", false),
            (ErrorCode::ENHANCE_YOUR_CALM, "", false),
            (ErrorCode::NO_ERROR, "too_many_pings", false),
        ] {
            let goaway = goaway(code, debug_data);
            assert_eq!(goaway.is_too_many_pings(), expected, "{goaway}");
            let reason = DisconnectReason::GoAway(goaway);
            assert_eq!(reason.is_too_many_pings(), expected);
        }
        assert!(DisconnectReason::TooManyPings.is_too_many_pings());
        assert!(!DisconnectReason::ClosedByPeer.is_too_many_pings());
    }

    #[test]
    fn socket_errors_are_recognised_by_their_kind() {
        for (kind, name) in [
            (io::ErrorKind::ConnectionReset, "Reset"),
            (io::ErrorKind::TimedOut, "SocketTimedOut"),
            (io::ErrorKind::ConnectionAborted, "Io"),
            (io::ErrorKind::BrokenPipe, "Io"),
        ] {
            let reason = io(kind);
            assert!(format!("{reason:?}").starts_with(name), "{reason:?}");
            assert_eq!(reason.io_error().expect("an error").kind(), kind);
            assert_eq!(reason.to_string(), "why");
        }
    }

    #[test]
    fn a_reason_has_a_text_for_each_end_and_a_label() {
        let violation = ProtocolViolation {
            code: ErrorCode::PROTOCOL_ERROR.0,
            description: "a bad frame".into(),
        };
        let keepalive = DisconnectReason::KeepaliveTimedOut {
            time: Duration::from_secs(30),
            timeout: Duration::from_millis(1_500),
        };
        for (reason, client, server, label) in [
            (
                DisconnectReason::GoAway(goaway(ErrorCode::NO_ERROR, "max_age")),
                "the server ended it by GOAWAY with code: NO_ERROR, debug data: \"max_age\"",
                "the client ended it by GOAWAY with code: NO_ERROR, debug data: \"max_age\"",
                "GOAWAY NO_ERROR",
            ),
            (
                DisconnectReason::GoAway(goaway(ErrorCode(0xfe), "")),
                "the server ended it by GOAWAY with code: error code 0xfe",
                "the client ended it by GOAWAY with code: error code 0xfe",
                "GOAWAY INTERNAL_ERROR",
            ),
            (
                DisconnectReason::ClosedByPeer,
                "the server closed it",
                "the client closed it",
                "unknown",
            ),
            (
                DisconnectReason::ClosedLocally,
                "the client closed it",
                "the server closed it",
                "subchannel shutdown",
            ),
            (
                io(io::ErrorKind::ConnectionReset),
                "why",
                "why",
                "connection reset",
            ),
            (
                io(io::ErrorKind::TimedOut),
                "why",
                "why",
                "connection timed out",
            ),
            (
                io(io::ErrorKind::ConnectionAborted),
                "why",
                "why",
                "connection aborted",
            ),
            (io(io::ErrorKind::BrokenPipe), "why", "why", "socket error"),
            (io(io::ErrorKind::InvalidData), "why", "why", "unknown"),
            (io(io::ErrorKind::UnexpectedEof), "why", "why", "unknown"),
            (
                keepalive,
                "keepalive ping failed to receive ACK within timeout: nothing was received for 30s, \
                 nor for 1.5s after a PING; the option is keepalive",
                "keepalive ping failed to receive ACK within timeout: nothing was received for 30s, \
                 nor for 1.5s after a PING; the option is keepalive",
                "connection timed out",
            ),
            (
                DisconnectReason::PrefaceTimedOut,
                "no HTTP/2 SETTINGS came within the option connection_timeout",
                "no HTTP/2 SETTINGS came within the option connection_timeout",
                "unknown",
            ),
            (
                DisconnectReason::TooManyPings,
                "the server sent too many PINGs; the option is keepalive_enforcement",
                "the client sent too many PINGs; the option is keepalive_enforcement",
                "unknown",
            ),
            (
                DisconnectReason::MaxConnectionAge,
                "it has reached its max_connection_age and max_connection_age_grace; the option is \
                 keepalive",
                "it has reached its max_connection_age and max_connection_age_grace; the option is \
                 keepalive",
                "unknown",
            ),
            (
                DisconnectReason::Protocol(violation),
                "the server broke the protocol: PROTOCOL_ERROR: a bad frame",
                "the client broke the protocol: PROTOCOL_ERROR: a bad frame",
                "unknown",
            ),
            (
                DisconnectReason::OtherProtocol(OtherProtocol::Http1("HTTP/1.1 200 OK".into())),
                "the server speaks HTTP/1, not HTTP/2: it answered \"HTTP/1.1 200 OK\"",
                "the client speaks HTTP/1, not HTTP/2: it sent \"HTTP/1.1 200 OK\"",
                "unknown",
            ),
            (
                DisconnectReason::Panicked,
                "its task panicked; the log has the message",
                "its task panicked; the log has the message",
                "unknown",
            ),
            (
                DisconnectReason::RuntimeShutDown,
                "the tokio runtime of its task was shut down",
                "the tokio runtime of its task was shut down",
                "unknown",
            ),
        ] {
            assert_eq!(reason.at(Side::Client).to_string(), client);
            assert_eq!(reason.at(Side::Server).to_string(), server);
            assert_eq!(reason.metric_label(), label, "{reason}");
        }
        let neutral = DisconnectReason::ClosedByPeer.to_string();
        assert_eq!(neutral, "the peer closed it");
    }
}
