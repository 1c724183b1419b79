//! What a call waits for inside the client, so that it can say so when its deadline passes
//! meanwhile.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use super::connect_attempts::Unconnected;
use crate::io::Address;
use crate::lock::lock;
use crate::status::Status;

/// What a call waits for.
#[derive(Clone, Debug)]
pub(super) enum Wait {
    /// What the service config says about it, which the resolver finds.
    Resolver,
    /// A connection.
    Connection(Unconnected),
    /// A stream of a connection that is there.
    Stream { server: Address },
    /// The metadata of its per-RPC credentials.
    Credentials,
    /// The time of its next attempt.
    Backoff {
        /// 2 for the first that follows another.
        attempt: u32,
        /// How the one before has failed.
        last: Status,
    },
    /// What the server has to say.
    Answer {
        server: Address,
        /// For how long nothing was received on the connection.
        silence: Duration,
    },
}

/// The status of a call whose deadline has passed on this side. `wait` is what it waited for;
/// `None`: the deadline had passed before it began.
pub(super) fn deadline_exceeded(target: &str, wait: Option<&Wait>) -> Status {
    Status::deadline_exceeded(match wait {
        Some(wait) => {
            format!("the deadline of the call to {target} passed while it waited for {wait}")
        }
        None => format!("the deadline of the call to {target} passed before it was sent"),
    })
}

impl fmt::Display for Wait {
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

/// Which wait of a call was given up.
///
/// Only a wait that is dropped before it is over is noted down, so that a call that does not time
/// out pays nothing for it.
#[derive(Debug, Default)]
pub(super) struct GivenUp(Mutex<Option<Box<Wait>>>);

impl GivenUp {
    /// A wait begins; `what_for` is asked if it is given up. To be declared after what is waited
    /// with where dropping that would change the answer, so that it is dropped before.
    pub(super) fn waiting<F: FnOnce() -> Option<Wait>>(&self, what_for: F) -> Waiting<'_, F> {
        Waiting {
            given_up: self,
            what_for: Some(what_for),
        }
    }

    pub(super) fn take(&self) -> Option<Wait> {
        lock(&self.0).take().map(|wait| *wait)
    }
}

/// A wait, which is given up when this is dropped before it is [over](Self::over).
pub(super) struct Waiting<'a, F: FnOnce() -> Option<Wait>> {
    given_up: &'a GivenUp,
    what_for: Option<F>,
}

impl<F: FnOnce() -> Option<Wait>> Waiting<'_, F> {
    pub(super) fn over(mut self) {
        self.what_for = None;
    }
}

impl<F: FnOnce() -> Option<Wait>> Drop for Waiting<'_, F> {
    fn drop(&mut self) {
        if let Some(what_for) = self.what_for.take() {
            *lock(&self.given_up.0) = what_for().map(Box::new);
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
        let backoff = Wait::Backoff {
            attempt: 2,
            last: Status::unavailable("busy"),
        };
        for (wait, expected) in [
            (Wait::Resolver, "the resolver, which has found nothing yet"),
            (
                Wait::Connection(unconnected),
                "a connection: the channel is TRANSIENT_FAILURE; last: refused",
            ),
            (
                Wait::Stream { server: server() },
                "a stream: those that 10.0.0.1:443 allows at once are taken (its \
                 SETTINGS_MAX_CONCURRENT_STREAMS)",
            ),
            (Wait::Credentials, "its per-RPC credentials"),
            (
                backoff,
                "attempt 2 to begin, after a failure with UNAVAILABLE: busy",
            ),
            (
                Wait::Answer {
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

    #[test]
    fn only_a_wait_that_is_not_over_is_given_up() {
        let given_up = GivenUp::default();
        given_up.waiting(|| panic!("it is over")).over();
        assert!(given_up.take().is_none());
        drop(given_up.waiting(|| Some(Wait::Resolver)));
        drop(given_up.waiting(|| Some(Wait::Credentials)));
        assert!(matches!(given_up.take(), Some(Wait::Credentials)));
        assert!(given_up.take().is_none());
    }
}
