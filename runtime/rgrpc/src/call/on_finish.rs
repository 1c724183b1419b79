use std::fmt;
use std::sync::Arc;

use crate::status::Status;

type Hook = Arc<dyn Fn(Result<(), &Status>) + Send + Sync>;

/// The user's hooks for the end of a call.
#[derive(Clone, Default)]
pub(crate) struct OnFinish(Vec<Hook>);

impl OnFinish {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one, which is called after those that are there.
    pub(crate) fn push(&mut self, hook: impl Fn(Result<(), &Status>) + Send + Sync + 'static) {
        self.0.push(Arc::new(hook));
    }

    /// Adds those of a channel, which are called before those that are there.
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

/// Calls the hooks of a call once: with its outcome, or with CANCELLED when this is dropped before.
#[derive(Debug, Default)]
pub(crate) struct FinishHooks(OnFinish);

impl FinishHooks {
    pub(crate) fn new(hooks: OnFinish) -> Self {
        Self(hooks)
    }

    /// Calls the hooks with the outcome of the call, and returns it.
    pub(crate) fn with<T>(self, result: Result<T, Status>) -> Result<T, Status> {
        self.call(result.as_ref().map(|_| ()));
        result
    }

    /// Calls the hooks with the status of the call.
    pub(crate) fn call(mut self, outcome: Result<(), &Status>) {
        if !self.0.is_empty() {
            for hook in std::mem::take(&mut self.0).0 {
                hook(outcome);
            }
        }
    }
}

impl Drop for FinishHooks {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            let status = Status::cancelled("the call was dropped before it had ended");
            Self(std::mem::take(&mut self.0)).call(Err(&status));
        }
    }
}
