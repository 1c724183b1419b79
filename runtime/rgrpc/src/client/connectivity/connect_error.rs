//! The failure of an attempt to connect.
//!
//! The task of the attempt makes it, and the channel's task counts it and formats it for the status of
//! the calls that fail for it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::io::Address;
use crate::status::Status;
use crate::task::{Lost, Panicked};
use crate::transport::{Disconnect, DrainReason, PrefaceError};

/// The failure of an attempt to connect to an address.
#[derive(Clone, Debug)]
pub(in crate::client) struct ConnectError {
    pub(in crate::client) address: Address,
    pub(in crate::client) failure: ConnectFailure,
}

/// The reason why there is no connection.
#[derive(Clone, Debug)]
pub(in crate::client) enum ConnectFailure {
    /// The dialer failed.
    Dial(Arc<dyn Error + Send + Sync>),
    DialerPanicked(Panicked),
    /// The security handshake failed.
    Handshake(Arc<dyn Error + Send + Sync>),
    /// The server's SETTINGS did not come.
    Preface {
        error: Box<PrefaceError>,
        /// The end of the text: the likely reason, for these credentials.
        hint: &'static str,
    },
    /// The time of the attempt was over in this phase.
    TimedOut {
        phase: ConnectPhase,
        /// The time of the whole attempt.
        limit: Duration,
    },
    /// The task of the attempt is gone.
    TaskLost(Lost),
    /// There was a connection, but it ended before it was of use.
    OfNoUse(Box<ConnectionLoss>),
}

/// A phase of an attempt to connect, for its timeout. The handshake between the two is not here: its
/// timeout is a [`HandshakeError`](crate::credentials::HandshakeError), and a proxy's CONNECT ends
/// earlier, by an error of the dialer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum ConnectPhase {
    /// The dialer resolves the address, if it is a name, and connects to it.
    Dial,
    /// The server's HTTP/2 SETTINGS are awaited.
    Preface,
}

/// The reason why a connection takes no more calls.
#[derive(Clone, Debug)]
pub(in crate::client) enum ConnectionLoss {
    Draining(DrainReason),
    Closed(Disconnect),
}

impl ConnectError {
    pub(in crate::client) fn new(address: Address, failure: ConnectFailure) -> Self {
        Self { address, failure }
    }

    /// Returns UNAVAILABLE with this text. The error behind the failure is its source.
    pub(in crate::client) fn to_status(&self, text: String) -> Status {
        let status = Status::unavailable(text);
        match &self.failure {
            ConnectFailure::Dial(cause) | ConnectFailure::Handshake(cause) => {
                status.with_shared_source(Some(Arc::clone(cause)))
            }
            ConnectFailure::Preface { error, .. } => error.with_source(status),
            ConnectFailure::DialerPanicked(_)
            | ConnectFailure::TimedOut { .. }
            | ConnectFailure::TaskLost(_)
            | ConnectFailure::OfNoUse(_) => status,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, failure } = self;
        match failure {
            ConnectFailure::Dial(cause) | ConnectFailure::Handshake(cause) => {
                write!(f, "{address}: {cause}")
            }
            ConnectFailure::DialerPanicked(panicked) => write!(f, "{address}: {panicked}"),
            ConnectFailure::Preface { error, hint } => write!(f, "{address}: {error}{hint}"),
            ConnectFailure::TimedOut { phase, limit } => {
                let limit = in_hundredths(*limit);
                match (phase, address) {
                    (ConnectPhase::Dial, Address::Name(_)) => write!(
                        f,
                        "{address}: resolving the name and connecting took longer than {limit} s"
                    )?,
                    (ConnectPhase::Dial, _) => {
                        write!(f, "{address}: connecting took longer than {limit} s")?;
                    }
                    (ConnectPhase::Preface, _) => write!(
                        f,
                        "{address}: no HTTP/2 SETTINGS came from the server within {limit} s of the \
                         attempt to connect"
                    )?,
                }
                f.write_str("; the option is min_connect_timeout")
            }
            ConnectFailure::TaskLost(lost) => write!(f, "{address}: {lost}"),
            ConnectFailure::OfNoUse(loss) => write!(
                f,
                "{address}: the connection ended before it was of use: {loss}"
            ),
        }
    }
}

impl fmt::Display for ConnectionLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draining(reason) => reason.fmt(f),
            Self::Closed(end) => end.fmt(f),
        }
    }
}

/// Seconds, with as many digits as they need and two after the point at most.
fn in_hundredths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::io::Peer;
    use crate::task::caught;
    use crate::{DisconnectReason, GoAway};

    #[test]
    fn the_text_has_the_address_and_the_reason_and_the_status_its_source() {
        let disconnect = |reason, goaway| {
            let peer = Peer::new(Address::Pipe, Address::Pipe);
            Disconnect::new(Arc::new(peer), reason, goaway)
        };
        let of_no_use = |loss| ConnectFailure::OfNoUse(Box::new(loss));
        let goaway = GoAway::new(0, "bye".into());
        let refused = || Arc::new(io::Error::new(io::ErrorKind::ConnectionRefused, "refused"));
        let panicked = caught("the dialer", || panic!("a bug")).expect_err("it panics");
        for (failure, text, has_source) in [
            (ConnectFailure::Dial(refused()), "pipe: refused", true),
            (ConnectFailure::Handshake(refused()), "pipe: refused", true),
            (
                ConnectFailure::DialerPanicked(panicked),
                "pipe: the dialer panicked; the log has its message",
                false,
            ),
            (
                ConnectFailure::Preface {
                    error: Box::new(PrefaceError(disconnect(
                        DisconnectReason::of_io(refused()),
                        None,
                    ))),
                    hint: "; it may want TLS",
                },
                "pipe: no HTTP/2 SETTINGS came from the server: the connection to pipe from pipe was \
                 lost: refused; it may want TLS",
                true,
            ),
            (
                ConnectFailure::TimedOut {
                    phase: ConnectPhase::Dial,
                    limit: Duration::from_millis(1_234),
                },
                "pipe: connecting took longer than 1.23 s; the option is min_connect_timeout",
                false,
            ),
            (
                ConnectFailure::TimedOut {
                    phase: ConnectPhase::Preface,
                    limit: Duration::from_secs(20),
                },
                "pipe: no HTTP/2 SETTINGS came from the server within 20 s of the attempt to connect; \
                 the option is min_connect_timeout",
                false,
            ),
            (
                ConnectFailure::TaskLost(Lost::Panicked),
                "pipe: its task panicked; the log has the message",
                false,
            ),
            (
                of_no_use(ConnectionLoss::Draining(DrainReason::GoAway(
                    goaway.clone(),
                ))),
                "pipe: the connection ended before it was of use: GOAWAY with code: NO_ERROR, debug \
                 data: \"bye\"",
                false,
            ),
            (
                of_no_use(ConnectionLoss::Draining(DrainReason::StreamIdsUsedUp)),
                "pipe: the connection ended before it was of use: its stream ids are used up",
                false,
            ),
            (
                of_no_use(ConnectionLoss::Closed(disconnect(
                    DisconnectReason::ClosedByPeer,
                    Some(goaway),
                ))),
                "pipe: the connection ended before it was of use: the connection to pipe from pipe \
                 was lost: the server closed it, after GOAWAY with code: NO_ERROR, debug data: \
                 \"bye\"",
                false,
            ),
        ] {
            let error = ConnectError::new(Address::Pipe, failure);
            assert_eq!(error.to_string(), text);
            let status = error.to_status(error.to_string());
            assert_eq!(status.message(), text);
            assert_eq!(Error::source(&status).is_some(), has_source, "{text}");
        }
    }

    #[test]
    fn a_timeout_of_dialing_a_name_says_that_the_name_was_resolved_then() {
        let failure = ConnectFailure::TimedOut {
            phase: ConnectPhase::Dial,
            limit: Duration::from_secs(20),
        };
        let error = ConnectError::new(Address::Name("shop.test:443".to_owned()), failure);
        assert_eq!(
            error.to_string(),
            "shop.test:443: resolving the name and connecting took longer than 20 s; the option is \
             min_connect_timeout"
        );
    }
}
