//! The reason why a server's call is cancelled.
//!
//! Set by the engines and by the server's dispatch, on the tasks of connections and calls; read by
//! handlers and end hooks.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// The reason why a server's call was cancelled: the call ended before its handler, which was then
/// dropped.
///
/// See [`CallContext::cancel_reason`](crate::CallContext::cancel_reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// The client has cancelled the call (RST_STREAM with CANCEL).
    ClientCancelled,
    /// The call's deadline has passed.
    ///
    /// A client resets the stream when its own clock has reached the deadline, with the same code
    /// as when it cancels. Such a reset counts as the deadline when less than 10 ms were left here.
    DeadlineExceeded,
    /// The connection was lost or closed, or the client broke the protocol on it.
    ConnectionLost,
    /// The client has reset the stream with another code than CANCEL, or broke the protocol on it.
    StreamFailed,
    /// The response's headers are larger than the client takes (SETTINGS_MAX_HEADER_LIST_SIZE), so
    /// that the call has ended with INTERNAL.
    HeadersTooLarge,
    /// The server was stopped, or the runtime of the call was shut down.
    ServerStopped,
}

/// The tolerance between the client's deadline and the server's: the client's time began when the
/// request was sent, and its reset may travel faster than the request did.
const DEADLINE_TOLERANCE: Duration = Duration::from_millis(10);

impl CancelReason {
    /// The reason of a cancellation at `now` of a call with this deadline.
    pub(crate) fn at(self, now: Instant, deadline: Option<Instant>) -> Self {
        match deadline {
            Some(deadline)
                if self == Self::ClientCancelled && now + DEADLINE_TOLERANCE > deadline =>
            {
                Self::DeadlineExceeded
            }
            _ => self,
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCancelled => "the client has cancelled the call",
            Self::DeadlineExceeded => "the call's deadline has passed",
            Self::ConnectionLost => "the connection was lost",
            Self::StreamFailed => "the client has reset the stream or broken the protocol on it",
            Self::HeadersTooLarge => "the response's headers are larger than the client takes",
            Self::ServerStopped => "the server was stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_just_before_the_deadline_is_the_clients_deadline() {
        use CancelReason::{ClientCancelled, ConnectionLost, DeadlineExceeded};
        let now = Instant::now();
        let left = |millis| Some(now + Duration::from_millis(millis));
        for (reason, deadline, expected) in [
            (ClientCancelled, None, ClientCancelled),
            (ClientCancelled, left(10), ClientCancelled),
            (ClientCancelled, left(9), DeadlineExceeded),
            (ClientCancelled, left(0), DeadlineExceeded),
            (ConnectionLost, left(0), ConnectionLost),
        ] {
            assert_eq!(
                reason.at(now, deadline),
                expected,
                "{reason:?} {deadline:?}"
            );
        }
    }
}
