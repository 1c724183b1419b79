//! The failure of a handshake, with its side and its protocol.
//!
//! Created by `channel.rs` and `server.rs`, on the task of the attempt to connect or of the
//! accepted connection.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error_text::debug_is_text;
use crate::side::Side;
use crate::task::Panicked;

/// The failure of a connection's security handshake.
///
/// On a client it is in the chain of sources of the status of every call that fails for it; on a
/// server it is in the log. Its text has the protocol and the other side. Its source is the error
/// of the handshake.
#[derive(Clone)]
pub struct HandshakeError {
    side: Side,
    protocol: &'static str,
    cause: HandshakeFailureCause,
}

#[derive(Clone)]
enum HandshakeFailureCause {
    Failed(Arc<dyn Error + Send + Sync>),
    Panicked,
    TimedOut {
        limit: Duration,
        /// The option that sets the limit.
        option: &'static str,
    },
}

impl HandshakeError {
    fn failed(side: Side, protocol: &'static str, cause: Box<dyn Error + Send + Sync>) -> Self {
        let cause = HandshakeFailureCause::Failed(cause.into());
        Self {
            side,
            protocol,
            cause,
        }
    }

    fn panicked(side: Side, protocol: &'static str) -> Self {
        Self {
            side,
            protocol,
            cause: HandshakeFailureCause::Panicked,
        }
    }

    pub(super) fn timed_out(
        side: Side,
        protocol: &'static str,
        limit: Duration,
        option: &'static str,
    ) -> Self {
        Self {
            side,
            protocol,
            cause: HandshakeFailureCause::TimedOut { limit, option },
        }
    }

    /// This side of the connection.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The protocol of the credentials.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// Returns whether the handshake was dropped at its deadline.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self.cause, HandshakeFailureCause::TimedOut { .. })
    }
}

/// Returns the output of a handshake that has ended.
///
/// # Errors
/// The handshake has failed or panicked.
pub(super) fn settled<T>(
    side: Side,
    protocol: &'static str,
    outcome: Result<Result<T, Box<dyn Error + Send + Sync>>, Panicked>,
) -> Result<T, HandshakeError> {
    outcome
        .map_err(|_| HandshakeError::panicked(side, protocol))?
        .map_err(|cause| HandshakeError::failed(side, protocol, cause))
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            "tls" => "TLS",
            protocol => protocol,
        };
        let remote = match self.side {
            Side::Client => "server",
            Side::Server => "client",
        };
        write!(f, "the {protocol} handshake with the {remote} ")?;
        match &self.cause {
            HandshakeFailureCause::Failed(cause) => write!(f, "failed: {cause}"),
            HandshakeFailureCause::Panicked => f.write_str(
                "failed: the credentials panicked; the log has the message, and the option is \
                 credentials",
            ),
            HandshakeFailureCause::TimedOut { limit, option } => {
                write!(f, "took longer than {limit:?}; the option is {option}")
            }
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            HandshakeFailureCause::Failed(cause) => Some(&**cause),
            HandshakeFailureCause::Panicked | HandshakeFailureCause::TimedOut { .. } => None,
        }
    }
}

debug_is_text!(HandshakeError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_protocol_the_other_side_and_the_reason() {
        let limit = Duration::from_secs(20);
        for (error, expected) in [
            (
                HandshakeError::failed(Side::Client, "psk", "wrong key".into()),
                "the psk handshake with the server failed: wrong key",
            ),
            (
                HandshakeError::failed(Side::Server, "tls", "no".into()),
                "the TLS handshake with the client failed: no",
            ),
            (
                HandshakeError::panicked(Side::Server, "psk"),
                "the psk handshake with the client failed: the credentials panicked; the log has the \
                 message, and the option is credentials",
            ),
            (
                HandshakeError::timed_out(Side::Client, "psk", limit, "min_connect_timeout"),
                "the psk handshake with the server took longer than 20s; the option is \
                 min_connect_timeout",
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
