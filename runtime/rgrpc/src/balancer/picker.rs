use std::fmt;

use super::{LoadReport, SubConn};
use crate::metadata::Metadata;
use crate::status::Status;

/// A snapshot of a policy's decisions: chooses a subchannel for each call.
///
/// Every call calls it on the call's own task, many at the same time. It must not block, and must
/// not take a lock that may be held for long. A panic fails the call with INTERNAL.
///
/// Source: grpc-go `balancer.Picker`.
pub trait Picker: Send + Sync + 'static {
    /// Picks a subchannel for a call.
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_>;
}

/// The call that a picker decides about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PickInfo<'a> {
    /// The path of the method: "/service/method".
    pub method: &'a str,
    /// The request's metadata.
    pub metadata: &'a Metadata,
}

impl<'a> PickInfo<'a> {
    /// Creates the information of a call of this method with this metadata.
    #[must_use]
    pub const fn new(method: &'a str, metadata: &'a Metadata) -> Self {
        Self { method, metadata }
    }
}

/// The decision of a picker.
#[derive(Debug)]
pub enum PickResult<'a> {
    /// The call uses this subchannel. If its connection was lost meanwhile, the call waits for the
    /// next picker.
    Pick(Pick<'a>),
    /// The call waits for the next picker. Source: grpc-go `ErrNoSubConnAvailable`.
    Queue,
    /// The call fails with this status, unless it waits for ready. In that case it waits for the
    /// next picker.
    Fail(Status),
    /// The call fails with this status even if it waits for ready, and is not retried. Status codes
    /// that are reserved for applications become INTERNAL (gRFC A54).
    Drop(Status),
}

/// The subchannel for a call.
#[non_exhaustive]
pub struct Pick<'a> {
    /// The subchannel that the call uses.
    pub subconn: &'a SubConn,
    /// The callback for the end of the call. It runs on the task on which the call ends.
    pub on_done: Option<OnDone>,
}

/// A callback for the end of a call.
pub type OnDone = Box<dyn FnOnce(&CallOutcome<'_>) + Send + Sync>;

impl<'a> Pick<'a> {
    /// Creates a pick without a callback.
    #[must_use]
    pub const fn new(subconn: &'a SubConn) -> Self {
        Self {
            subconn,
            on_done: None,
        }
    }

    /// Adds a callback for the end of the call. It runs after the earlier ones.
    #[must_use]
    pub fn on_done(
        mut self,
        on_done: impl FnOnce(&CallOutcome<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_done = Some(match self.on_done.take() {
            None => Box::new(on_done),
            Some(first) => Box::new(move |outcome| {
                first(outcome);
                on_done(outcome);
            }),
        });
        self
    }
}

impl fmt::Debug for Pick<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pick")
            .field("subconn", &self.subconn)
            .finish_non_exhaustive()
    }
}

/// The outcome of a call that a picker has assigned.
///
/// Source: grpc-go `balancer.DoneInfo`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallOutcome<'a> {
    /// The status of a failed call. CANCELLED if the caller has dropped it. `None` if the call has
    /// ended with OK and, for a call with one response, the response was valid.
    pub failure: Option<&'a Status>,
    /// The backend's load report in the trailers. A failed call may have one too.
    pub load_report: Option<&'a LoadReport>,
}

impl<'a> CallOutcome<'a> {
    /// Creates an outcome, for the tests of policies.
    #[must_use]
    pub const fn new(failure: Option<&'a Status>, load_report: Option<&'a LoadReport>) -> Self {
        Self {
            failure,
            load_report,
        }
    }
}

/// A picker of a CONNECTING policy: calls wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueuingPicker;

impl Picker for QueuingPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Queue
    }
}

/// A picker of a policy in TRANSIENT_FAILURE: calls that do not wait for ready fail.
#[derive(Clone, Debug)]
pub struct FailingPicker(Status);

impl FailingPicker {
    /// Creates a picker that fails calls with this status.
    #[must_use]
    pub const fn new(status: Status) -> Self {
        Self(status)
    }
}

impl Picker for FailingPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Fail(self.0.clone())
    }
}

/// The status of calls that fail because of a resolver's error: UNAVAILABLE with the same text. The
/// resolver's own code does not describe the calls.
pub(super) fn call_failure(resolver_error: &Status) -> Status {
    resolver_error.to_unavailable(resolver_error.message().to_owned())
}
