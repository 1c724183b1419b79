//! The selection of a call, by its channel's config selector.
//!
//! Committed on the task of the call, or where the call is dropped.

use std::fmt;
use std::sync::Mutex;

use crate::lock::lock;
use crate::service_config::MethodConfig;
use crate::task::caught;

/// A callback for the commit of a call.
pub(super) type OnCommit = Box<dyn FnOnce() + Send>;

/// The selection of a call, which its attempts share.
pub(crate) struct SelectedCall {
    /// The number of the channel that has selected.
    pub(crate) channel: u64,
    pub(crate) method: MethodConfig,
    /// `None` once it has run.
    on_commit: Mutex<Option<OnCommit>>,
}

impl SelectedCall {
    pub(super) fn new(channel: u64, method: MethodConfig, on_commit: Option<OnCommit>) -> Self {
        Self {
            channel,
            method,
            on_commit: Mutex::new(on_commit),
        }
    }

    /// The call is committed, or has ended. Idempotent.
    pub(crate) fn commit(&self) {
        let on_commit = lock(&self.on_commit).take();
        if let Some(on_commit) = on_commit {
            // The call goes on, whatever becomes of this.
            let _ = caught("the config selector's commit callback", on_commit);
        }
    }
}

/// A call that is dropped, or that a filter has answered, is committed then.
impl Drop for SelectedCall {
    fn drop(&mut self) {
        self.commit();
    }
}

impl fmt::Debug for SelectedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectedCall")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
