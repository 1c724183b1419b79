//! The hooks for the end of a client's call, and their one run.
//!
//! Created when a call begins; run on the task that ends or drops the call, without a lock.

use std::fmt;
use std::sync::Arc;

use super::handed_recorders::{BegunRecorders, HandedRecorders};
use super::observer::CallObserver;
use super::response::Response;
use crate::interceptor::{CallOutcome, MessageInterceptors};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::caught;

type Hook = Arc<dyn Fn(Result<(), &Status>) + Send + Sync>;

/// The user's hooks for the end of a call.
#[derive(Clone, Default)]
pub(crate) struct OnFinish(Vec<Hook>);

impl OnFinish {
    /// Adds a hook, which is called after the earlier ones.
    pub(crate) fn push(&mut self, hook: impl Fn(Result<(), &Status>) + Send + Sync + 'static) {
        self.0.push(Arc::new(hook));
    }

    /// Adds the hooks of a channel, which are called before the call's own.
    pub(crate) fn prepend(&mut self, defaults: &Self) {
        self.0.splice(0..0, defaults.0.iter().cloned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for OnFinish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnFinish").field(&self.0.len()).finish()
    }
}

/// The hooks and the stats handlers of a call, which get its end once: its outcome, or CANCELLED if
/// this is dropped before.
#[derive(Default)]
pub(crate) struct FinishHooks {
    /// Boxed, because most calls have none.
    hooks: Option<Box<OnFinish>>,
    observer: Option<Arc<CallObserver>>,
}

impl FinishHooks {
    pub(crate) fn new(hooks: Option<OnFinish>) -> Self {
        Self {
            hooks: hooks.map(Box::new),
            observer: None,
        }
    }

    /// Adds the observers of the call, which get its end too.
    pub(crate) fn observe(&mut self, observer: CallObserver) {
        self.observer = Some(Arc::new(observer));
    }

    /// The observers of the call.
    pub(crate) fn observer(&self) -> Option<&Arc<CallObserver>> {
        self.observer.as_ref()
    }

    /// Takes what observes the call, whose end is told of by another: its message interceptors and its
    /// recorders.
    pub(super) fn take_observed(&mut self) -> (Option<Arc<MessageInterceptors>>, BegunRecorders) {
        // Nobody else has it yet.
        let observer = self.observer.take().and_then(Arc::into_inner);
        observer.map(CallObserver::into_parts).unwrap_or_default()
    }

    /// Reports the end of a call that has filters to the hooks, and to the recorders that no run
    /// has taken.
    pub(crate) fn call_filtered(self, handed: &HandedRecorders, outcome: &CallOutcome<'_>) {
        handed.end(outcome);
        self.call(outcome.status().map(|()| outcome.trailer()));
    }

    /// Reports the outcome of a unary call, and returns it.
    pub(crate) fn with<T>(
        self,
        result: Result<Response<T>, Status>,
    ) -> Result<Response<T>, Status> {
        self.call(result.as_ref().map(Response::trailer));
        result
    }

    /// Reports the end of the call: its trailers, or its failure.
    #[inline]
    pub(crate) fn call(mut self, end: Result<&Metadata, &Status>) {
        self.tell(end);
    }

    #[inline]
    fn tell(&mut self, end: Result<&Metadata, &Status>) {
        if self.hooks.is_some() || self.observer.is_some() {
            self.tell_all(end);
        }
    }

    fn tell_all(&mut self, end: Result<&Metadata, &Status>) {
        if let Some(observer) = self.observer.take() {
            observer.end(end);
        }
        if let Some(hooks) = self.hooks.take() {
            for hook in &hooks.0 {
                // The call is over, whatever becomes of this.
                let _ = caught("an on_finish hook of the call", || hook(end.map(|_| ())));
            }
        }
    }
}

impl Drop for FinishHooks {
    #[inline]
    fn drop(&mut self) {
        if self.hooks.is_some() || self.observer.is_some() {
            let status = Status::cancelled("the call was dropped before it had ended");
            self.tell_all(Err(&status));
        }
    }
}
