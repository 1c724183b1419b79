//! The reason why a call waits inside the client, and the statuses of calls that end meanwhile.
//!
//! Used on the task that polls the call.

use std::fmt;
use std::time::Duration;

use crate::client::connectivity::Unconnected;
use crate::io::Address;
use crate::status::{Origin, Status};

/// The reason why a call waits.
#[derive(Clone, Debug)]
pub(super) enum WaitReason {
    /// The resolver has not found the service config yet.
    Resolver,
    /// There is no connection.
    Connection(Unconnected),
    /// All streams of the connection are taken.
    Stream { server: Address },
    /// The per-RPC credentials are making metadata.
    Credentials,
    /// The next attempt is not due yet.
    Backoff {
        /// 2 for the first that follows another.
        attempt: u32,
        /// The failure of the one before.
        last: Status,
    },
    /// The server has not answered yet.
    Answer {
        server: Address,
        /// The time for which nothing was received on the connection.
        silence: Duration,
    },
}

/// The status of a call whose deadline has passed on this side. `wait` is the reason of its wait;
/// `None`: the deadline had passed before the call began.
pub(super) fn deadline_exceeded(target: &str, wait: Option<&WaitReason>) -> Status {
    let text = match wait {
        Some(wait) => {
            format!("the deadline of the call to {target} passed while it waited for {wait}")
        }
        None => format!("the deadline of the call to {target} passed before it was sent"),
    };
    Status::deadline_exceeded(text).with_origin(Origin::Deadline)
}

/// The status of a call that its caller has dropped.
pub(super) fn dropped() -> Status {
    Status::cancelled("the call was dropped before it had ended")
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver => f.write_str("the resolver, which has found nothing yet"),
            Self::Connection(unconnected) => write!(f, "a connection: {unconnected}"),
            Self::Stream { server } => write!(
                f,
                "a stream: those that {server} allows at once are taken (its \
                 SETTINGS_MAX_CONCURRENT_STREAMS)"
            ),
            Self::Credentials => f.write_str("its per-RPC credentials"),
            Self::Backoff { attempt, last } => {
                let (code, text) = (last.code(), last.message());
                write!(
                    f,
                    "attempt {attempt} to begin, after a failure with {code}: {text}"
                )
            }
            Self::Answer { server, silence } => write!(
                f,
                "the answer of {server}, from which nothing was received for {:.1} s",
                silence.as_secs_f64()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectivity_state::ConnectivityState;

    #[test]
    fn a_deadline_that_passes_says_of_which_target_and_what_the_call_waited_for() {
        let server = || Address::Name("10.0.0.1:443".to_owned());
        let unconnected = Unconnected {
            state: ConnectivityState::TransientFailure,
            failure: Some("refused".to_owned()),
            under_way: Vec::new(),
        };
        let backoff = WaitReason::Backoff {
            attempt: 2,
            last: Status::unavailable("busy"),
        };
        for (wait, expected) in [
            (
                WaitReason::Resolver,
                "the resolver, which has found nothing yet",
            ),
            (
                WaitReason::Connection(unconnected),
                "a connection: the channel is TRANSIENT_FAILURE; last: refused",
            ),
            (
                WaitReason::Stream { server: server() },
                "a stream: those that 10.0.0.1:443 allows at once are taken (its \
                 SETTINGS_MAX_CONCURRENT_STREAMS)",
            ),
            (WaitReason::Credentials, "its per-RPC credentials"),
            (
                backoff,
                "attempt 2 to begin, after a failure with UNAVAILABLE: busy",
            ),
            (
                WaitReason::Answer {
                    server: server(),
                    silence: Duration::from_millis(1949),
                },
                "the answer of 10.0.0.1:443, from which nothing was received for 1.9 s",
            ),
        ] {
            let status = deadline_exceeded("dns:///shop", Some(&wait));
            let expected = format!(
                "the deadline of the call to dns:///shop passed while it waited for {expected}"
            );
            assert_eq!(status.message(), expected);
        }
        assert_eq!(
            deadline_exceeded("dns:///shop", None).message(),
            "the deadline of the call to dns:///shop passed before it was sent"
        );
    }
}
