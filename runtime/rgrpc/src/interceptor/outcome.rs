//! The outcome of a call, and the hooks that get it.
//!
//! Created and called on the task that ends the call, without a lock.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::cancel_reason::CancelReason;
use crate::metadata::Metadata;
use crate::status::{Code, Origin, Status};
use crate::task::caught;

/// The outcome of a call.
///
/// On a server it is the status that is sent: INTERNAL if the headers or trailers of a successful
/// call are larger than the client accepts. The client may see another status if the connection is
/// lost after that, or if its own deadline passes first. The text of a failure may be shortened for
/// the client. On a client it is the status that the caller sees.
#[derive(Clone, Copy, Debug)]
pub struct CallOutcome<'a> {
    pub(crate) status: Result<(), &'a Status>,
    pub(crate) trailer: &'a Metadata,
    cancel_reason: Option<CancelReason>,
    ended_by: EndedBy,
    began: Instant,
}

impl<'a> CallOutcome<'a> {
    /// The outcome of a server's call, which was cancelled for this reason, if it was.
    pub(crate) fn of_server(
        status: Result<(), &'a Status>,
        trailer: &'a Metadata,
        cancel_reason: Option<CancelReason>,
        began: Instant,
    ) -> Self {
        Self {
            status,
            trailer,
            cancel_reason,
            ended_by: EndedBy::of_reason(cancel_reason),
            began,
        }
    }

    /// The outcome of a client's call: its trailers, or its failure.
    pub(crate) fn of_client(end: Result<&'a Metadata, &'a Status>, began: Instant) -> Self {
        Self {
            status: end.map(|_| ()),
            trailer: end.unwrap_or_else(Status::metadata),
            cancel_reason: None,
            ended_by: end.map_or_else(
                |status| EndedBy::of_origin(status.origin()),
                |_| EndedBy::Server,
            ),
            began,
        }
    }

    /// The status. A cancelled call has a status that gives the reason.
    ///
    /// # Errors
    /// The call has failed.
    pub const fn status(&self) -> Result<(), &'a Status> {
        self.status
    }

    /// The code of the [status](Self::status).
    #[must_use]
    pub fn code(&self) -> Code {
        self.status.map_or_else(Status::code, |()| Code::Ok)
    }

    /// The trailers; those of a failure are the [metadata](Status::metadata) of its status as well.
    /// Empty for a call that the client or the connection has ended.
    #[must_use]
    pub const fn trailer(&self) -> &'a Metadata {
        self.trailer
    }

    /// The party that has ended the call.
    #[must_use]
    pub const fn ended_by(&self) -> EndedBy {
        self.ended_by
    }

    /// The reason why the call was cancelled on this server; `None` if it was not, and on a client.
    #[must_use]
    pub const fn cancel_reason(&self) -> Option<CancelReason> {
        self.cancel_reason
    }

    /// The time at which the call began: on a server, the arrival of its head. For the
    /// [`on_end`](crate::OutgoingCall::on_end) of a client, the time at which the first function
    /// was added.
    #[must_use]
    pub const fn began(&self) -> Instant {
        self.began
    }

    /// The time since the call began. Reads the clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// The party that has ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndedBy {
    /// The server has responded: its handler, an interceptor, or the runtime for them. On a client
    /// also: the server has reset the stream.
    Server,
    /// The client has cancelled the call or reset its stream. On a client also a failure of its
    /// own: a status of an interceptor, a message that cannot be encoded or decoded.
    Client,
    /// The call's deadline has passed.
    Deadline,
    /// The connection was lost, or cannot carry the response. On a client also: none could be made.
    Connection,
    /// This program has shut down its side.
    Shutdown,
}

impl EndedBy {
    /// The party that has ended a server's call, which was cancelled for this reason, if it was.
    const fn of_reason(reason: Option<CancelReason>) -> Self {
        match reason {
            None => Self::Server,
            Some(CancelReason::ClientCancelled | CancelReason::StreamFailed) => Self::Client,
            Some(CancelReason::DeadlineExceeded) => Self::Deadline,
            Some(CancelReason::ServerStopped) => Self::Shutdown,
            Some(CancelReason::HeadersTooLarge | CancelReason::ConnectionLost) => Self::Connection,
        }
    }

    /// The party that has ended a client's call with a status of this origin.
    const fn of_origin(origin: Origin) -> Self {
        match origin {
            Origin::Here => Self::Client,
            Origin::Trailers | Origin::Reset => Self::Server,
            Origin::Deadline => Self::Deadline,
            Origin::Connection => Self::Connection,
        }
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Deadline => "deadline",
            Self::Connection => "connection",
            Self::Shutdown => "shutdown",
        })
    }
}

/// A function that is called once, at the end of a call.
pub(crate) type EndHook = Box<dyn FnOnce(&CallOutcome<'_>) + Send>;

/// The end hooks of a call; most calls have none.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "calls without hooks stay small")]
pub(crate) struct EndHooks(Option<Box<Vec<EndHook>>>);

impl EndHooks {
    pub(crate) fn push(&mut self, hook: EndHook) {
        self.0.get_or_insert_default().push(hook);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Calls the hooks, the last one first, as values that go out of scope are dropped. A panic of
    /// one is logged and changes nothing for the others.
    pub(crate) fn call(self, outcome: &CallOutcome<'_>) {
        let Some(hooks) = self.0 else {
            return;
        };
        for hook in hooks.into_iter().rev() {
            let _ = caught("an end hook of a call", || hook(outcome));
        }
    }
}

impl fmt::Debug for EndHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndHooks")
            .field(&self.0.as_ref().map_or(0, |hooks| hooks.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn outcome(cancel_reason: Option<CancelReason>) -> CallOutcome<'static> {
        static NONE: Metadata = Metadata::new();
        CallOutcome::of_server(Ok(()), &NONE, cancel_reason, Instant::now())
    }

    #[test]
    fn the_party_that_ends_a_call_follows_from_the_cancel_reason() {
        for (reason, expected) in [
            (None, EndedBy::Server),
            (Some(CancelReason::ClientCancelled), EndedBy::Client),
            (Some(CancelReason::StreamFailed), EndedBy::Client),
            (Some(CancelReason::DeadlineExceeded), EndedBy::Deadline),
            (Some(CancelReason::ConnectionLost), EndedBy::Connection),
            (Some(CancelReason::HeadersTooLarge), EndedBy::Connection),
            (Some(CancelReason::ServerStopped), EndedBy::Shutdown),
        ] {
            assert_eq!(outcome(reason).ended_by(), expected, "{reason:?}");
        }
    }

    #[test]
    fn end_hooks_run_last_first_and_survive_a_panic() {
        let (calls, called) = mpsc::channel();
        let mut hooks = EndHooks::default();
        let second = calls.clone();
        hooks.push(Box::new(move |_| calls.send("first").expect("the test")));
        hooks.push(Box::new(|_| panic!("of a test")));
        hooks.push(Box::new(move |_| second.send("last").expect("the test")));
        hooks.call(&outcome(None));
        assert_eq!(called.iter().collect::<Vec<_>>(), ["last", "first"]);
    }
}
