//! The reason why a call waits inside the client, and the status of one that its bounds have ended
//! meanwhile.
//!
//! Recorded by the call's own future, when it is dropped while it waits.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bounds::{BoundedCall, Exceeded};
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

/// The reason of the wait in which a call was abandoned, and the status of a call that has ended by
/// its bounds, for the attempts that end with it.
///
/// Only a wait that is dropped before it is over is recorded, so that a call that does not time out
/// pays nothing for it.
#[derive(Debug, Default)]
pub(super) struct WaitRecorder(Mutex<Option<Box<Record>>>);

#[derive(Debug, Default)]
struct Record {
    wait: Option<WaitReason>,
    end: Option<CallEnd>,
}

/// The end of a call from this side.
#[derive(Debug)]
enum CallEnd {
    /// Its waits are being dropped, which record their reason.
    Exceeded(Exceeded),
    Ended(Status),
}

impl WaitRecorder {
    /// Waits for `future`. If that is abandoned, `reason` is recorded, while `future` still exists:
    /// the wait borrows it.
    pub(super) fn during<'a, F, R>(
        &'a self,
        future: Pin<&'a mut F>,
        reason: R,
    ) -> RecordedWait<'a, F, impl FnOnce(&WaitRecorder) + Unpin + use<'a, F, R>>
    where
        F: Future,
        R: FnOnce() -> WaitReason + Unpin,
    {
        self.watch(future, move |recorder: &Self| recorder.record(reason()))
    }

    /// As [`during`](Self::during); `abandoned` is to record the reason, and may end with the call.
    pub(super) fn watch<'a, F, A>(
        &'a self,
        future: Pin<&'a mut F>,
        abandoned: A,
    ) -> RecordedWait<'a, F, A>
    where
        F: Future,
        A: FnOnce(&Self) + Unpin,
    {
        RecordedWait {
            recorder: self,
            future,
            abandoned: Some(abandoned),
        }
    }

    /// Records the reason of a wait. The last one holds.
    pub(super) fn record(&self, reason: WaitReason) {
        let previous = lock(&self.0).get_or_insert_default().wait.replace(reason);
        // It may have a user's error, which is dropped without the lock.
        drop(previous);
    }

    /// The call has ended with this status.
    pub(super) fn end(&self, status: Status) {
        let end = CallEnd::Ended(status);
        let previous = lock(&self.0).get_or_insert_default().end.replace(end);
        drop(previous);
    }

    fn wait_and_exceeded(&self) -> Result<(Option<WaitReason>, Exceeded), Option<Status>> {
        let mut record = lock(&self.0);
        let Some(Record { wait, end }) = record.as_deref_mut() else {
            return Err(None);
        };
        match end {
            None => Err(None),
            Some(CallEnd::Ended(status)) => Err(Some(status.clone())),
            Some(CallEnd::Exceeded(exceeded)) => Ok((wait.take(), *exceeded)),
        }
    }
}

impl BoundedCall for WaitRecorder {
    fn exceed(&self, exceeded: Exceeded) {
        let end = CallEnd::Exceeded(exceeded);
        let previous = lock(&self.0).get_or_insert_default().end.replace(end);
        drop(previous);
    }

    /// The first time, of the wait that was recorded last; the same one afterwards.
    fn status(&self, target: &str) -> Option<Status> {
        let (wait, exceeded) = match self.wait_and_exceeded() {
            Ok(found) => found,
            Err(status) => return status,
        };
        let status = exceeded.status(target, wait.as_ref());
        self.end(status.clone());
        Some(status)
    }
}

/// A wait whose reason is recorded when this is dropped before it is over.
pub(super) struct RecordedWait<'a, F, A: FnOnce(&WaitRecorder)> {
    recorder: &'a WaitRecorder,
    future: Pin<&'a mut F>,
    /// `None` once the wait is over.
    abandoned: Option<A>,
}

impl<F, A> Future for RecordedWait<'_, F, A>
where
    F: Future,
    A: FnOnce(&WaitRecorder) + Unpin,
{
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let poll = self.future.as_mut().poll(cx);
        if poll.is_ready() {
            self.abandoned = None;
        }
        poll
    }
}

impl<F, A: FnOnce(&WaitRecorder)> Drop for RecordedWait<'_, F, A> {
    fn drop(&mut self) {
        if let Some(abandoned) = self.abandoned.take() {
            abandoned(self.recorder);
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

    fn ended(recorder: &WaitRecorder) -> Option<String> {
        let status = recorder.status("dns:///shop")?;
        Some(status.message().to_owned())
    }

    #[tokio::test]
    async fn a_call_that_has_exceeded_its_deadline_has_waited_for_what_was_dropped_last() {
        let recorder = WaitRecorder::default();
        recorder
            .during(pin!(ready(())), || panic!("it is over"))
            .await;
        drop(recorder.during(pin!(ready(())), || WaitReason::Resolver));
        assert_eq!(ended(&recorder), None, "it has not ended");
        recorder.exceed(Exceeded::Deadline);
        drop(recorder.during(pin!(ready(())), || WaitReason::Credentials));
        let expected = deadline_exceeded("dns:///shop", Some(&WaitReason::Credentials));
        assert_eq!(ended(&recorder).as_deref(), Some(expected.message()));
        drop(recorder.during(pin!(ready(())), || WaitReason::Resolver));
        assert_eq!(
            ended(&recorder).as_deref(),
            Some(expected.message()),
            "once"
        );
    }

    #[test]
    fn a_wait_is_replaced_and_dropped_without_the_lock() {
        #[derive(Debug)]
        struct Reads(std::sync::Weak<WaitRecorder>);

        impl fmt::Display for Reads {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("user code")
            }
        }

        impl std::error::Error for Reads {}

        impl Drop for Reads {
            fn drop(&mut self) {
                if let Some(recorder) = self.0.upgrade() {
                    assert!(recorder.0.try_lock().is_ok(), "dropped under the lock");
                }
            }
        }

        let recorder = std::sync::Arc::new(WaitRecorder::default());
        let source = Reads(std::sync::Arc::downgrade(&recorder));
        let last = Status::unavailable("busy").with_source(source);
        drop(recorder.during(pin!(ready(())), || WaitReason::Backoff { attempt: 2, last }));
        drop(recorder.during(pin!(ready(())), || WaitReason::Resolver));
        assert_eq!(ended(&recorder), None);
    }
}
