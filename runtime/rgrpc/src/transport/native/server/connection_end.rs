//! The end of a server's connection: what its calls, its client and the log are told of it. The
//! connection's task makes it when it ends, and does what it says.

use rgrpc_http2::ErrorCode;

use crate::disconnect_reason::TOO_MANY_PINGS;
use crate::io::Address;
use crate::side::Side;
use crate::transport::{DisconnectReason, OtherProtocol, RefusalLog, StreamFailure};

/// The end of a connection.
#[derive(Debug)]
pub(super) struct ConnectionEnd {
    reason: DisconnectReason,
    /// The client's SETTINGS had not come.
    before_preface: bool,
}

impl ConnectionEnd {
    /// Creates the end for this reason. A client whose SETTINGS have not come may speak another
    /// protocol, which `unread`, all that it has sent, shows and which explains more.
    pub(super) fn new(reason: DisconnectReason, before_preface: bool, unread: &[u8]) -> Self {
        let is_own = matches!(
            reason,
            DisconnectReason::PrefaceTimedOut
                | DisconnectReason::TooManyPings
                | DisconnectReason::MaxConnectionAge
        );
        let reason = match OtherProtocol::of_client(unread) {
            Some(other) if before_preface && !is_own => DisconnectReason::OtherProtocol(other),
            _ => reason,
        };
        Self {
            reason,
            before_preface,
        }
    }

    /// Logs the end. The refusal of a client is a warning.
    pub(super) fn log(&self, refusals: &RefusalLog, peer: &Address) {
        let problem = self.reason.at(Side::Server);
        let is_refusal = match &self.reason {
            DisconnectReason::OtherProtocol(_)
            | DisconnectReason::PrefaceTimedOut
            | DisconnectReason::TooManyPings => true,
            DisconnectReason::Protocol(_) => self.before_preface,
            _ => false,
        };
        if is_refusal {
            refusals.refused(peer, &problem);
        } else {
            tracing::debug!(%peer, %problem, "connection ended");
        }
    }

    /// The GOAWAY that the client is sent, besides that of the core: code and debug data.
    pub(super) fn goaway(&self) -> Option<(ErrorCode, &'static [u8])> {
        match self.reason {
            DisconnectReason::TooManyPings => Some((ErrorCode::ENHANCE_YOUR_CALM, TOO_MANY_PINGS)),
            DisconnectReason::KeepaliveTimedOut { .. } => Some((ErrorCode::NO_ERROR, b"")),
            _ => None,
        }
    }

    /// Returns whether the task waits until the client has closed its end. A client that does not
    /// answer PINGs would not answer that either.
    pub(super) fn lingers(&self) -> bool {
        !matches!(self.reason, DisconnectReason::KeepaliveTimedOut { .. })
    }

    /// The failure of the connection's streams.
    pub(super) fn failure(&self) -> StreamFailure {
        StreamFailure::ConnectionEnded(self.reason.clone())
    }

    pub(super) fn into_reason(self) -> DisconnectReason {
        self.reason
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_octets_of_another_protocol_explain_an_end_before_the_preface() {
        let http1 = b"GET / HTTP/1.1\r\n";
        for (reason, before_preface, unread, text) in [
            (
                DisconnectReason::ClosedByPeer,
                true,
                &http1[..],
                "the client speaks HTTP/1, not HTTP/2: it sent \"GET / HTTP/1.1\"",
            ),
            (
                DisconnectReason::ClosedByPeer,
                true,
                b"",
                "the client closed it",
            ),
            (
                DisconnectReason::ClosedByPeer,
                false,
                http1,
                "the client closed it",
            ),
            (
                DisconnectReason::PrefaceTimedOut,
                true,
                http1,
                "no HTTP/2 SETTINGS came within the option connection_timeout",
            ),
        ] {
            let end = ConnectionEnd::new(reason, before_preface, unread);
            assert_eq!(
                end.failure().to_status().message(),
                format!("the connection ended: {text}")
            );
        }
    }

    #[test]
    fn a_client_is_told_why_and_is_waited_for_unless_it_is_silent() {
        let silent = DisconnectReason::KeepaliveTimedOut {
            time: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        for (reason, goaway, lingers) in [
            (DisconnectReason::ClosedByPeer, None, true),
            (
                DisconnectReason::TooManyPings,
                Some((ErrorCode::ENHANCE_YOUR_CALM, TOO_MANY_PINGS)),
                true,
            ),
            (silent, Some((ErrorCode::NO_ERROR, &b""[..])), false),
        ] {
            let end = ConnectionEnd::new(reason, false, b"");
            assert_eq!((end.goaway(), end.lingers()), (goaway, lingers), "{end:?}");
        }
    }
}
