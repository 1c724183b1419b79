//! The reason why a call waits inside the client, for the text of a deadline that passes meanwhile.
//!
//! Recorded by the call's own future, when it is dropped while it waits.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::client::connectivity::Unconnected;
use crate::io::Address;
use crate::lock::lock;
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

/// The reason of the wait in which a call was abandoned.
///
/// Only a wait that is dropped before it is over is recorded, so that a call that does not time out
/// pays nothing for it.
#[derive(Debug, Default)]
pub(super) struct WaitRecorder(Mutex<Option<Box<WaitReason>>>);

impl WaitRecorder {
    /// Waits for `future`. If that is abandoned, `reason` is recorded, while `future` still exists:
    /// the wait borrows it.
    pub(super) fn during<'a, F, R>(
        &'a self,
        future: Pin<&'a mut F>,
        reason: R,
    ) -> RecordedWait<'a, F, R>
    where
        F: Future,
        R: FnOnce() -> Option<WaitReason> + Unpin,
    {
        RecordedWait {
            recorder: self,
            future,
            reason: Some(reason),
        }
    }

    pub(super) fn take(&self) -> Option<WaitReason> {
        lock(&self.0).take().map(|reason| *reason)
    }
}

/// A wait whose reason is recorded when this is dropped before it is over.
pub(super) struct RecordedWait<'a, F, R: FnOnce() -> Option<WaitReason>> {
    recorder: &'a WaitRecorder,
    future: Pin<&'a mut F>,
    /// `None` once the wait is over.
    reason: Option<R>,
}

impl<F, R> Future for RecordedWait<'_, F, R>
where
    F: Future,
    R: FnOnce() -> Option<WaitReason> + Unpin,
{
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let poll = self.future.as_mut().poll(cx);
        if poll.is_ready() {
            self.reason = None;
        }
        poll
    }
}

impl<F, R: FnOnce() -> Option<WaitReason>> Drop for RecordedWait<'_, F, R> {
    fn drop(&mut self) {
        if let Some(reason) = self.reason.take() {
            let reason = reason().map(Box::new);
            *lock(&self.recorder.0) = reason;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::pin::pin;

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

    #[tokio::test]
    async fn only_a_wait_that_is_not_over_is_recorded() {
        let recorder = WaitRecorder::default();
        recorder
            .during(pin!(ready(())), || panic!("it is over"))
            .await;
        assert!(recorder.take().is_none());
        drop(recorder.during(pin!(ready(())), || Some(WaitReason::Resolver)));
        drop(recorder.during(pin!(ready(())), || Some(WaitReason::Credentials)));
        assert!(matches!(recorder.take(), Some(WaitReason::Credentials)));
        assert!(recorder.take().is_none());
    }
}
