use crate::balancer::{CallOutcome, LoadReport, OnDone};
use crate::metadata::Metadata;
use crate::status::Status;

/// What a picker wants called when the call that it has sent somewhere has ended: called once, also
/// when the call comes to nothing.
pub(super) struct Done(Option<OnDone>);

impl Done {
    pub(super) fn new(on_done: Option<OnDone>) -> Self {
        Self(on_done)
    }

    /// Nothing is to be called, or it was.
    pub(super) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The call has ended. `trailer` is what the server sent last, whatever the client made of it.
    pub(super) fn call(mut self, outcome: Result<(), &Status>, trailer: &Metadata) {
        if let Some(on_done) = self.0.take() {
            let report = LoadReport::from_trailer(trailer);
            on_done(&CallOutcome::new(outcome.err(), report.as_ref()));
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(on_done) = self.0.take() {
            let status = Status::cancelled("the call was not sent there");
            on_done(&CallOutcome::new(Some(&status), None));
        }
    }
}
