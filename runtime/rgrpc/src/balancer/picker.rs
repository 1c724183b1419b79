use std::fmt;

use super::{LoadReport, SubConn};
use crate::metadata::Metadata;
use crate::status::Status;

/// Where calls go: a snapshot of a policy's decisions.
///
/// Called by every call, on its own task, many at once: it must not block, and takes no lock that
/// could be held for long. A panic of it fails the call with INTERNAL.
///
/// Source: grpc-go `balancer.Picker`.
pub trait Picker: Send + Sync + 'static {
    /// The connection for a call.
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_>;
}

/// What a picker can decide by.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PickInfo<'a> {
    /// "/service/method".
    pub method: &'a str,
    /// The request's metadata.
    pub metadata: &'a Metadata,
}

impl<'a> PickInfo<'a> {
    /// A call of this method, with this metadata.
    #[must_use]
    pub const fn new(method: &'a str, metadata: &'a Metadata) -> Self {
        Self { method, metadata }
    }
}

/// What a picker has decided.
#[derive(Debug)]
pub enum PickResult<'a> {
    /// The call goes there. If the connection has just been lost, the call waits for the next
    /// picker.
    Pick(Pick<'a>),
    /// The call waits for the next picker. Source: grpc-go `ErrNoSubConnAvailable`.
    Queue,
    /// The call fails with this status, unless it waits for ready: then it waits for the next
    /// picker.
    Fail(Status),
    /// The call fails with this status, in any case, and is not retried. Codes that are for
    /// applications become INTERNAL (gRFC A54).
    Drop(Status),
}

/// A connection for a call.
#[non_exhaustive]
pub struct Pick<'a> {
    /// Where the call goes.
    pub subconn: &'a SubConn,
    /// Called when the call has ended, on the task that it ended on.
    pub on_done: Option<OnDone>,
}

/// What is called when a call has ended.
pub type OnDone = Box<dyn FnOnce(&CallOutcome<'_>) + Send + Sync>;

impl<'a> Pick<'a> {
    /// A connection for a call whose end is of no interest.
    #[must_use]
    pub const fn new(subconn: &'a SubConn) -> Self {
        Self {
            subconn,
            on_done: None,
        }
    }

    /// With this to be called when the call has ended, after what was to be called already.
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

/// How a call ended that a picker has sent somewhere.
///
/// Source: grpc-go `balancer.DoneInfo`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallOutcome<'a> {
    /// The call's failure; `None` when it ended with OK and, where it has one response, that could
    /// be used. CANCELLED when its caller gave it up.
    pub failure: Option<&'a Status>,
    /// The load that the backend reported in the trailers, which a failed call may have too.
    pub load_report: Option<&'a LoadReport>,
}

impl<'a> CallOutcome<'a> {
    /// An outcome, as policies' tests need it.
    #[must_use]
    pub const fn new(failure: Option<&'a Status>, load_report: Option<&'a LoadReport>) -> Self {
        Self {
            failure,
            load_report,
        }
    }
}

/// Lets calls wait: for a policy that is connecting.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueuingPicker;

impl Picker for QueuingPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Queue
    }
}

/// Fails calls that do not wait for ready: for a policy in TRANSIENT_FAILURE.
#[derive(Clone, Debug)]
pub struct FailingPicker(Status);

impl FailingPicker {
    /// Fails calls with this status.
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
